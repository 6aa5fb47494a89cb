#include "clip/tokenizer_files.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <memory>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "core/atomic_file.h"
#include "core/fail.h"

namespace imagerank::clip {

const char* const kClipSplitPattern = R"('s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+)";

namespace {

using nlohmann::json;

// ByteLevel splits once more with GPT-2's pattern unless told not to.
const char* const kGpt2SplitPattern = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr std::size_t kMaxFileBytes = std::size_t{256} << 20;
constexpr std::int32_t kMaxTokenId = 1 << 24;
// The published file lists more merges than the model has tokens for.
constexpr std::size_t kPublishedMerges = 49152 - 256 - 2;
constexpr std::string_view kStart = "<|startoftext|>";
constexpr std::string_view kEnd = "<|endoftext|>";

/// Reads the parts of one tokenizer.json; `path` is for messages.
class TokenizerJson {
 public:
  explicit TokenizerJson(std::filesystem::path path) : path_(std::move(path)) {}

  TokenizerFiles read() {
    const json root = parse();
    if (!root.is_object() || !root.contains("model")) bad("model", "an object", "nothing");
    TokenizerFiles files;
    read_model(root.at("model"), files);
    for (const json& token : list(root, "added_tokens")) read_added_token(token, files);
    if (has(root, "normalizer")) read_normalizer(root.at("normalizer"), files);
    if (!has(root, "pre_tokenizer")) bad("pre_tokenizer", "Split and ByteLevel", "nothing");
    read_pre_tokenizer(root.at("pre_tokenizer"), files);
    if (!byte_level_) bad("pre_tokenizer", "one that ends in ByteLevel", "none");
    read_post_processor(root, files);
    return files;
  }

 private:
  [[noreturn]] void bad(std::string_view place, std::string_view expected, std::string_view found) const {
    fail(ErrorCode::kCorruptData, "{}: {}: expected {}, found {}", path_.string(), place, expected, found);
  }
  json parse() const {
    try {
      return json::parse(load_file(path_, kMaxFileBytes));
    } catch (const json::exception& error) {
      fail(ErrorCode::kCorruptData, "{}: expected JSON, found: {}", path_.string(), error.what());
    }
  }
  static bool has(const json& object, const char* key) { return object.contains(key) && !object.at(key).is_null(); }
  const json& list(const json& object, const char* key) const {
    static const json kEmpty = json::array();
    if (!has(object, key)) return kEmpty;
    if (!object.at(key).is_array()) bad(key, "a list", object.at(key).type_name());
    return object.at(key);
  }
  template <typename T>
  T get(const json& object, const char* key, T otherwise) const {
    if (!object.is_object()) bad(key, "an object around it", object.type_name());
    if (!has(object, key)) return otherwise;
    try {
      return object.at(key).get<T>();
    } catch (const json::exception&) {
      bad(key, "another type", object.at(key).type_name());
    }
  }
  std::int32_t token_id(const std::string& token, const json& value) const {
    if (!value.is_number_integer() || value < 0 || value >= kMaxTokenId) {
      bad(fmt::format("id of \"{}\"", token), fmt::format("0..{}", kMaxTokenId - 1), value.dump());
    }
    return value.get<std::int32_t>();
  }

  void read_model(const json& model, TokenizerFiles& files) const {
    const auto type = get<std::string>(model, "type", "BPE");
    if (type != "BPE") bad("model.type", "BPE", type);
    if (get<bool>(model, "byte_fallback", false)) bad("model.byte_fallback", "false", "true");
    if (get<bool>(model, "ignore_merges", false)) bad("model.ignore_merges", "false", "true");
    if (const auto prefix = get<std::string>(model, "continuing_subword_prefix", ""); !prefix.empty()) {
      bad("model.continuing_subword_prefix", "none", prefix);
    }
    files.end_of_word_suffix = get<std::string>(model, "end_of_word_suffix", "");
    if (!has(model, "vocab") || !model.at("vocab").is_object()) bad("model.vocab", "an object", "none");
    const json& vocabulary = model.at("vocab");
    files.vocabulary.reserve(vocabulary.size());
    for (const auto& [token, id] : vocabulary.items()) files.vocabulary.emplace(token, token_id(token, id));
    for (const json& merge : list(model, "merges")) {
      if (merge.is_string()) {
        const auto text = merge.get<std::string>();
        const std::size_t space = text.find(' ');
        if (space == std::string::npos) bad("model.merges", "\"left right\"", text);
        files.merges.emplace_back(text.substr(0, space), text.substr(space + 1));
      } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
        files.merges.emplace_back(merge[0].get<std::string>(), merge[1].get<std::string>());
      } else {
        bad("model.merges", "pairs of symbols", merge.dump());
      }
    }
    if (const auto unknown = get<std::string>(model, "unk_token", ""); !unknown.empty()) {
      const auto found = files.vocabulary.find(unknown);
      if (found == files.vocabulary.end()) bad("model.unk_token", "a token of the vocabulary", unknown);
      files.unknown_id = found->second;
    }
  }

  void read_added_token(const json& source, TokenizerFiles& files) const {
    AddedToken token;
    token.content = get<std::string>(source, "content", "");
    if (token.content.empty() || !source.contains("id")) bad("added_tokens", "id and content", source.dump());
    token.id = token_id(token.content, source.at("id"));
    token.single_word = get<bool>(source, "single_word", false);
    token.lstrip = get<bool>(source, "lstrip", false);
    token.rstrip = get<bool>(source, "rstrip", false);
    token.normalized = get<bool>(source, "normalized", !get<bool>(source, "special", false));
    files.added_tokens.push_back(std::move(token));
  }

  std::string pattern_of(const json& source) const {
    const json& pattern = source.contains("pattern") ? source.at("pattern") : source;
    if (pattern.is_object() && pattern.contains("Regex")) return get<std::string>(pattern, "Regex", "");
    if (!pattern.is_object() || !pattern.contains("String")) bad("pattern", "Regex or String", pattern.dump());
    std::string literal;  // every ASCII punctuation character may be escaped in ICU's syntax
    for (const char c : get<std::string>(pattern, "String", "")) {
      const auto byte = static_cast<unsigned char>(c);
      if (byte < 0x80 && byte > 0x20 && std::isalnum(byte) == 0) literal += '\\';
      literal += c;
    }
    return literal;
  }

  void read_normalizer(const json& source, TokenizerFiles& files) const {
    const auto type = get<std::string>(source, "type", "");
    if (type == "Sequence") {
      for (const json& step : list(source, "normalizers")) read_normalizer(step, files);
      return;
    }
    static const std::unordered_map<std::string, NormalizerKind> kKinds = {{"NFC", NormalizerKind::kNfc},
                                                                           {"NFD", NormalizerKind::kNfd},
                                                                           {"NFKC", NormalizerKind::kNfkc},
                                                                           {"NFKD", NormalizerKind::kNfkd},
                                                                           {"Lowercase", NormalizerKind::kLowercase},
                                                                           {"Replace", NormalizerKind::kReplace}};
    const auto kind = kKinds.find(type);
    if (kind == kKinds.end()) bad("normalizer.type", "NFC, NFD, NFKC, NFKD, Lowercase or Replace", type);
    NormalizerStep step{kind->second, {}, {}};
    if (step.kind == NormalizerKind::kReplace) {
      step.pattern = pattern_of(source);
      step.content = get<std::string>(source, "content", "");
    }
    files.normalizers.push_back(std::move(step));
  }

  void read_pre_tokenizer(const json& source, TokenizerFiles& files) {
    const auto type = get<std::string>(source, "type", "");
    if (type == "Sequence") {
      for (const json& step : list(source, "pretokenizers")) read_pre_tokenizer(step, files);
    } else if (byte_level_) {
      bad("pre_tokenizer", "ByteLevel last", type);
    } else if (type == "ByteLevel") {
      byte_level_ = true;
      if (get<bool>(source, "add_prefix_space", true)) bad("ByteLevel.add_prefix_space", "false", "true");
      // GPT-2's pattern changes nothing in words that CLIP's has made.
      const bool clip =
          files.splits.size() == 1 && files.splits[0].pattern == kClipSplitPattern && !files.splits[0].keep_gaps;
      if (get<bool>(source, "use_regex", true) && !clip) files.splits.push_back({kGpt2SplitPattern, true});
    } else if (type == "Split") {
      const auto behavior = get<std::string>(source, "behavior", "");
      const bool invert = get<bool>(source, "invert", false);
      if (behavior != "Isolated" && !(behavior == "Removed" && invert)) {
        bad("Split.behavior", "Isolated, or Removed with invert", behavior);
      }
      files.splits.push_back({pattern_of(source), behavior == "Isolated"});
    } else {
      bad("pre_tokenizer.type", "Split or ByteLevel", type);
    }
  }

  /// Start and end of text: from the post-processor, otherwise CLIP's names.
  void read_post_processor(const json& root, TokenizerFiles& files) const {
    const auto find = [&](std::string_view name) {
      for (const AddedToken& token : files.added_tokens) {
        if (token.content == name) return token.id;
      }
      const auto found = files.vocabulary.find(std::string(name));
      if (found == files.vocabulary.end()) bad(name, "a token of the vocabulary", "none");
      return found->second;
    };
    if (has(root, "post_processor")) {
      const json& post = root.at("post_processor");
      const auto type = get<std::string>(post, "type", "");
      if (type == "RobertaProcessing" || type == "BertProcessing") {
        for (const char* key : {"cls", "sep"}) {
          if (!post.contains(key) || !post.at(key).is_array() || post.at(key).size() != 2)
            bad(key, "[token, id]", "none");
        }
        files.start_id = token_id("cls", post.at("cls")[1]);
        files.end_id = token_id("sep", post.at("sep")[1]);
        return;
      }
      if (type != "TemplateProcessing") bad("post_processor.type", "RobertaProcessing or TemplateProcessing", type);
    }
    files.start_id = find(kStart);
    files.end_id = find(kEnd);
  }

  std::filesystem::path path_;
  bool byte_level_ = false;
};

/// What CLIP's tokenizers do where no tokenizer.json says otherwise.
void set_clip_defaults(TokenizerFiles& files, const std::filesystem::path& path) {
  files.end_of_word_suffix = "</w>";
  files.normalizers = {
      {NormalizerKind::kNfc, {}, {}}, {NormalizerKind::kReplace, "\\s+", " "}, {NormalizerKind::kLowercase, {}, {}}};
  files.splits = {{kClipSplitPattern, false}};
  const auto special = [&](std::string_view name) {
    const auto found = files.vocabulary.find(std::string(name));
    if (found == files.vocabulary.end()) {
      fail(ErrorCode::kCorruptData, "{}: expected the token {}, found none", path.string(), name);
    }
    return found->second;
  };
  files.start_id = special(kStart);
  files.end_id = special(kEnd);
  files.unknown_id = files.end_id;
  files.added_tokens = {{std::string(kStart), files.start_id, false, false, false, true},
                        {std::string(kEnd), files.end_id, false, false, false, false}};
}

void read_merges(const std::filesystem::path& path, std::string_view text, std::size_t most, TokenizerFiles& files) {
  std::size_t line_number = 0;
  while (!text.empty() && files.merges.size() < most) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    // The first line is a version, in the gz file glued to the file's name.
    if (++line_number == 1 && line.find("#version") != std::string_view::npos) continue;
    if (line.empty()) continue;
    const std::size_t space = line.find(' ');
    if (space == std::string_view::npos || line.find(' ', space + 1) != std::string_view::npos) {
      fail(ErrorCode::kCorruptData, "{}: line {}: expected two symbols, found \"{}\"", path.string(), line_number,
           line.substr(0, 40));
    }
    files.merges.emplace_back(line.substr(0, space), line.substr(space + 1));
  }
}

TokenizerFiles read_vocabulary_and_merges(const std::filesystem::path& vocabulary,
                                          const std::filesystem::path& merges) {
  TokenizerFiles files;
  try {
    const json source = json::parse(load_file(vocabulary, kMaxFileBytes));
    for (const auto& [token, id] : source.items()) {
      const auto value = id.get<std::int64_t>();
      if (value < 0 || value >= kMaxTokenId) {
        fail(ErrorCode::kCorruptData, "{}: id of \"{}\": expected 0..{}, found {}", vocabulary.string(), token,
             kMaxTokenId - 1, value);
      }
      files.vocabulary.emplace(token, static_cast<std::int32_t>(value));
    }
  } catch (const json::exception& error) {
    fail(ErrorCode::kCorruptData, "{}: expected a JSON object of ids, found: {}", vocabulary.string(), error.what());
  }
  read_merges(merges, load_file(merges, kMaxFileBytes), SIZE_MAX, files);
  set_clip_defaults(files, vocabulary);
  return files;
}

std::string load_gzip(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) fail(ErrorCode::kNotFound, "{}: no such file", path.string());
  const std::unique_ptr<gzFile_s, int (*)(gzFile)> file(gzopen(path.c_str(), "rb"), gzclose);
  if (!file) fail(ErrorCode::kIo, "{}: cannot be opened", path.string());
  std::string text;
  std::array<char, 1 << 16> chunk{};
  for (;;) {
    const int count = gzread(file.get(), chunk.data(), static_cast<unsigned>(chunk.size()));
    if (count < 0) fail(ErrorCode::kCorruptData, "{}: expected gzip data, found a broken stream", path.string());
    text.append(chunk.data(), static_cast<std::size_t>(count));
    if (text.size() > kMaxFileBytes) {
      fail(ErrorCode::kResourceLimit, "{}: expected at most {} bytes of text", path.string(), kMaxFileBytes);
    }
    if (static_cast<std::size_t>(count) < chunk.size()) break;
  }
  // A stream cut short reads like a shorter one; only the end-of-file error tells.
  int code = Z_OK;
  gzerror(file.get(), &code);
  if (code != Z_OK && code != Z_STREAM_END) {
    fail(ErrorCode::kCorruptData, "{}: expected a whole gzip stream, found one cut short", path.string());
  }
  return text;
}

/// The vocabulary is implied: the bytes, the bytes that end a word, one token a merge, start and end of text.
TokenizerFiles read_gzip_merges(const std::filesystem::path& path) {
  TokenizerFiles files;
  read_merges(path, load_gzip(path), kPublishedMerges, files);
  // OpenAI numbers the printable bytes first, then the others.
  std::int32_t next = 0;
  for (const bool printable : {true, false}) {
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const bool is_printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte != 173);
      if (is_printable != printable) continue;
      files.vocabulary[byte_alphabet()[byte]] = next;
      files.vocabulary[byte_alphabet()[byte] + "</w>"] = next + 256;
      ++next;
    }
  }
  next = 512;
  for (const auto& [left, right] : files.merges) files.vocabulary.insert_or_assign(left + right, next++);
  files.vocabulary.insert_or_assign(std::string(kStart), next++);
  files.vocabulary.insert_or_assign(std::string(kEnd), next);
  set_clip_defaults(files, path);
  return files;
}

}  // namespace

const std::vector<std::string>& byte_alphabet() {
  static const std::vector<std::string> kAlphabet = [] {
    std::vector<std::string> symbols(256);
    unsigned next = 256;
    for (unsigned byte = 0; byte < 256; ++byte) {
      const bool printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte != 173);
      const unsigned code = printable ? byte : next++;
      if (code < 0x80) {
        symbols[byte] = static_cast<char>(code);
      } else {
        symbols[byte] = {static_cast<char>(0xc0U | (code >> 6)), static_cast<char>(0x80U | (code & 0x3fU))};
      }
    }
    return symbols;
  }();
  return kAlphabet;
}

TokenizerFiles load_tokenizer_files(const std::filesystem::path& folder) {
  if (std::filesystem::exists(folder / "tokenizer.json")) return TokenizerJson(folder / "tokenizer.json").read();
  const std::filesystem::path vocabulary = folder / "vocab.json";
  const std::filesystem::path merges = folder / "merges.txt";
  if (std::filesystem::exists(vocabulary) && std::filesystem::exists(merges)) {
    return read_vocabulary_and_merges(vocabulary, merges);
  }
  const std::filesystem::path published = folder / "bpe_simple_vocab_16e6.txt.gz";
  if (std::filesystem::exists(published)) return read_gzip_merges(published);
  fail(ErrorCode::kNotFound,
       "{}: expected tokenizer.json, vocab.json with merges.txt, or bpe_simple_vocab_16e6.txt.gz, found none",
       folder.string());
}

}  // namespace imagerank::clip
