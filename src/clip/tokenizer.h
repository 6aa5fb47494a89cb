#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace imagerank::clip {

enum class TextCleaning {
  kHuggingFace,  ///< as tokenizer.json says: NFC, white space, lower case
  kOpenAi,       ///< html unescape twice and ftfy's common repairs before that
};

/// CLIP's byte-level BPE. Thread-safe after construction.
class Tokenizer {
 public:
  /// Reads tokenizer.json, else vocab.json + merges.txt, else bpe_simple_vocab_16e6.txt.gz.
  /// @throws Error kNotFound (naming what was looked for), kCorruptData.
  static Tokenizer load(const std::filesystem::path& folder, TextCleaning cleaning = TextCleaning::kHuggingFace);
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  /// Start of text, every token, end of text; never truncated, never padded. Invalid UTF-8 becomes U+FFFD.
  [[nodiscard]] std::vector<std::int32_t> tokenize(std::string_view text) const;
  [[nodiscard]] std::int32_t start_of_text() const noexcept;
  [[nodiscard]] std::int32_t end_of_text() const noexcept;
  [[nodiscard]] std::int32_t vocabulary_size() const noexcept;

 private:
  struct State;
  explicit Tokenizer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// Learns a byte-level BPE vocabulary with CLIP's pre-tokenisation and writes `folder`/tokenizer.json, which
/// Tokenizer::load and Hugging Face's tokenizers read. Deterministic. @param vocabulary_size  at least 514.
void train_tokenizer(std::span<const std::string> texts, std::int32_t vocabulary_size,
                     const std::filesystem::path& folder);

}  // namespace imagerank::clip
