#pragma once

#include <string>

#include "labels/label.h"

namespace imagerank::labels::rules {

// Every rule of the stage as one SQL statement, in the order in which they run. They read and make these tables:
//   ranking (r, key, dataset, ..., all columns of rankings)      one row a ranking, r its number
//   entry (r, prompt, image_uid, label)                          one row for each image of each ranking
//   kept (image_uid, prompt, label, label_count)                 the seed's largest label
//   ranking_split (r, split)  point_split (image_uid, prompt, label, split)  pair (...)

/// 2 for the best image, 1 for every image of a ranking without a best one, 0 for the others.
[[nodiscard]] std::string entries();
/// One row for each (image, prompt), with its largest label.
[[nodiscard]] std::string kept();
/// What a split rule keeps together: a text for each ranking. Empty for kComponent, which is no SQL.
[[nodiscard]] std::string group_key(SplitRule rule, std::uint64_t seed);
/// Groups in the order of a seeded hash (time: newest first) fill test, then validation, up to their shares of rows.
[[nodiscard]] std::string assign_groups(const std::string& table, const LabelSettings& settings);
/// Rankings as their dataset's own split says.
[[nodiscard]] std::string assign_official();
/// Rankings of `split` that share an image with a ranking of `held_out`.
[[nodiscard]] std::string straddling_rankings(const std::string& split, const std::string& held_out);
/// The seed's random split: kept rows, each by itself.
[[nodiscard]] std::string points_by_row();
/// Points formed inside each split; (image, prompt) in several splits stays in the most held-out one only.
[[nodiscard]] std::string points_by_split();
/// The binary variants, as a select over point_split.
[[nodiscard]] std::string variant(LabelVariant variant);
/// Pairs of a ranking's images in list order: best over other (p_a 1 or 0), tied images (p_a 0.5).
[[nodiscard]] std::string pairs();
/// Share of test points whose `column` also stands in train.
[[nodiscard]] std::string overlap(const std::string& column);

}  // namespace imagerank::labels::rules
