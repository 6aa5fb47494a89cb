#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace imagerank::blip {

/// BERT's uncased WordPiece, as BLIP uses it: its vocabulary's tokens, then [DEC] and [ENC], which no text needs.
/// Thread-safe after construction.
/// Source: transformers' BertTokenizer (the one in Python) with do_lower_case.
class WordPiece {
 public:
  /// @param vocabulary  a vocab.txt, one token a line, whose number from 0 is its id.
  /// @throws Error kNotFound, kIo, kCorruptData: no [CLS], [SEP] or [UNK], a token twice, an empty line within.
  explicit WordPiece(const std::filesystem::path& vocabulary);

  /// [CLS], every token, [SEP]; never truncated, never padded. Control characters and invalid UTF-8 are dropped,
  /// accents stripped; Chinese characters and punctuation are words of their own; a word of more than 100 characters,
  /// or one that the vocabulary does not make up, is [UNK]. "[MASK]" and its like in a text are those tokens.
  [[nodiscard]] std::vector<std::int64_t> tokenize(std::string_view text) const;
  [[nodiscard]] std::int64_t start() const noexcept { return start_; }  ///< [CLS]
  [[nodiscard]] std::int64_t end() const noexcept { return end_; }      ///< [SEP]
  /// Tokens, [DEC] and [ENC] included.
  [[nodiscard]] std::int64_t size() const noexcept { return static_cast<std::int64_t>(ids_.size()); }

 private:
  void add_words(std::string_view text, std::vector<std::int64_t>& ids) const;
  void add_word(std::string_view word, std::vector<std::int64_t>& ids) const;

  std::unordered_map<std::string, std::int64_t> ids_;
  std::vector<std::string> special_;  ///< of ids_, those that stand for themselves in a text
  std::int64_t start_ = 0, end_ = 0, unknown_ = 0;
};

}  // namespace imagerank::blip
