#include "perturbations/phrase.h"

#include <algorithm>

#include "core/random.h"

namespace imagerank::perturbations {
namespace {

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v'; }
bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
char lower_of(char c) { return is_upper(c) ? static_cast<char>(c - 'A' + 'a') : c; }

struct CodePoint {
  std::uint32_t value = 0;
  std::size_t size = 1;
};

/// Decodes leniently: a broken sequence is one byte, taken for a letter.
CodePoint code_point_at(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint32_t>(static_cast<unsigned char>(text[i])); };
  const std::uint32_t lead = byte(at);
  if (lead < 0x80U) return {lead, 1};
  const std::size_t size = lead >= 0xf0U ? 4 : lead >= 0xe0U ? 3 : lead >= 0xc0U ? 2 : 1;
  if (size == 1 || at + size > text.size()) return {0xe9U, 1};
  std::uint32_t value = lead & (0x7fU >> size);
  for (std::size_t i = at + 1; i < at + size; ++i) {
    if ((byte(i) & 0xc0U) != 0x80U) return {0xe9U, 1};
    value = value << 6 | (byte(i) & 0x3fU);
  }
  return {value, size};
}

bool is_word_sign(std::uint32_t c) {
  if (c < 0x80U) return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  if (c < 0xc0U) return false;                     // Latin-1 signs, no-break space
  if (c >= 0x2000U && c <= 0x2bffU) return false;  // punctuation, arrows, symbols
  if (c >= 0x3000U && c <= 0x303fU) return false;  // CJK punctuation
  if (c >= 0xff00U && c <= 0xff0fU) return false;  // full-width punctuation
  if (c >= 0xff1aU && c <= 0xff20U) return false;
  return c < 0x1f000U || c > 0x1ffffU;  // emoji
}

/// Han, kana, hangul.
bool is_word_by_itself(std::uint32_t c) {
  return (c >= 0x2e80U && c <= 0xd7ffU) || (c >= 0xf900U && c <= 0xfaffU) || c >= 0x20000U;
}

/// Whether what lies between two words joins them: one hyphen, apostrophe (straight or curly) or underscore.
bool joins(std::string_view between) {
  return between == "-" || between == "'" || between == "_" || between == "\xe2\x80\x99";
}

bool all_spaces(std::string_view between) { return std::ranges::all_of(between, is_space); }

Word word_of(std::string_view prompt, std::size_t begin, std::size_t end) {
  Word word;
  word.begin = begin;
  word.end = end;
  word.lower.resize(end - begin);
  const std::string_view text = prompt.substr(begin, end - begin);
  std::ranges::transform(text, word.lower.begin(), lower_of);
  word.capital = is_upper(text.front());
  word.shouted = std::ranges::count_if(text, is_upper) > 1 && std::ranges::none_of(text, is_lower);
  return word;
}

}  // namespace

std::vector<Word> split_words(std::string_view prompt) {
  std::vector<Word> words;
  for (std::size_t at = 0; at < prompt.size();) {
    const std::size_t begin = at;
    CodePoint point;
    while (at < prompt.size() && is_word_sign((point = code_point_at(prompt, at)).value)) at += point.size;
    if (at > begin) {
      words.push_back(word_of(prompt, begin, at));
    } else {
      at += point.size;
    }
  }
  for (std::size_t i = 0; i < words.size(); ++i) {
    const bool first = i == 0;
    const std::size_t from = first ? 0 : words[i - 1].end;
    const std::string_view between = prompt.substr(from, words[i].begin - from);
    words[i].glued_before = joins(between);
    words[i].starts_clause = first || (!all_spaces(between) && !words[i].glued_before);
    if (!first) {
      words[i - 1].glued_after = words[i].glued_before;
      words[i - 1].ends_clause = words[i].starts_clause;
    }
  }
  if (!words.empty()) words.back().ends_clause = true;
  return words;
}

std::vector<std::uint64_t> word_hashes(std::string_view lower_text) {
  std::vector<std::uint64_t> hashes;
  for (std::size_t at = 0; at < lower_text.size();) {
    const std::size_t begin = at;
    CodePoint point;
    while (at < lower_text.size()) {
      point = code_point_at(lower_text, at);
      if (!is_word_sign(point.value) || is_word_by_itself(point.value)) break;
      at += point.size;
    }
    if (at > begin) {
      hashes.push_back(text_hash(lower_text.substr(begin, at - begin)));
    } else {
      if (is_word_sign(point.value)) hashes.push_back(text_hash(lower_text.substr(at, point.size)));
      at += point.size;
    }
  }
  std::ranges::sort(hashes);
  const auto repeated = std::ranges::unique(hashes);
  hashes.erase(repeated.begin(), repeated.end());
  return hashes;
}

std::uint64_t text_hash(std::string_view text) noexcept {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return mix64(hash);
}

std::string normalized(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (!is_space(c)) {
      result += lower_of(c);
    } else if (!result.empty() && result.back() != ' ') {
      result += ' ';
    }
  }
  if (!result.empty() && result.back() == ' ') result.pop_back();
  return result;
}

}  // namespace imagerank::perturbations
