#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace imagerank::perturbations {

/// One word of a prompt.
struct Word {
  std::size_t begin = 0;  ///< bytes of the prompt
  std::size_t end = 0;
  std::string lower;           ///< ASCII letters lower-cased
  bool capital = false;        ///< starts with an ASCII capital
  bool shouted = false;        ///< no lower-case letter, and two letters or more
  bool starts_clause = false;  ///< something other than spaces, or nothing, stands before it
  bool ends_clause = false;    ///< ... after it
  bool glued_before = false;   ///< a hyphen, apostrophe or underscore joins it to the word before
  bool glued_after = false;
};

/// A prompt's words: runs of letters and digits of any script, cut at white space and punctuation. Invalid UTF-8 counts
/// as letters.
[[nodiscard]] std::vector<Word> split_words(std::string_view prompt);

/// The distinct words of a text as sorted 64-bit hashes. Signs of Chinese, Japanese and Korean are a word each, since
/// no spaces part their words.
[[nodiscard]] std::vector<std::uint64_t> word_hashes(std::string_view lower_text);

/// The same number for a text on every platform (FNV-1a, mixed).
[[nodiscard]] std::uint64_t text_hash(std::string_view text) noexcept;

/// ASCII lower case, white space trimmed and joined: what makes two prompts "the same" inside one prompt's list.
[[nodiscard]] std::string normalized(std::string_view text);

}  // namespace imagerank::perturbations
