#include "perturbations/lexicon.h"

#include <algorithm>
#include <array>
#include <utility>

#include "perturbations/lexicon_words.h"

namespace imagerank::perturbations {
namespace {

constexpr std::array<std::string_view, 115> kFunctionWords = {
    "a",      "about", "above",   "across", "after",   "against", "along",  "also",       "am",    "amid",   "among",
    "an",     "and",   "are",     "around", "as",      "at",      "away",   "be",         "been",  "before", "behind",
    "being",  "below", "beneath", "beside", "between", "beyond",  "but",    "by",         "can",   "could",  "did",
    "do",     "does",  "down",    "during", "each",    "every",   "for",    "from",       "had",   "has",    "have",
    "he",     "her",   "his",     "i",      "if",      "in",      "inside", "into",       "is",    "it",     "its",
    "just",   "like",  "made",    "may",    "must",    "my",      "near",   "next",       "no",    "nor",    "not",
    "of",     "off",   "on",      "onto",   "or",      "our",     "out",    "outside",    "over",  "per",    "she",
    "should", "so",    "than",    "that",   "the",     "their",   "them",   "then",       "there", "these",  "they",
    "this",   "those", "through", "to",     "toward",  "towards", "under",  "underneath", "until", "up",     "upon",
    "versus", "vs",    "was",     "were",   "what",    "when",    "where",  "which",      "while", "who",    "whose",
    "will",   "with",  "without", "would",  "yet"};

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(separator, at), text.size());
    if (end > at) parts.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return parts;
}

std::string spaced(std::string_view phrase) {
  std::string text(phrase);
  std::ranges::replace(text, '_', ' ');
  return text;
}

/// Takes a mark off the end of a word.
bool take_mark(std::string_view& word, char mark) {
  if (!word.ends_with(mark)) return false;
  word.remove_suffix(1);
  return true;
}

bool is_vowel(char letter) { return std::string_view("aeiou").find(letter) != std::string_view::npos; }

std::string regular_plural(const std::string& word) {
  for (const std::string_view ending : {"s", "x", "z", "ch", "sh"})
    if (word.ends_with(ending)) return word + "es";
  if (word.size() > 1 && word.back() == 'y' && !is_vowel(word[word.size() - 2]))
    return word.substr(0, word.size() - 1) + "ies";
  return word + "s";
}

/// Calls `visit(family, word)` for each word of "a b | c d"; families count on from `first`.
template <typename Visit>
int for_each_word(std::string_view list, int first, Visit visit) {
  for (const std::string_view group : split(list, '|')) {
    for (const std::string_view word : split(group, ' ')) visit(first, word);
    ++first;
  }
  return first;
}

}  // namespace

const Lexicon& Lexicon::english() {
  static const Lexicon kLexicon;
  return kLexicon;
}

Lexicon::Lexicon() {
  add_nouns();
  add_colours();
  add_opposites();
  add_backgrounds();
  for (std::size_t i = 0; i < words::kNumbers.size(); ++i)
    add(std::string(words::kNumbers[i]), {WordClass::kNumber, i, true});
  for (const std::string_view phrase : split(words::kProtected, ' '))
    add(spaced(phrase), {WordClass::kProtected, 0, false});
}

void Lexicon::add(const std::string& phrase, Entry entry) {
  std::string key = phrase;
  std::ranges::replace(key, '-', ' ');
  std::size_t& longest = longest_[key.substr(0, key.find(' '))];
  longest = std::max(longest, 1 + static_cast<std::size_t>(std::ranges::count(key, ' ')));
  if (entry.word_class == WordClass::kNoun) nouns_too_.try_emplace(key, entry);
  phrases_.insert_or_assign(std::move(key), entry);
}

void Lexicon::add_nouns() {
  int family = 0;
  for (std::size_t kind = 0; kind < words::kNouns.size(); ++kind) {
    family = for_each_word(words::kNouns[kind].second, family, [&](int at, std::string_view word) {
      Noun noun;
      noun.kind = static_cast<int>(kind);
      noun.family = at;
      noun.needs_determiner = take_mark(word, '?');
      const std::size_t colon = word.find(':');
      std::string_view singular = word.substr(0, colon);
      noun.offered = !take_mark(singular, '-');
      noun.general = take_mark(singular, '*');
      noun.singular = spaced(singular);
      noun.plural = colon == std::string_view::npos ? regular_plural(noun.singular) : spaced(word.substr(colon + 1));
      add(noun.plural, {WordClass::kNoun, nouns_.size(), true});
      add(noun.singular, {WordClass::kNoun, nouns_.size(), false});
      nouns_.push_back(std::move(noun));
    });
  }
}

void Lexicon::add_colours() {
  int family = 0;
  for (std::size_t group = 0; group < words::kColours.size(); ++group) {
    family = for_each_word(words::kColours[group], family, [&](int at, std::string_view word) {
      Colour colour;
      colour.group = static_cast<int>(group);
      colour.family = at;
      colour.offered = !take_mark(word, '-');
      colour.text = spaced(word);
      add(colour.text, {WordClass::kColour, colours_.size(), false});
      colours_.push_back(std::move(colour));
    });
  }
}

void Lexicon::add_opposites() {
  const auto add_all = [this](WordClass word_class, std::vector<Opposite>& list, std::string_view from,
                              std::string_view to) {
    Opposite opposite;
    for (const std::string_view word : split(to, ' ')) opposite.opposites.push_back(spaced(word));
    for (const std::string_view word : split(from, ' ')) {
      opposite.text = spaced(word);
      add(opposite.text, {word_class, list.size(), false});
      list.push_back(opposite);
    }
  };
  for (const auto& [from, to] : words::kSizes) add_all(WordClass::kSize, sizes_, from, to);
  for (const auto& [from, to] : words::kRelations) add_all(WordClass::kRelation, relations_, from, to);
  for (const auto& [one, other] : words::kMirrored) {
    add_all(WordClass::kRelation, relations_, one, other);
    add_all(WordClass::kRelation, relations_, other, one);
  }
}

void Lexicon::add_backgrounds() {
  for_each_word(words::kPlaces, 0, [&](int family, std::string_view word) {
    const std::size_t equals = word.find('=');
    Place place;
    place.noun = spaced(word.substr(0, equals));
    if (equals != std::string_view::npos) place.phrase = spaced(word.substr(equals + 1));
    place.family = family;
    add(place.noun, {WordClass::kPlace, places_.size(), false});
    places_.push_back(std::move(place));
  });
  int family = 0;
  for (std::size_t group = 0; group < words::kTimes.size(); ++group) {
    family = for_each_word(words::kTimes[group], family, [&](int at, std::string_view word) {
      add(spaced(word), {WordClass::kTime, times_.size(), false});
      times_.push_back({spaced(word), static_cast<int>(group), at});
    });
  }
}

const Entry* Lexicon::find(std::string_view phrase) const {
  const auto at = phrases_.find(phrase);
  return at == phrases_.end() ? nullptr : &at->second;
}

std::size_t Lexicon::longest_phrase(std::string_view first_word) const {
  const auto at = longest_.find(first_word);
  return at == longest_.end() ? 0 : at->second;
}

const Entry* Lexicon::find_noun(std::string_view phrase) const {
  const auto at = nouns_too_.find(phrase);
  return at == nouns_too_.end() ? nullptr : &at->second;
}

std::span<const std::string_view> Lexicon::numbers() noexcept { return words::kNumbers; }

std::string_view Lexicon::noun_kind(int kind) noexcept { return words::kNouns[static_cast<std::size_t>(kind)].first; }

bool is_function_word(std::string_view word) { return std::ranges::binary_search(kFunctionWords, word); }

bool takes_an(std::string_view word) {
  for (const std::string_view start : {"uni", "eu", "uku", "one", "once", "use", "ufo"})
    if (word.starts_with(start)) return false;
  for (const std::string_view start : {"hour", "honest", "heir"})
    if (word.starts_with(start)) return true;
  return !word.empty() && is_vowel(word.front());
}

}  // namespace imagerank::perturbations
