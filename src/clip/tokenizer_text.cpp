#include "clip/tokenizer_text.h"

#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>
#include <unicode/regex.h>
#include <unicode/uchar.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <array>

#include "core/fail.h"

namespace imagerank::clip {
namespace {

enum class CharacterClass : std::uint8_t { kSymbol, kLetter, kNumber, kSpace };

CharacterClass classify_slow(UChar32 c) noexcept {
  const std::uint32_t mask = U_GET_GC_MASK(c);
  if ((mask & U_GC_L_MASK) != 0) return CharacterClass::kLetter;
  if ((mask & U_GC_N_MASK) != 0) return CharacterClass::kNumber;
  return u_isUWhiteSpace(c) != 0 ? CharacterClass::kSpace : CharacterClass::kSymbol;
}

const std::array<CharacterClass, 128> kAsciiClasses = [] {
  std::array<CharacterClass, 128> classes{};
  for (UChar32 c = 0; c < 128; ++c) classes[static_cast<std::size_t>(c)] = classify_slow(c);
  return classes;
}();

/// Decodes the code point at `at` of valid UTF-8 and moves past it.
UChar32 next_code_point(std::string_view text, std::size_t& at) noexcept {
  const auto lead = static_cast<unsigned char>(text[at]);
  if (lead < 0x80) {
    ++at;
    return lead;
  }
  UChar32 c = 0;
  // NOLINTNEXTLINE(bugprone-inc-dec-in-conditions,readability-simplify-subscript-expr): inside ICU's macro
  U8_NEXT_OR_FFFD(text.data(), at, text.size(), c);
  return c;
}

CharacterClass classify(UChar32 c) noexcept {
  return c < 128 ? kAsciiClasses[static_cast<std::size_t>(c)] : classify_slow(c);
}

void append(std::string& out, UChar32 c) {
  std::array<char, U8_MAX_LENGTH> bytes{};
  std::int32_t length = 0;
  UBool failed = 0;
  // NOLINTNEXTLINE(readability-simplify-subscript-expr): inside ICU's macro
  U8_APPEND(bytes.data(), length, U8_MAX_LENGTH, c, failed);
  if (failed == 0) out.append(bytes.data(), static_cast<std::size_t>(length));
}

void lower_case_ascii(std::string& text) noexcept {
  for (char& c : text) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

/// Rust's char::to_lowercase: without context (no final sigma), and U+0130 is the only one that grows.
std::string lower_case(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    if (lead < 0x80) {
      out += static_cast<char>(lead >= 'A' && lead <= 'Z' ? lead + 32 : lead);
      ++i;
      continue;
    }
    const UChar32 c = next_code_point(text, i);
    append(out, c == 0x130 ? 'i' : u_tolower(c));
    if (c == 0x130) append(out, 0x307);
  }
  return out;
}

std::string compose(std::string_view text, const icu::Normalizer2& form) {
  UErrorCode status = U_ZERO_ERROR;
  const icu::StringPiece piece(text.data(), static_cast<std::int32_t>(text.size()));
  if (form.isNormalizedUTF8(piece, status) != 0 && U_SUCCESS(status)) return std::string(text);
  status = U_ZERO_ERROR;
  std::string out;
  icu::StringByteSink<std::string> sink(&out);
  form.normalizeUTF8(0, piece, sink, nullptr, status);
  if (U_FAILURE(status)) fail(ErrorCode::kCorruptData, "normalising a text: ICU says {}", u_errorName(status));
  return out;
}

const icu::Normalizer2* normal_form(NormalizerKind kind) {
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2* form = nullptr;
  switch (kind) {
    case NormalizerKind::kNfc:
      form = icu::Normalizer2::getNFCInstance(status);
      break;
    case NormalizerKind::kNfd:
      form = icu::Normalizer2::getNFDInstance(status);
      break;
    case NormalizerKind::kNfkc:
      form = icu::Normalizer2::getNFKCInstance(status);
      break;
    case NormalizerKind::kNfkd:
      form = icu::Normalizer2::getNFKDInstance(status);
      break;
    default:
      return nullptr;
  }
  if (U_FAILURE(status)) fail(ErrorCode::kUnavailable, "ICU's normalisation data: {}", u_errorName(status));
  return form;
}

std::unique_ptr<icu::RegexPattern> compile(std::string pattern) {
  // Oniguruma's \s is White_Space; ICU's is not.
  for (std::size_t at = 0; (at = pattern.find('\\', at)) != std::string::npos; at += 2) {
    if (at + 1 >= pattern.size() || (pattern[at + 1] != 's' && pattern[at + 1] != 'S')) continue;
    const std::string replacement = pattern[at + 1] == 's' ? "\\p{White_Space}" : "\\P{White_Space}";
    pattern.replace(at, 2, replacement);
    at += replacement.size() - 2;
  }
  UErrorCode status = U_ZERO_ERROR;
  UParseError where{};
  std::unique_ptr<icu::RegexPattern> compiled(
      icu::RegexPattern::compile(icu::UnicodeString::fromUTF8(pattern), 0, where, status));
  if (U_FAILURE(status)) {
    fail(ErrorCode::kCorruptData, "tokenizer pattern {}: expected a regular expression, ICU says {}", pattern,
         u_errorName(status));
  }
  return compiled;
}

/// The byte ranges of the matches of `pattern` in `text`, empty ones left out.
std::vector<std::pair<std::size_t, std::size_t>> find_matches(const icu::RegexPattern& pattern, std::string_view text) {
  const icu::UnicodeString wide =
      icu::UnicodeString::fromUTF8(icu::StringPiece(text.data(), static_cast<std::int32_t>(text.size())));
  UErrorCode status = U_ZERO_ERROR;
  const std::unique_ptr<icu::RegexMatcher> matcher(pattern.matcher(wide, status));
  std::vector<std::pair<std::size_t, std::size_t>> ranges;
  std::size_t byte = 0;
  std::int32_t unit = 0;
  const auto byte_of = [&](std::int32_t target) {
    while (unit < target) unit += U16_LENGTH(next_code_point(text, byte));
    return byte;
  };
  while (U_SUCCESS(status) && matcher->find(status) != 0) {
    const std::size_t begin = byte_of(matcher->start(status));
    const std::size_t end = byte_of(matcher->end(status));
    if (end > begin) ranges.emplace_back(begin, end);
  }
  if (U_FAILURE(status)) fail(ErrorCode::kCorruptData, "splitting a text: ICU says {}", u_errorName(status));
  return ranges;
}

std::string collapse_white_space(std::string_view text, std::string_view content) {
  std::string out;
  out.reserve(text.size());
  bool in_space = false;
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t begin = i;
    const bool space = classify(next_code_point(text, i)) == CharacterClass::kSpace;
    if (!space) out.append(text.substr(begin, i - begin));
    if (space && !in_space) out.append(content);
    in_space = space;
  }
  return out;
}

/// collapse_white_space for ASCII and one character, in place and without branches.
void collapse_white_space_ascii(std::string& text, char content) noexcept {
  std::size_t length = 0;
  bool in_space = false;
  for (const char c : text) {
    const bool space = kAsciiClasses[static_cast<unsigned char>(c)] == CharacterClass::kSpace;
    text[length] = space ? content : c;
    length += space && in_space ? 0 : 1;
    in_space = space;
  }
  text.resize(length);
}

std::string_view strip(std::string_view text) {
  std::size_t begin = 0;
  std::size_t end = 0;
  bool started = false;
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t at = i;
    if (is_white_space(next_code_point(text, i))) continue;
    if (!started) begin = at;
    started = true;
    end = i;
  }
  return text.substr(begin, end - begin);
}

}  // namespace

bool is_white_space(std::int32_t code_point) noexcept { return u_isUWhiteSpace(code_point) != 0; }

bool is_word_character(std::int32_t code_point) noexcept {
  constexpr std::uint32_t kMask = U_GC_M_MASK | U_GC_ND_MASK | U_GC_PC_MASK;
  return (U_GET_GC_MASK(code_point) & kMask) != 0 || u_isUAlphabetic(code_point) != 0 ||
         u_hasBinaryProperty(code_point, UCHAR_JOIN_CONTROL) != 0;
}

std::int32_t code_point_at(std::string_view text, std::size_t at, std::size_t& end) noexcept {
  end = at;
  return next_code_point(text, end);
}

std::int32_t code_point_before(std::string_view text, std::size_t at, std::size_t& begin) noexcept {
  begin = at - 1;
  while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xc0U) == 0x80U) --begin;
  std::size_t end = begin;
  return next_code_point(text, end);
}

bool is_ascii(std::string_view text) noexcept {
  unsigned char bits = 0;  // no early end: the loop is vectorised
  for (const char c : text) bits |= static_cast<unsigned char>(c);
  return bits < 0x80;
}

std::string repair_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) append(out, next_code_point(text, i));
  return out;
}

struct TextNormalizer::Step {
  NormalizerKind kind = NormalizerKind::kNfc;
  bool white_space = false;  ///< kReplace of \s+, which has a hand-written loop
  std::string content;
  std::unique_ptr<icu::RegexPattern> pattern;
  const icu::Normalizer2* form = nullptr;
};

TextNormalizer::TextNormalizer(const std::vector<NormalizerStep>& steps) {
  for (const NormalizerStep& source : steps) {
    auto step = std::make_unique<Step>();
    step->kind = source.kind;
    step->content = source.content;
    step->form = normal_form(source.kind);
    step->white_space = source.kind == NormalizerKind::kReplace && source.pattern == "\\s+";
    if (source.kind == NormalizerKind::kReplace && !step->white_space) step->pattern = compile(source.pattern);
    steps_.push_back(std::move(step));
  }
}
TextNormalizer::~TextNormalizer() = default;

std::string TextNormalizer::normalize(std::string_view text) const {
  std::string current(text);
  bool ascii = is_ascii(text);
  for (const auto& step : steps_) {
    if (step->form != nullptr) {
      if (!ascii) current = compose(current, *step->form);
    } else if (step->kind == NormalizerKind::kLowercase && ascii) {
      lower_case_ascii(current);
    } else if (step->kind == NormalizerKind::kLowercase) {
      current = lower_case(current);
    } else if (step->kind == NormalizerKind::kStrip) {
      current = std::string(strip(current));
    } else if (step->white_space && ascii && step->content.size() == 1) {
      collapse_white_space_ascii(current, step->content[0]);
    } else if (step->white_space) {
      current = collapse_white_space(current, step->content);
    } else {
      std::string replaced;
      std::size_t last = 0;
      for (const auto& [begin, end] : find_matches(*step->pattern, current)) {
        replaced.append(current, last, begin - last).append(step->content);
        last = end;
      }
      replaced.append(current, last);
      current = std::move(replaced);
    }
    ascii = ascii && is_ascii(step->content);
  }
  return current;
}

struct TextSplitter::Step {
  std::unique_ptr<icu::RegexPattern> pattern;
  bool keep_gaps = false;
};

TextSplitter::TextSplitter(const std::vector<SplitStep>& steps)
    : clip_(steps.size() == 1 && steps[0].pattern == kClipSplitPattern && !steps[0].keep_gaps) {
  if (clip_) return;
  for (const SplitStep& source : steps) {
    auto step = std::make_unique<Step>();
    step->pattern = compile(source.pattern);
    step->keep_gaps = source.keep_gaps;
    steps_.push_back(std::move(step));
  }
}
TextSplitter::~TextSplitter() = default;

bool TextSplitter::next_clip_word(std::string_view text, std::size_t& begin, std::size_t& end) noexcept {
  std::size_t next = begin;
  CharacterClass kind = CharacterClass::kSpace;
  while (begin < text.size()) {
    next = begin;
    kind = classify(next_code_point(text, next));
    if (kind != CharacterClass::kSpace) break;
    begin = next;
  }
  if (begin >= text.size()) return false;
  end = next;
  if (kind == CharacterClass::kNumber) return true;
  if (text[begin] == '\'') {
    const char first = begin + 1 < text.size() ? text[begin + 1] : '\0';
    const char second = begin + 2 < text.size() ? text[begin + 2] : '\0';
    if (first == 's' || first == 't' || first == 'm' || first == 'd') {
      end = begin + 2;
      return true;
    }
    if ((first == 'r' && second == 'e') || (first == 'v' && second == 'e') || (first == 'l' && second == 'l')) {
      end = begin + 3;
      return true;
    }
  }
  while (end < text.size()) {
    next = end;
    if (classify(next_code_point(text, next)) != kind) break;
    end = next;
  }
  return true;
}

void TextSplitter::split_generic(std::string_view text, const std::function<void(std::string_view)>& word) const {
  std::vector<std::string_view> pieces = {text};
  for (const auto& step : steps_) {
    std::vector<std::string_view> next;
    for (const std::string_view piece : pieces) {
      std::size_t last = 0;
      const auto gap = [&](std::size_t end) {
        if (step->keep_gaps && end > last) next.push_back(piece.substr(last, end - last));
      };
      for (const auto& [begin, end] : find_matches(*step->pattern, piece)) {
        gap(begin);
        next.push_back(piece.substr(begin, end - begin));
        last = end;
      }
      gap(piece.size());
    }
    pieces = std::move(next);
  }
  for (const std::string_view piece : pieces) {
    if (!piece.empty()) word(piece);
  }
}

}  // namespace imagerank::clip
