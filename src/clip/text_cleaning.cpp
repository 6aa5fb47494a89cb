#include "clip/text_cleaning.h"

#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "clip/text_cleaning_entities.h"
#include "clip/tokenizer_text.h"
#include "core/fail.h"

namespace imagerank::clip {
namespace {

using CodePoints = std::vector<UChar32>;

// What bytes 0x80..0x9f are in Windows-1252; 0: unassigned there, where HTML and ftfy fall back to Latin-1's control.
constexpr std::array<UChar32, 32> kWindows1252 = {0x20ac, 0,      0x201a, 0x192,  0x201e, 0x2026, 0x2020, 0x2021,
                                                  0x2c6,  0x2030, 0x160,  0x2039, 0x152,  0,      0x17d,  0,
                                                  0,      0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014,
                                                  0x2dc,  0x2122, 0x161,  0x203a, 0x153,  0,      0x17e,  0x178};

void append(std::string& out, UChar32 c) {
  std::array<char, U8_MAX_LENGTH> bytes{};
  std::int32_t length = 0;
  UBool failed = 0;
  // NOLINTNEXTLINE(readability-simplify-subscript-expr): inside ICU's macro
  U8_APPEND(bytes.data(), length, U8_MAX_LENGTH, c, failed);
  if (failed == 0) out.append(bytes.data(), static_cast<std::size_t>(length));
}

CodePoints decode(std::string_view text) {
  CodePoints points;
  points.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    UChar32 c = 0;
    // NOLINTNEXTLINE(bugprone-inc-dec-in-conditions,readability-simplify-subscript-expr): inside ICU's macro
    U8_NEXT_OR_FFFD(text.data(), i, text.size(), c);
    points.push_back(c);
  }
  return points;
}

/// The byte that Windows-1252 (or Latin-1) shows as this character.
std::optional<std::uint8_t> sloppy_byte(UChar32 c) {
  if (c < 0x100) return static_cast<std::uint8_t>(c);
  const auto* const found = std::ranges::find(kWindows1252, c);
  if (found == kWindows1252.end()) return std::nullopt;
  return static_cast<std::uint8_t>(0x80 + (found - kWindows1252.begin()));
}

/// Replaces each run that is one multi-byte UTF-8 sequence seen through Windows-1252. A sequence needs a lead byte and
/// all of its continuations, which ordinary text in Western languages hardly ever shows.
bool undo_mojibake(CodePoints& points) {
  CodePoints out;
  bool changed = false;
  for (std::size_t i = 0; i < points.size();) {
    const auto lead = points[i] >= 0x80 ? sloppy_byte(points[i]) : std::nullopt;
    const std::size_t length = !lead || *lead < 0xc2 || *lead > 0xf4 ? 0 : *lead < 0xe0 ? 2 : *lead < 0xf0 ? 3 : 4;
    std::string bytes;
    for (std::size_t k = 0; k < length && i + k < points.size(); ++k) {
      const auto byte = sloppy_byte(points[i + k]);
      if (!byte || (k > 0 && (*byte & 0xc0U) != 0x80U)) break;
      bytes += static_cast<char>(*byte);
    }
    UChar32 c = -1;
    if (length > 0 && bytes.size() == length) {
      std::size_t at = 0;
      // NOLINTNEXTLINE(bugprone-inc-dec-in-conditions,readability-simplify-subscript-expr): inside ICU's macro
      U8_NEXT(bytes.data(), at, bytes.size(), c);
    }
    if (c < 0) {
      out.push_back(points[i++]);
      continue;
    }
    out.push_back(c);
    i += length;
    changed = true;
  }
  points = std::move(out);
  return changed;
}

std::string remove_terminal_escapes(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    if (text.substr(i, 2) == "\x1b[") {
      std::size_t end = i + 2;
      while (end < text.size() && (text[end] == ';' || (text[end] >= '0' && text[end] <= '9'))) ++end;
      if (end < text.size() && std::isalpha(static_cast<unsigned char>(text[end])) != 0) {
        i = end + 1;
        continue;
      }
    }
    out += text[i++];
  }
  return out;
}

const icu::Normalizer2& form(const icu::Normalizer2* (*instance)(UErrorCode&)) {
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2* found = instance(status);
  if (U_FAILURE(status)) fail(ErrorCode::kUnavailable, "ICU's normalisation data: {}", u_errorName(status));
  return *found;
}

std::string normalize(std::string_view text, const icu::Normalizer2& normalizer) {
  UErrorCode status = U_ZERO_ERROR;
  std::string out;
  icu::StringByteSink<std::string> sink(&out);
  normalizer.normalizeUTF8(0, icu::StringPiece(text.data(), static_cast<std::int32_t>(text.size())), sink, nullptr,
                           status);
  if (U_FAILURE(status)) fail(ErrorCode::kCorruptData, "normalising a text: ICU says {}", u_errorName(status));
  return out;
}

bool is_ligature(UChar32 c) {
  return (c >= 0xfb00 && c <= 0xfb06) || c == 0x132 || c == 0x133 || (c >= 0x1c4 && c <= 0x1cc) ||
         (c >= 0x1f1 && c <= 0x1f3);
}
bool is_useless_control(UChar32 c) {
  return c <= 8 || c == 0xb || (c >= 0xe && c <= 0x1f) || c == 0x7f || (c >= 0x206a && c <= 0x206f) || c == 0xfeff ||
         (c >= 0xfff9 && c <= 0xfffc);
}

/// Ligatures, widths, quotes, line breaks and controls, character by character.
std::string repair_characters(const CodePoints& points) {
  const icu::Normalizer2& compatibility = form(&icu::Normalizer2::getNFKCInstance);
  std::string out;
  for (std::size_t i = 0; i < points.size(); ++i) {
    const UChar32 c = points[i];
    if (is_ligature(c) || c == 0x3000 || (c >= 0xff01 && c <= 0xffef)) {
      std::string one;
      append(one, c);
      out += normalize(one, compatibility);
    } else if ((c >= 0x2018 && c <= 0x201b) || c == 0x2bc) {
      out += '\'';
    } else if (c >= 0x201c && c <= 0x201f) {
      out += '"';
    } else if (c == '\r' || c == 0x2028 || c == 0x2029 || c == 0x85) {
      if (c != '\r' || i + 1 == points.size() || points[i + 1] != '\n') out += '\n';
    } else if (!is_useless_control(c)) {
      append(out, c);
    }
  }
  return out;
}

const HtmlEntity* find_entity(std::string_view name) {
  const auto all = html_entities();
  const auto found =
      std::ranges::lower_bound(all, name, {}, [](const HtmlEntity& entity) { return std::string_view(entity.name); });
  return found != all.end() && found->name == name ? &*found : nullptr;
}

/// HTML 5's reading of a number: Windows-1252 for 128..159, U+FFFD for what is no character, nothing for noncharacters.
void append_numeric(std::string& out, std::uint64_t number) {
  if (number == 0 || number > 0x10ffff || (number >= 0xd800 && number <= 0xdfff)) return append(out, 0xfffd);
  const auto c = static_cast<UChar32>(number);
  if (c >= 0x80 && c <= 0x9f) {
    const UChar32 mapped = kWindows1252[static_cast<std::size_t>(c - 0x80)];
    return append(out, mapped != 0 ? mapped : c);
  }
  if (c == '\r') return append(out, c);
  const bool control = c < 0x20 && c != '\t' && c != '\n' && c != '\f';
  if (control || c == 0x7f || U_IS_UNICODE_NONCHAR(c)) return;
  append(out, c);
}

/// Reads a reference that starts at text[at] == '&'. @return the length taken, 0 if it is none.
std::size_t read_reference(std::string_view text, std::size_t at, std::string& out) {
  std::size_t i = at + 1;
  if (i < text.size() && text[i] == '#') {
    const bool hex = i + 1 < text.size() && (text[i + 1] == 'x' || text[i + 1] == 'X');
    i += hex ? 2 : 1;
    const std::size_t first = i;
    std::uint64_t number = 0;
    for (; i < text.size(); ++i) {
      const char c = text[i];
      const int digit = c >= '0' && c <= '9'          ? c - '0'
                        : hex && c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : hex && c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                      : -1;
      if (digit < 0) break;
      number = std::min<std::uint64_t>(number * (hex ? 16 : 10) + static_cast<std::uint64_t>(digit), 0x110000);
    }
    if (i == first) return 0;
    append_numeric(out, number);
    return i - at + (i < text.size() && text[i] == ';' ? 1 : 0);
  }
  while (i < text.size() && std::isalnum(static_cast<unsigned char>(text[i])) != 0 && i - at <= 32) ++i;
  const std::string_view name = text.substr(at + 1, i - at - 1);
  if (i < text.size() && text[i] == ';') {
    if (const HtmlEntity* entity = find_entity(name); entity != nullptr) {
      append(out, entity->code_point);
      return name.size() + 2;
    }
  }
  // Latin-1's names, and those of & < > ", count without the semicolon too.
  for (std::size_t length = name.size(); length >= 2; --length) {
    const HtmlEntity* entity = find_entity(name.substr(0, length));
    if (entity == nullptr || entity->code_point >= 0x100 || entity->code_point == '\'') continue;
    append(out, entity->code_point);
    return length + 1;
  }
  return 0;
}

std::string_view strip(std::string_view text) {
  const auto is_space = [](UChar32 c) { return u_isUWhiteSpace(c) != 0 || (c >= 0x1c && c <= 0x1f); };
  while (!text.empty()) {
    std::size_t end = 0;
    if (!is_space(code_point_at(text, 0, end))) break;
    text.remove_prefix(end);
  }
  while (!text.empty()) {
    std::size_t begin = 0;
    if (!is_space(code_point_before(text, text.size(), begin))) break;
    text = text.substr(0, begin);
  }
  return text;
}

}  // namespace

std::string unescape_html(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t taken = text[i] == '&' ? read_reference(text, i, out) : 0;
    if (taken == 0) out += text[i];
    i += std::max<std::size_t>(taken, 1);
  }
  return out;
}

std::string clean_text_as_openai(std::string_view text) {
  CodePoints points = decode(remove_terminal_escapes(text));
  for (int round = 0; round < 3 && undo_mojibake(points); ++round) {
  }
  std::string current = normalize(repair_characters(points), form(&icu::Normalizer2::getNFCInstance));
  current = unescape_html(unescape_html(current));
  return std::string(strip(current));
}

}  // namespace imagerank::clip
