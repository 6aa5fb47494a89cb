#pragma once

#include <string>

#include "labels/label.h"

namespace imagerank::labels::rules {

// The rules of the stage up to where each ranking goes, as one SQL statement each, in the order in which they run; what
// points and pairs are made of rankings is said in points.h and pairs.h. They read and make:
//   source (r, ...)                                  all rankings, numbered from 0; ratings as rankings of ranks
//   judged (..., reason)                             the same, with the reason why a prompt filter leaves one out
//   ranking (r, key, ..., best)                      those that stay; best: position of the best image from 1, 0: none
//   prompt_key (prompt, prompt_id)                   prompts numbered in their order
//   ranking_number (r, prompt_id, who, hash)         of a ranking what takes numbers; who: its user's hash or NULL;
//   hash:
//                                                    of the key, seeded
//   ranking_split (r, prompt_id, held)               held: 0 test, 1 validation, 2 train, 3 nowhere
//   entry (r, held, image_uid)                       an image of a ranking
//   prompt_weight (prompt_id, pairs)
// Files are read as seldom as can be: what is counted and not written is counted on numbers.
// Joins run as written, the right side hashed: what is on the right is small or numbers only.

/// Tables `rankings` and `ratings`, where they are there, as one list. @param rankings, ratings  SQL sources, or empty.
[[nodiscard]] std::string source(const std::string& rankings, const std::string& ratings, const std::string& aspect);
/// Prompts trimmed if asked; which filter, if any, leaves a ranking out.
[[nodiscard]] std::string judged(const PromptFilters& filters);
[[nodiscard]] std::string ranking();
[[nodiscard]] std::string prompt_key();

/// One pass over the rankings.
[[nodiscard]] std::string ranking_number(std::uint64_t seed);

/// (r, prompt, key): what a split rule keeps together. Not for kComponent, which is no SQL, nor for kOfficial.
[[nodiscard]] std::string group_key(SplitRule rule, std::uint64_t seed);
/// Rankings that share a prompt, an image or a user with an earlier one, as edges (r, first).
[[nodiscard]] std::string shared_edges();
/// Groups in the order of a seeded hash (time: newest first) fill test, then validation, up to their shares of
/// rankings.
[[nodiscard]] std::string split_by_group(const LabelSettings& settings);
/// Rankings one by one, in the order of a seeded hash.
[[nodiscard]] std::string split_by_ranking(const LabelSettings& settings);
/// Rankings as their dataset's own split says.
[[nodiscard]] std::string split_official();
/// Takes out of `held` the rankings that share an image with a ranking of `held_out`.
[[nodiscard]] std::string take_out_straddling(int held, int held_out);

/// Images of rankings.
[[nodiscard]] std::string entry();
/// Of each prompt how many pairs its rankings make.
[[nodiscard]] std::string prompt_weight();
/// (ranking_id, user_id, prompt_id, held, best, weight, image_uids, ranks): rankings with their place, as
/// ranking_rows.h takes them. weight: the ranking's, or that shared among the pairs of its prompt.
[[nodiscard]] std::string placed(WeightRule weights);

/// Share of test rankings whose user also has one in train, of those that name a user.
[[nodiscard]] std::string user_overlap();

}  // namespace imagerank::labels::rules
