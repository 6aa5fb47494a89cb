#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "perturbations/lexicon.h"
#include "perturbations/phrase.h"

namespace imagerank::perturbations {

/// A phrase of the lexicon found in a prompt.
struct Mark {
  Entry entry;
  std::size_t first = 0;  ///< word
  std::size_t count = 1;  ///< words
  [[nodiscard]] std::size_t last() const noexcept { return first + count - 1; }
};

/// A prompt as words and the lexicon's phrases among them, longest first, and what the grammar asks about their
/// surroundings. Refers to the prompt, which must outlive it.
class PromptWords {
 public:
  static constexpr std::size_t npos = static_cast<std::size_t>(-1);

  explicit PromptWords(std::string_view prompt);

  /// The prompt speaks of sex and of children or the young, by wide lists of words: no variants of it are made.
  [[nodiscard]] bool sexualizes_the_young() const;

  [[nodiscard]] std::string_view prompt() const noexcept { return prompt_; }
  [[nodiscard]] const std::vector<Word>& words() const noexcept { return words_; }
  [[nodiscard]] const std::vector<Mark>& marks() const noexcept { return marks_; }
  /// The mark that covers a word; nullptr if none does.
  [[nodiscard]] const Mark* mark_at(std::size_t word) const;
  /// The noun that covers a word; nullptr if it is covered by none.
  [[nodiscard]] const Noun* noun_at(std::size_t word) const;

  /// The word before or after, as long as no punctuation stands between; npos otherwise.
  [[nodiscard]] std::size_t before(std::size_t word) const;
  [[nodiscard]] std::size_t after(std::size_t word) const;
  /// The lower-case text of a word; "" for npos.
  [[nodiscard]] std::string_view text(std::size_t word) const;

  /// Nothing that could belong to the same noun phrase follows the word: punctuation, a function word, "...ing",
  /// "...ed".
  [[nodiscard]] bool phrase_ends_after(std::size_t word) const;
  /// A word that may stand between an article or number and its noun: no function word, no noun, no number.
  [[nodiscard]] bool is_modifier(std::size_t word) const;
  /// The first noun of the lexicon among the next `reach` words, with modifiers only before it; npos if there is none.
  [[nodiscard]] std::size_t noun_after(std::size_t word, std::size_t reach) const;
  /// Whether the grammar may touch the mark: no part of a name, of a compound with a hyphen, behind "no" or "without",
  /// or in a "Negative prompt:".
  [[nodiscard]] bool is_free(const Mark& mark) const;

 private:
  void find_marks();
  [[nodiscard]] bool is_name(const Mark& mark) const;
  [[nodiscard]] bool is_negated(const Mark& mark) const;
  [[nodiscard]] bool orange_is_fruit(std::size_t word) const;

  std::string_view prompt_;
  std::vector<Word> words_;
  std::vector<Mark> marks_;
  std::vector<std::size_t> mark_of_word_;
  std::size_t negative_from_ = npos;  ///< the first word of a "Negative prompt: ..."
  bool title_case_ = false;           ///< nearly every word is capitalised, so that capitals say nothing
};

[[nodiscard]] bool is_one_of(std::string_view word, std::initializer_list<std::string_view> list);
/// a, an, the, his, her, ...
[[nodiscard]] bool is_determiner(std::string_view word);
[[nodiscard]] bool is_number(std::string_view word);

}  // namespace imagerank::perturbations
