#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "core/progress.h"
#include "workspace/workspace.h"

namespace imagerank::labels {

/// What a label means. Source: the seed's recipe.
enum class LabelVariant {
  kThree,      ///< 2 best, 1 every image of a tie, 0 the others
  kDropTies,   ///< ties left out; best 1, others 0
  kMergeTies,  ///< best 1, ties and others 0
};

/// What a split keeps together. kRandom is the seed's: points by row, pairs by ranking; it leaks.
enum class SplitRule { kRandom, kPrompt, kUser, kImage, kTime, kComponent, kOfficial };

/// @throws Error kInvalidArgument listing the names.
[[nodiscard]] LabelVariant label_variant_of(std::string_view name);
[[nodiscard]] SplitRule split_rule_of(std::string_view name);

struct LabelSettings {
  LabelVariant variant = LabelVariant::kThree;
  SplitRule split = SplitRule::kRandom;
  double test = 0.2;        ///< share of everything
  double validation = 0.1;  ///< share of everything
  std::uint64_t seed = 0;
  std::filesystem::path csv;  ///< also write image_uid,prompt,label here, as the seed does; empty: do not

  /// @throws Error kInvalidArgument.
  void validate() const;
};

struct LabelCounts {
  std::int64_t rows = 0;      ///< one for each image of each ranking
  std::int64_t distinct = 0;  ///< distinct (image, prompt, label)
  std::int64_t kept = 0;      ///< one for each (image, prompt), its largest label; before the binary variant
  std::array<std::int64_t, 3> labels = {};  ///< points written, by label
  std::int64_t conflicts = 0;               ///< (image, prompt) with more than one label
  std::int64_t winners = 0;                 ///< (image, prompt) that won at least once
  std::int64_t winners_that_lost = 0;       ///< of these, how many also lost another ranking
  std::int64_t strict_pairs = 0;            ///< best over another image, a ranking at a time
  std::int64_t tied_pairs = 0;              ///< pairs of images of a tie
  std::int64_t straddling_rankings = 0;     ///< left out because they share an image with a held-out split (image rule)
  std::int64_t straddling_points = 0;       ///< left out because (image, prompt) also stands in a held-out split
  std::array<std::int64_t, 3> splits = {};  ///< points in train, validation, test
  std::array<std::int64_t, 3> pair_splits = {};  ///< pairs in train, validation, test
  double prompt_overlap = 0.0;                   ///< share of test points whose prompt also stands in train, 0..1
  double image_overlap = 0.0;                    ///< share of test points whose image also stands in train, 0..1
};

/// Reads rankings.parquet, writes points.parquet and pairs.parquet (and the CSV): all or none.
/// The same rankings, settings and seed give the same split whatever the order of rows or the number of threads.
/// @throws Error kNotFound, kCorruptData, kInvalidArgument (a rule that the data cannot serve), kIo.
LabelCounts make_labels(const workspace::Workspace& workspace, const LabelSettings& settings,
                        const RunContext& context);

}  // namespace imagerank::labels
