#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "perturbations/sites.h"

namespace imagerank::perturbations {

/// A prompt with one thing changed.
struct WrongPrompt {
  std::string text;
  Change change = Change::kObject;
  std::string what_changed;  ///< "colour: red -> blue"
};

/// Up to `count` wrong prompts of an English prompt, each with one number, colour, size, relation, background or object
/// replaced; kinds take turns. All differ from the prompt and from each other in more than case and white space. Fewer,
/// or none, where the lexicon finds little; none for a prompt that speaks of sex and of the young. The same for a
/// prompt and seed, always. Case, "a" or "an", singular and plural, and "is" or "are" follow.
[[nodiscard]] std::vector<WrongPrompt> wrong_prompts(std::string_view prompt, std::size_t count, std::uint64_t seed);

}  // namespace imagerank::perturbations
