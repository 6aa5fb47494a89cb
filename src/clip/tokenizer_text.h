#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "clip/tokenizer_files.h"

namespace imagerank::clip {

/// White space as Unicode's White_Space says, which is what Oniguruma's \s means (ICU's own \s differs).
[[nodiscard]] bool is_white_space(std::int32_t code_point) noexcept;
/// Letter, mark, decimal digit, connector or joiner: Rust regex's \w.
[[nodiscard]] bool is_word_character(std::int32_t code_point) noexcept;
/// Text with every malformed UTF-8 sequence replaced by U+FFFD.
[[nodiscard]] std::string repair_utf8(std::string_view text);
/// The code point that ends before byte `at` (> 0) of valid UTF-8, and where it begins.
[[nodiscard]] std::int32_t code_point_before(std::string_view text, std::size_t at, std::size_t& begin) noexcept;
/// The code point at byte `at` (< size) of valid UTF-8, and where it ends.
[[nodiscard]] std::int32_t code_point_at(std::string_view text, std::size_t at, std::size_t& end) noexcept;
[[nodiscard]] bool is_ascii(std::string_view text) noexcept;

/// The normalisation of a tokenizer.json. Thread-safe after construction.
class TextNormalizer {
 public:
  /// @throws Error kCorruptData for a pattern that does not compile.
  explicit TextNormalizer(const std::vector<NormalizerStep>& steps);
  ~TextNormalizer();
  /// @param text  valid UTF-8.
  [[nodiscard]] std::string normalize(std::string_view text) const;

 private:
  struct Step;
  std::vector<std::unique_ptr<Step>> steps_;
};

/// Splits normalised text into words. Thread-safe after construction.
class TextSplitter {
 public:
  /// @throws Error kCorruptData for a pattern that does not compile.
  explicit TextSplitter(const std::vector<SplitStep>& steps);
  ~TextSplitter();
  /// Calls `word` for each word, left to right. @param text  valid UTF-8.
  template <typename Word>
  void split(std::string_view text, Word&& word) const {
    if (!clip_) return split_generic(text, word);
    std::size_t begin = 0;
    std::size_t end = 0;
    while (next_clip_word(text, begin, end)) {
      word(text.substr(begin, end - begin));
      begin = end;
    }
  }

 private:
  struct Step;
  /// Moves `begin` to the next word of CLIP's pattern at or after it and `end` past it. @return false if there is none.
  static bool next_clip_word(std::string_view text, std::size_t& begin, std::size_t& end) noexcept;
  void split_generic(std::string_view text, const std::function<void(std::string_view)>& word) const;

  bool clip_ = false;  ///< CLIP's own pattern, which has a hand-written matcher
  std::vector<std::unique_ptr<Step>> steps_;
};

}  // namespace imagerank::clip
