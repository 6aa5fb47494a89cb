#include "perturbations/prompt_words.h"

#include <algorithm>
#include <array>
#include <span>

namespace imagerank::perturbations {
namespace {

bool is_colour_suffix(std::string_view word) {
  return is_one_of(word, {"haired", "eyed", "skinned", "colored", "coloured", "feathered", "furred", "striped",
                          "winged", "scaled", "bearded", "clad"});
}

bool is_in(std::string_view word, std::span<const std::string_view> list) {
  return std::ranges::find(list, word) != list.end();
}

bool starts_with_any(std::string_view word, std::span<const std::string_view> starts) {
  return std::ranges::any_of(starts, [&](std::string_view start) { return word.starts_with(start); });
}

constexpr auto kSexualStarts = std::to_array<std::string_view>(
    {"sex",        "nud",      "naked",     "nsfw",    "porn",      "erotic",      "topless",   "breast",
     "boob",       "nipple",   "vagina",    "penis",   "genital",   "lewd",        "hentai",    "fetish",
     "lingerie",   "panties",  "bikini",    "undress", "underwear", "cameltoe",    "cleavage",  "busty",
     "bondage",    "orgasm",   "masturbat", "slut",    "whore",     "provocative", "seductive", "shirtless",
     "voluptuous", "stripper", "swimsuit",  "dildo",   "kiss",      "pregnan"});
constexpr auto kSexualWords = std::to_array<std::string_view>(
    {"tits", "ass", "pussy", "dick", "cock", "cum", "bra", "butt", "thong", "hot", "wet"});
constexpr auto kYoungStarts =
    std::to_array<std::string_view>({"girl", "boy", "child", "teen", "youn", "toddler", "infant", "loli", "schoolgirl",
                                     "underage", "adolescent", "pubescent"});
constexpr auto kYoungWords = std::to_array<std::string_view>(
    {"kid", "kids", "baby", "babies", "shota", "student", "students", "daughter", "daughters", "son", "minor", "little",
     "preteen", "tween", "year", "years", "yo", "age", "aged"});

bool is_digits(std::string_view word) {
  return !word.empty() && std::ranges::all_of(word, [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

bool is_one_of(std::string_view word, std::initializer_list<std::string_view> list) {
  return std::ranges::find(list, word) != list.end();
}

bool is_determiner(std::string_view word) {
  return is_one_of(word, {"a", "an", "the", "his", "her", "its", "their", "my", "your", "our", "this", "that", "one",
                          "another", "each", "every", "these", "those"});
}

bool is_number(std::string_view word) {
  if (is_digits(word) || word == "one") return true;
  const auto numbers = Lexicon::numbers();
  return std::ranges::find(numbers, word) != numbers.end();
}

PromptWords::PromptWords(std::string_view prompt) : prompt_(prompt), words_(split_words(prompt)) {
  std::size_t capitals = 0, longer = 0;
  for (const Word& word : words_) {
    if (word.lower.size() < 4 || is_function_word(word.lower)) continue;
    ++longer;
    if (word.capital) ++capitals;
  }
  title_case_ = longer > 0 && capitals * 10 > longer * 7;
  find_marks();
  for (std::size_t i = 0; i + 1 < words_.size() && negative_from_ == npos; ++i)
    if (words_[i].lower == "negative" && words_[i + 1].lower == "prompt") negative_from_ = i;
}

void PromptWords::find_marks() {
  const Lexicon& lexicon = Lexicon::english();
  mark_of_word_.assign(words_.size(), npos);
  for (std::size_t i = 0; i < words_.size();) {
    std::size_t count = std::min(lexicon.longest_phrase(words_[i].lower), words_.size() - i);
    const Entry* entry = nullptr;
    for (; count > 0 && entry == nullptr; --count) {
      std::string phrase = words_[i].lower;
      std::size_t next = i + 1;
      for (; next < i + count && !words_[next].starts_clause; ++next) phrase += " " + words_[next].lower;
      if (next == i + count) entry = lexicon.find(phrase);
      if (entry != nullptr) break;
    }
    if (entry == nullptr) {
      ++i;
      continue;
    }
    Mark mark{*entry, i, count};
    if (count == 1 && words_[i].lower == "orange" && orange_is_fruit(i)) mark.entry = *lexicon.find_noun("orange");
    for (std::size_t k = i; k < i + count; ++k) mark_of_word_[k] = marks_.size();
    marks_.push_back(mark);
    i += count;
  }
}

bool PromptWords::sexualizes_the_young() const {
  bool sexual = false, young = false;
  for (const Word& each : words_) {
    const std::string_view word = each.lower;
    sexual = sexual || starts_with_any(word, kSexualStarts) || is_in(word, kSexualWords);
    young = young || starts_with_any(word, kYoungStarts) || is_in(word, kYoungWords);
  }
  return sexual && young;
}

const Mark* PromptWords::mark_at(std::size_t word) const {
  return word >= words_.size() || mark_of_word_[word] == npos ? nullptr : &marks_[mark_of_word_[word]];
}

const Noun* PromptWords::noun_at(std::size_t word) const {
  const Mark* const mark = mark_at(word);
  if (mark == nullptr || mark->entry.word_class != WordClass::kNoun) return nullptr;
  return &Lexicon::english().nouns()[mark->entry.index];
}

std::size_t PromptWords::before(std::size_t word) const {
  return word == 0 || word >= words_.size() || words_[word].starts_clause ? npos : word - 1;
}

std::size_t PromptWords::after(std::size_t word) const {
  return word >= words_.size() || words_[word].ends_clause ? npos : word + 1;
}

std::string_view PromptWords::text(std::size_t word) const {
  return word >= words_.size() ? std::string_view() : std::string_view(words_[word].lower);
}

bool PromptWords::phrase_ends_after(std::size_t word) const {
  const std::string_view next = text(after(word));
  if (next.empty() || is_function_word(next)) return true;
  return next.size() > 4 && (next.ends_with("ing") || next.ends_with("ed"));
}

bool PromptWords::is_modifier(std::size_t word) const {
  const std::string_view lower = text(word);
  if (lower.empty() || is_function_word(lower) || is_number(lower) || noun_at(word) != nullptr) return false;
  const Mark* const mark = mark_at(word);
  return mark == nullptr || mark->entry.word_class == WordClass::kColour || mark->entry.word_class == WordClass::kSize;
}

std::size_t PromptWords::noun_after(std::size_t word, std::size_t reach) const {
  for (std::size_t at = after(word); at != npos && reach > 0; at = after(at), --reach) {
    if (noun_at(at) != nullptr) return at;
    if (!is_modifier(at)) return npos;
  }
  return npos;
}

/// "an orange cat" is a colour, "an orange on a table" a fruit: what follows decides.
bool PromptWords::orange_is_fruit(std::size_t word) const {
  const std::string_view previous = text(before(word)), next = text(after(word));
  if (is_one_of(next, {"tree", "trees", "slice", "slices", "peel", "peels", "fruit", "fruits"})) return true;
  if (is_one_of(previous, {"bright", "dark", "light", "pale", "deep", "neon", "vivid", "burnt", "and", "or", "in",
                           "color", "colour", "colored", "coloured", "wearing"})) {
    return false;
  }
  if (next == "and" || next == "or") {
    const Entry* const second = Lexicon::english().find(text(after(after(word))));
    return second == nullptr || second->word_class != WordClass::kColour;
  }
  return phrase_ends_after(word) && is_determiner(previous);
}

bool PromptWords::is_name(const Mark& mark) const {
  const Word& word = words_[mark.first];
  if (!word.capital || word.shouted || title_case_ || mark.count > 1) return false;
  if (!word.starts_clause) return true;
  const std::size_t next = after(mark.last());
  return next != npos && words_[next].capital && !words_[next].shouted;
}

bool PromptWords::is_negated(const Mark& mark) const {
  std::size_t at = mark.first;
  for (int i = 0; i < 3 && (at = before(at)) != npos; ++i)
    if (is_one_of(words_[at].lower, {"no", "without", "not", "never", "non", "minus"})) return true;
  return false;
}

bool PromptWords::is_free(const Mark& mark) const {
  const Word& last = words_[mark.last()];
  if (words_[mark.first].glued_before || mark.first >= negative_from_) return false;
  if (last.glued_after) {
    const std::string_view next = text(mark.last() + 1);
    const bool possessive = mark.entry.word_class == WordClass::kNoun && next == "s";
    const bool compound_colour = mark.entry.word_class == WordClass::kColour && is_colour_suffix(next);
    if (!possessive && !compound_colour) return false;
  }
  return !is_name(mark) && !is_negated(mark);
}

}  // namespace imagerank::perturbations
