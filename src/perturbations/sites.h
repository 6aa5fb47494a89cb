#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "perturbations/prompt_words.h"

namespace imagerank::perturbations {

/// What an attribute perturbation changes. Source: number, colour and background are the grammar of Lee et al.,
/// arXiv 2302.12192; size, relation and object are this project's.
enum class Change { kNumber, kColour, kSize, kRelation, kBackground, kObject };
inline constexpr std::size_t kChangeCount = 6;
/// "number", "colour", ...
[[nodiscard]] std::string_view change_name(Change change) noexcept;

/// A phrase of a prompt that may be replaced, and by what. Options point into the lexicon, which lives for ever.
struct Site {
  Change change = Change::kObject;
  std::size_t first = 0;  ///< word
  std::size_t count = 1;  ///< words
  std::vector<std::string_view> options;
  std::size_t noun = PromptWords::npos;  ///< a word of the noun whose number follows; npos: none
};

// Each adds the sites of its kind.
void add_colours(const PromptWords& prompt, std::vector<Site>& sites);
void add_sizes(const PromptWords& prompt, std::vector<Site>& sites);
void add_relations(const PromptWords& prompt, std::vector<Site>& sites);
void add_backgrounds(const PromptWords& prompt, std::vector<Site>& sites);
void add_objects(const PromptWords& prompt, std::vector<Site>& sites);
void add_numbers(const PromptWords& prompt, std::vector<Site>& sites);

}  // namespace imagerank::perturbations
