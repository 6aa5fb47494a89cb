#pragma once

#include <string>
#include <string_view>

namespace imagerank::perturbations::queries {

// The stage's SQL, in the order in which it runs. It reads rankings, ratings, images and perturbed, and makes:
//   prompt_text (prompt, judged, norm)   every prompt as it stands, and as it is compared
//   unique_prompt (id, norm, prompt)     one for each norm; those that were judged first; prompt is one of its
//   spellings right_prompt (r, prompt, id)         the judged prompts as they stand: what rows are made for shared (id,
//   image)                   of images that are right for several unique prompts chosen (id, other, distance) mode swap
//   made (r, place, perturbed_prompt, kind, what_changed)

/// A prompt as it is compared: Unicode composed, white space joined and trimmed, lower case.
[[nodiscard]] std::string norm(std::string_view column);
[[nodiscard]] std::string prompt_texts();
[[nodiscard]] std::string unique_prompts();
[[nodiscard]] std::string shared_images();
[[nodiscard]] std::string right_prompts();
/// Rows of `made` from `chosen`.
[[nodiscard]] std::string swapped();
/// Takes out of `made` what is right for an image of the prompt after all, then what is beyond `per_prompt`.
[[nodiscard]] std::string drop_right_ones();
[[nodiscard]] std::string drop_surplus(std::size_t per_prompt);
/// The new table: rows of `made` as `mode`, and those of the other modes.
[[nodiscard]] std::string table(std::string_view mode);

}  // namespace imagerank::perturbations::queries
