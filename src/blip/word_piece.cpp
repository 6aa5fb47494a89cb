#include "blip/word_piece.h"

#include <unicode/bytestream.h>
#include <unicode/casemap.h>
#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <array>
#include <optional>

#include "core/atomic_file.h"
#include "core/fail.h"

namespace imagerank::blip {
namespace {

constexpr std::size_t kMaxVocabularyBytes = std::size_t{64} << 20;
constexpr std::size_t kMaxWordCharacters = 100;
constexpr std::array<std::string_view, 7> kSpecial = {"[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]", "[DEC]", "[ENC]"};

void append(std::string& out, UChar32 c) {
  std::array<char, U8_MAX_LENGTH> bytes{};
  std::int32_t length = 0;
  // NOLINTNEXTLINE(readability-simplify-subscript-expr): inside ICU's macro
  U8_APPEND_UNSAFE(bytes.data(), length, c);
  out.append(bytes.data(), static_cast<std::size_t>(length));
}

/// Calls visit(code point) for each character; invalid bytes are U+FFFD.
template <class Visit>
void for_each_character(std::string_view text, Visit visit) {
  for (std::size_t i = 0; i < text.size();) {
    UChar32 c = 0;
    // NOLINTNEXTLINE(bugprone-inc-dec-in-conditions,readability-simplify-subscript-expr): inside ICU's macro
    U8_NEXT_OR_FFFD(text.data(), i, text.size(), c);
    visit(c);
  }
}

bool is_space(UChar32 c) { return c == '\t' || c == '\n' || c == '\r' || (U_GET_GC_MASK(c) & U_GC_Z_MASK) != 0; }

/// What Python's tokenizer drops: of categories C, which unassigned characters have too.
bool is_dropped(UChar32 c) { return c == 0xfffd || (!is_space(c) && (U_GET_GC_MASK(c) & U_GC_C_MASK) != 0); }

bool is_punctuation(UChar32 c) {
  const bool ascii = (c >= 33 && c <= 47) || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) || (c >= 123 && c <= 126);
  return ascii || (U_GET_GC_MASK(c) & U_GC_P_MASK) != 0;
}

/// The blocks that BERT calls Chinese: ideographs, without kana and hangul, which have spaces or words of their own.
bool is_chinese(UChar32 c) {
  constexpr std::array<std::array<UChar32, 2>, 8> kBlocks = {{{0x4e00, 0x9fff},
                                                              {0x3400, 0x4dbf},
                                                              {0x20000, 0x2a6df},
                                                              {0x2a700, 0x2b73f},
                                                              {0x2b740, 0x2b81f},
                                                              {0x2b820, 0x2ceaf},
                                                              {0xf900, 0xfaff},
                                                              {0x2f800, 0x2fa1f}}};
  return std::ranges::any_of(kBlocks, [c](const auto& block) { return c >= block[0] && c <= block[1]; });
}

void check(UErrorCode status) {
  if (U_FAILURE(status)) fail(ErrorCode::kCorruptData, "lower-casing a text: ICU says {}", u_errorName(status));
}

/// As Python's str.lower: by Unicode's full mapping, a final sigma by its place.
std::string lower_case(std::string_view text) {
  std::string out;
  icu::StringByteSink<std::string> sink(&out);
  UErrorCode status = U_ZERO_ERROR;
  icu::CaseMap::utf8ToLower("", 0, icu::StringPiece(text.data(), static_cast<std::int32_t>(text.size())), sink, nullptr,
                            status);
  check(status);
  return out;
}

std::string without_accents(std::string_view text) {
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2* const form = icu::Normalizer2::getNFDInstance(status);
  check(status);
  std::string split;
  icu::StringByteSink<std::string> sink(&split);
  form->normalizeUTF8(0, icu::StringPiece(text.data(), static_cast<std::int32_t>(text.size())), sink, nullptr, status);
  check(status);
  std::string out;
  for_each_character(split, [&](UChar32 c) {
    if (u_charType(c) != U_NON_SPACING_MARK) append(out, c);
  });
  return out;
}

}  // namespace

WordPiece::WordPiece(const std::filesystem::path& vocabulary) {
  const std::string text = load_file(vocabulary, kMaxVocabularyBytes);
  for (std::size_t at = 0, line = 1; at < text.size(); ++line) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    std::string token = text.substr(at, end - at);
    if (token.ends_with('\r')) token.pop_back();
    at = end + 1;
    if (token.empty())
      fail(ErrorCode::kCorruptData, "{}: line {}: expected a token, found none", vocabulary.string(), line);
    if (const auto [known, added] = ids_.emplace(std::move(token), static_cast<std::int64_t>(line) - 1); !added) {
      fail(ErrorCode::kCorruptData, "{}: line {}: expected each token once, found '{}' again", vocabulary.string(),
           line, known->first);
    }
  }
  const auto id_of = [&](std::string_view token) {
    const auto found = ids_.find(std::string(token));
    if (found == ids_.end()) {
      fail(ErrorCode::kCorruptData, "{}: expected BERT's vocabulary, a token a line, found {} lines without {}",
           vocabulary.string(), ids_.size(), token);
    }
    return found->second;
  };
  start_ = id_of("[CLS]");
  end_ = id_of("[SEP]");
  unknown_ = id_of("[UNK]");
  for (const char* added : {"[DEC]", "[ENC]"}) ids_.try_emplace(added, static_cast<std::int64_t>(ids_.size()));
  for (const std::string_view token : kSpecial) {
    if (ids_.contains(std::string(token))) special_.emplace_back(token);
  }
}

std::vector<std::int64_t> WordPiece::tokenize(std::string_view text) const {
  std::vector<std::int64_t> ids = {start_};
  while (!text.empty()) {
    std::size_t at = text.size();
    const std::string* special = nullptr;
    for (const std::string& token : special_) {
      if (const std::size_t found = text.find(token); found < at) {
        at = found;
        special = &token;
      }
    }
    add_words(text.substr(0, at), ids);
    if (special == nullptr) break;
    ids.push_back(ids_.at(*special));
    text.remove_prefix(at + special->size());
  }
  ids.push_back(end_);
  return ids;
}

void WordPiece::add_words(std::string_view text, std::vector<std::int64_t>& ids) const {
  std::string cleaned;
  for_each_character(lower_case(text), [&](UChar32 c) {
    if (is_space(c)) {
      cleaned += ' ';
    } else if (is_chinese(c)) {
      cleaned += ' ';
      append(cleaned, c);
      cleaned += ' ';
    } else if (!is_dropped(c)) {
      append(cleaned, c);
    }
  });
  std::string word;
  const auto finish = [&] {
    if (!word.empty()) add_word(word, ids);
    word.clear();
  };
  for_each_character(without_accents(cleaned), [&](UChar32 c) {
    if (is_space(c) || is_punctuation(c)) finish();
    if (is_space(c)) return;
    append(word, c);
    if (is_punctuation(c)) finish();
  });
  finish();
}

/// The longest piece of the vocabulary, then the longest that goes on from there, ...
void WordPiece::add_word(std::string_view word, std::vector<std::int64_t>& ids) const {
  std::vector<std::size_t> ends = {0};  // of the characters
  for (std::size_t i = 0; i < word.size(); ++i) {
    if (i + 1 == word.size() || (static_cast<unsigned char>(word[i + 1]) & 0xc0U) != 0x80U) ends.push_back(i + 1);
  }
  const std::size_t before = ids.size();
  std::size_t start = 0;
  while (start + 1 < ends.size() && ends.size() - 1 <= kMaxWordCharacters) {
    std::optional<std::int64_t> piece;
    std::size_t end = ends.size() - 1;
    for (; end > start && !piece; --end) {
      std::string part = start == 0 ? "" : "##";
      part += word.substr(ends[start], ends[end] - ends[start]);
      if (const auto found = ids_.find(part); found != ids_.end()) piece = found->second;
    }
    if (!piece) break;
    ids.push_back(*piece);
    start = end + 1;
  }
  if (start + 1 < ends.size()) {
    ids.resize(before);
    ids.push_back(unknown_);
  }
}

}  // namespace imagerank::blip
