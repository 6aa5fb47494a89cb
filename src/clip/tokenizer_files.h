#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace imagerank::clip {

/// A token that is found in the text itself, before any splitting.
struct AddedToken {
  std::string content;
  std::int32_t id = 0;
  bool single_word = false;  ///< only where no word character touches it
  bool lstrip = false;       ///< swallows the white space on its left
  bool rstrip = false;       ///< swallows the white space on its right
  bool normalized = true;    ///< looked for after normalisation (and itself normalised), otherwise before
};

enum class NormalizerKind { kNfc, kNfd, kNfkc, kNfkd, kLowercase, kReplace, kStrip };

struct NormalizerStep {
  NormalizerKind kind = NormalizerKind::kNfc;
  std::string pattern;  ///< kReplace: an ICU regular expression
  std::string content;  ///< kReplace: what takes its place
};

/// How normalised text becomes words.
struct SplitStep {
  std::string pattern;     ///< an ICU regular expression
  bool keep_gaps = false;  ///< what lies between the matches is words too
};

/// What a tokenizer's files say, whatever their form.
struct TokenizerFiles {
  std::unordered_map<std::string, std::int32_t> vocabulary;  ///< symbols in ByteLevel's printable alphabet
  std::vector<std::pair<std::string, std::string>> merges;   ///< best first
  std::vector<AddedToken> added_tokens;
  std::vector<NormalizerStep> normalizers;
  std::vector<SplitStep> splits;
  std::string end_of_word_suffix;
  std::int32_t unknown_id = -1;  ///< -1: unknown bytes are left out
  std::int32_t start_id = 0;
  std::int32_t end_id = 0;
};

/// CLIP's split: contractions, runs of letters, single numbers, runs of anything else but white space.
extern const char* const kClipSplitPattern;

/// tokenizer.json, else vocab.json + merges.txt, else bpe_simple_vocab_16e6.txt.gz.
/// @throws Error kNotFound naming what was looked for; kCorruptData for a file that does not parse, contradicts itself
/// or asks for a component that CLIP's tokenizers do not use.
[[nodiscard]] TokenizerFiles load_tokenizer_files(const std::filesystem::path& folder);

/// ByteLevel's printable character for each byte, as UTF-8. Source: GPT-2's bytes_to_unicode.
[[nodiscard]] const std::vector<std::string>& byte_alphabet();

}  // namespace imagerank::clip
