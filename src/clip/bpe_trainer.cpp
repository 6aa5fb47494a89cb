#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "clip/tokenizer.h"
#include "clip/tokenizer_files.h"
#include "clip/tokenizer_text.h"
#include "core/atomic_file.h"
#include "core/fail.h"

namespace imagerank::clip {
namespace {

using Pair = std::pair<std::int32_t, std::int32_t>;
constexpr std::int32_t kByteTokens = 512;
constexpr std::int32_t kSpecialTokens = 2;
constexpr const char* kEndOfWord = "</w>";

struct Word {
  std::vector<std::int32_t> symbols;
  std::int64_t count = 0;
};

/// The words of the corpus with their counts, and for each pair of neighbours how often and in which words it stands.
class PairCounts {
 public:
  explicit PairCounts(std::vector<Word> words) : words_(std::move(words)) {
    for (std::size_t i = 0; i < words_.size(); ++i) add(i, 1);
  }

  /// The most frequent pair that stands at least twice; of equal ones the one with the smallest ids.
  [[nodiscard]] const Pair* best() const {
    const Pair* best = nullptr;
    std::int64_t most = 1;
    for (const auto& [pair, entry] : pairs_) {
      if (entry.count <= most) continue;
      most = entry.count;
      best = &pair;
    }
    return best;
  }

  void merge(Pair pair, std::int32_t merged) {
    std::vector<std::size_t> affected = pairs_.at(pair).words;
    std::ranges::sort(affected);
    const auto repeated = std::ranges::unique(affected);
    affected.erase(repeated.begin(), repeated.end());
    for (const std::size_t index : affected) {
      add(index, -1);
      std::vector<std::int32_t>& symbols = words_[index].symbols;
      std::size_t kept = 0;
      for (std::size_t i = 0; i < symbols.size(); ++i, ++kept) {
        const bool match = i + 1 < symbols.size() && symbols[i] == pair.first && symbols[i + 1] == pair.second;
        symbols[kept] = match ? merged : symbols[i];
        if (match) ++i;
      }
      symbols.resize(kept);
      add(index, 1);
    }
    pairs_.erase(pair);
  }

 private:
  struct Entry {
    std::int64_t count = 0;
    std::vector<std::size_t> words;  ///< may name a word twice, or one that lost the pair
  };

  void add(std::size_t index, int sign) {
    const Word& word = words_[index];
    for (std::size_t i = 0; i + 1 < word.symbols.size(); ++i) {
      Entry& entry = pairs_[{word.symbols[i], word.symbols[i + 1]}];
      entry.count += sign * word.count;
      if (sign > 0 && (entry.words.empty() || entry.words.back() != index)) entry.words.push_back(index);
    }
  }

  std::vector<Word> words_;
  std::map<Pair, Entry> pairs_;
};

/// Ids 0..255 the bytes, 256..511 the bytes that end a word, printable bytes first, as CLIP numbers them.
std::vector<std::string> byte_tokens(std::vector<std::int32_t>& id_of_byte) {
  std::vector<std::string> tokens(kByteTokens);
  id_of_byte.resize(256);
  std::int32_t next = 0;
  for (const bool printable : {true, false}) {
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const bool is_printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte != 173);
      if (is_printable != printable) continue;
      id_of_byte[byte] = next;
      tokens[static_cast<std::size_t>(next)] = byte_alphabet()[byte];
      tokens[static_cast<std::size_t>(next) + 256] = byte_alphabet()[byte] + kEndOfWord;
      ++next;
    }
  }
  return tokens;
}

std::vector<Word> count_words(std::span<const std::string> texts, const std::vector<std::int32_t>& id_of_byte) {
  const TextNormalizer normalizer(
      {{NormalizerKind::kNfc, {}, {}}, {NormalizerKind::kReplace, "\\s+", " "}, {NormalizerKind::kLowercase, {}, {}}});
  const TextSplitter splitter({{kClipSplitPattern, false}});
  std::map<std::string, std::int64_t, std::less<>> counts;
  for (const std::string& text : texts) {
    const std::string normalized = normalizer.normalize(repair_utf8(text));
    splitter.split(normalized, [&](std::string_view word) {
      const auto found = counts.find(word);
      if (found != counts.end()) {
        ++found->second;
      } else {
        counts.emplace(word, 1);
      }
    });
  }
  std::vector<Word> words;
  for (const auto& [text, count] : counts) {
    Word word{{}, count};
    for (const char c : text) word.symbols.push_back(id_of_byte[static_cast<unsigned char>(c)]);
    word.symbols.back() += 256;
    words.push_back(std::move(word));
  }
  return words;
}

nlohmann::ordered_json special_token(std::int32_t id, const std::string& content, bool normalized) {
  return {{"id", id},        {"content", content},       {"single_word", false}, {"lstrip", false},
          {"rstrip", false}, {"normalized", normalized}, {"special", true}};
}

/// In the form that Hugging Face's tokenizers gives CLIP's own vocabulary.
nlohmann::ordered_json tokenizer_json(const std::vector<std::string>& tokens, const std::vector<std::string>& merges) {
  using Json = nlohmann::ordered_json;
  const auto start = static_cast<std::int32_t>(tokens.size());
  const std::string start_text = "<|startoftext|>";
  const std::string end_text = "<|endoftext|>";
  Json vocabulary = Json::object();
  // Assigned one by one into the underlying list: ordered_json's operator[] searches it.
  auto& entries = vocabulary.get_ref<Json::object_t&>();
  for (std::size_t id = 0; id < tokens.size(); ++id) entries.push_back({tokens[id], id});
  entries.push_back({start_text, start});
  entries.push_back({end_text, start + 1});

  Json root;
  root["version"] = "1.0";
  root["truncation"] = nullptr;
  root["padding"] = nullptr;
  root["added_tokens"] = {special_token(start, start_text, true), special_token(start + 1, end_text, false)};
  root["normalizer"] = {{"type", "Sequence"},
                        {"normalizers",
                         {{{"type", "NFC"}},
                          {{"type", "Replace"}, {"pattern", {{"Regex", "\\s+"}}}, {"content", " "}},
                          {{"type", "Lowercase"}}}}};
  root["pre_tokenizer"] = {
      {"type", "Sequence"},
      {"pretokenizers",
       {{{"type", "Split"}, {"pattern", {{"Regex", kClipSplitPattern}}}, {"behavior", "Removed"}, {"invert", true}},
        {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}}}}};
  root["post_processor"] = {{"type", "RobertaProcessing"},
                            {"sep", Json::array({end_text, start + 1})},
                            {"cls", Json::array({start_text, start})},
                            {"trim_offsets", false},
                            {"add_prefix_space", false}};
  root["decoder"] = {{"type", "ByteLevel"}, {"add_prefix_space", true}, {"trim_offsets", true}};
  root["model"] = {{"type", "BPE"},
                   {"dropout", nullptr},
                   {"unk_token", end_text},
                   {"continuing_subword_prefix", ""},
                   {"end_of_word_suffix", kEndOfWord},
                   {"fuse_unk", false},
                   {"vocab", std::move(vocabulary)},
                   {"merges", merges}};
  return root;
}

}  // namespace

void train_tokenizer(std::span<const std::string> texts, std::int32_t vocabulary_size,
                     const std::filesystem::path& folder) {
  if (vocabulary_size < kByteTokens + kSpecialTokens || vocabulary_size > 1'000'000) {
    fail(ErrorCode::kInvalidArgument, "vocabulary size: expected {}..1000000, found {}", kByteTokens + kSpecialTokens,
         vocabulary_size);
  }
  std::vector<std::int32_t> id_of_byte;
  std::vector<std::string> tokens = byte_tokens(id_of_byte);
  std::vector<std::string> merges;
  PairCounts counts(count_words(texts, id_of_byte));
  const auto target = static_cast<std::size_t>(vocabulary_size - kSpecialTokens);
  while (tokens.size() < target) {
    const Pair* best = counts.best();
    if (best == nullptr) break;
    const Pair pair = *best;
    const std::string& left = tokens[static_cast<std::size_t>(pair.first)];
    const std::string& right = tokens[static_cast<std::size_t>(pair.second)];
    merges.push_back(fmt::format("{} {}", left, right));
    std::string merged = left + right;
    counts.merge(pair, static_cast<std::int32_t>(tokens.size()));
    tokens.push_back(std::move(merged));
  }
  write_file_atomically(folder / "tokenizer.json", tokenizer_json(tokens, merges).dump(1) + "\n");
}

}  // namespace imagerank::clip
