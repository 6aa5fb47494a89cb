#pragma once

#include <string>

#include "labels/label.h"

namespace imagerank::labels::rules {

// Every rule of the stage as one SQL statement, in the order in which they run. They read and make:
//   source (r, ...)                                  all rankings, numbered from 0; ratings as rankings of ranks
//   judged (..., reason)                             the same, with the reason why a prompt filter leaves one out
//   ranking (r, key, ..., best)                      those that stay; best: position of the best image from 1, 0: none
//   prompt_key (prompt, prompt_id)                   prompts numbered in their order
//   ranking_number (r, prompt_id, n, best, ranks, who, hash)   of a ranking all that is no text: n images; best: -1
//   with
//                                                    ranks; who: its user's hash or NULL; hash: of the key, seeded
//   ranking_split (r, prompt_id, held)               held: 0 test, 1 validation, 2 train, 3 nowhere
//   entry (r, prompt_id, held, image_uid, bit)       an image of a ranking; bit: 1 lost, 2 tied, 4 best
//   kept (image_uid, prompt_id, held, label, bits, votes, parts)   one row for each (image, prompt); random split: hash
//   point (image_uid, prompt_id, label, held)  pair_index  pair_number (prompt_id, held, p_a)  pair  prompt_weight
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

/// What an image's place in its ranking says of it: best, tied for best (all images of a tie), or lost.
[[nodiscard]] std::string entry();
/// Duplicates once; several labels of one (image, prompt) settled by the conflict rule. Where the split's rule lets one
/// (image, prompt) stand in several splits (`straddles`), it stays in the most held-out one, with the label it has
/// there.
[[nodiscard]] std::string kept(const LabelSettings& settings, bool straddles);
/// The seed's random split of points: kept rows one by one, in the order of a seeded hash.
[[nodiscard]] std::string split_points_by_row(const LabelSettings& settings);
/// The binary variants, the minimum of votes.
[[nodiscard]] std::string point(const LabelSettings& settings);

/// For each length of a ranking and place of its best image, the pairs (i, j, p) that it says something about.
[[nodiscard]] std::string pair_index();
/// Pairs of a ranking's images in list order. Without ranks: best over each other one (p_a 1 or 0), each two of a tie
/// (0.5). With ranks: each two, by their ranks.
[[nodiscard]] std::string pair();
/// The same pairs, not named.
[[nodiscard]] std::string pair_number();
/// What a pair weighs: its ranking's weight, or that shared among the pairs of its prompt.
[[nodiscard]] std::string prompt_weight();
/// The table `points`.
[[nodiscard]] std::string written_points();
/// The table `pairs`.
[[nodiscard]] std::string weighed_pairs(const LabelSettings& settings);

/// Share of test points whose `column` (prompt_id or image_uid) also stands in train; equal hashes pass for equal.
[[nodiscard]] std::string overlap(const std::string& column);
/// Share of test rankings whose user also has one in train, of those that name a user.
[[nodiscard]] std::string user_overlap();

}  // namespace imagerank::labels::rules
