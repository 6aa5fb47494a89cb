#pragma once

#include <string>
#include <vector>

namespace imagerank::statistics::queries {

// The stage's SQL over rankings, images and ratings. Prompts, users and images are 64-bit hashes in:
//   numbered (rankings, r)                                       view: r tells rankings apart
//   image_state (image, state)                                   2: ok, 1: not tried, 0: dead
//   entry (r, i, prompt, usr, image, label, value, ranked, tie, state)  one row for each image of each ranking
//   pair (r, prompt, usr, unit, outcome, state)                  judged pairs; outcome -1, 0 (tie), 1; unit: (prompt,
//   pair) judged (prompt, user_id, image_uid)                          view: who saw what, rankings and ratings
//   label_state (prompt, image, label, lowest, state)            each (image, prompt) with its largest label
// and for coverage:
//   ranking_state (r, month, usr, tie, state, winner, losers, losers_ok, losers_dead)   winner: state of the best
//   coverage_group (kind, name, total, ok, not_tried, dead, all_0, all_1, all_2, ok_0, ok_1, ok_2)

[[nodiscard]] std::string judged();
/// @param details  with hashes `model` and `reason` (of the status)
[[nodiscard]] std::string image_state(bool details = false);
/// @param months  with a column `month`: "2023-01", '' if unknown
[[nodiscard]] std::string entries(bool months = false);
/// @param images  with columns `image_a`, `image_b`
[[nodiscard]] std::string pairs(bool images = false);
[[nodiscard]] std::string label_state();
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
/// total, ok, not tried, dead of a table or select that gives one `state` a thing
[[nodiscard]] std::string coverage(const std::string& states);
/// The same for each value of `part`, which stands first, in their order.
[[nodiscard]] std::string coverage_by(const std::string& part, const std::string& states);

// One `state` a thing, for `coverage`.
[[nodiscard]] std::string states_of_rankings();
[[nodiscard]] std::string states_of_prompts();

[[nodiscard]] std::string ranking_state();
/// What a thing's survival has to do with that of others: the sum over images of m (m - 1), m: how often `image` stands
/// in the table or select.
[[nodiscard]] std::string shared_images(const std::string& images);
/// Images of rankings that have no row in `images`.
[[nodiscard]] std::string images_without_row();
/// (reason, images, rankings that lost an image to it, those that lost none to another), the most frequent first
[[nodiscard]] std::string reasons();
/// Rankings all of whose dead images have one of these reasons.
[[nodiscard]] std::string rankings_lost_to(const std::vector<std::string>& reasons);
/// rankings with a winner: total, ok, dead winner only, dead losers only, both; losers: total, ok, not tried, dead
[[nodiscard]] std::string strict_losses();
/// The empty table coverage_group, and what fills it with groups of rankings (month, user) or of images (model).
[[nodiscard]] std::string coverage_group();
[[nodiscard]] std::string group_by_month();
[[nodiscard]] std::string group_by_user();
[[nodiscard]] std::string group_by_model();

}  // namespace imagerank::statistics::queries
