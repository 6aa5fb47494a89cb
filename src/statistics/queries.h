#pragma once

#include <string>

namespace imagerank::statistics::queries {

// The stage's SQL over rankings, images and ratings. Prompts, users and images are 64-bit hashes in:
//   image_state (image, state)                                   2: ok, 1: not tried, 0: dead
//   entry (r, i, prompt, usr, image, label, value, ranked, tie, state)  one row for each image of each ranking
//   pair (r, prompt, usr, unit, outcome, state)                  judged pairs; outcome -1, 0 (tie), 1; unit: (prompt,
//   pair) judged (prompt, user_id, image_uid)                          view: who saw what, rankings and ratings

[[nodiscard]] std::string judged();
[[nodiscard]] std::string image_state();
[[nodiscard]] std::string entries();
[[nodiscard]] std::string pairs();
/// rankings, ties, with_ranks, without_user, first, last
[[nodiscard]] std::string ranking_counts();
/// (images, place, wins)
[[nodiscard]] std::string wins_by_place();
/// labels 0, 1, 2, conflicts, winners, winners_that_lost
[[nodiscard]] std::string label_counts();
/// units, pairs, agreeing, strict pairs, strict agreeing, disagreement, judgements of each outcome
[[nodiscard]] std::string agreement();
/// pairs, agreeing
[[nodiscard]] std::string repeats();
/// users, most, median, top 1 %, top 10 %, gini
[[nodiscard]] std::string concentration();
/// mean, median, p95, max of words, then of characters, then distinct prompts and those left when case is joined
[[nodiscard]] std::string prompt_lengths();
/// total, ok, not tried, dead of a select that gives one `state` a thing
[[nodiscard]] std::string coverage(const std::string& states);

}  // namespace imagerank::statistics::queries
