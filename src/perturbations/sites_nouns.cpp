#include <algorithm>
#include <array>
#include <set>

#include "perturbations/sites.h"

namespace imagerank::perturbations {
namespace {

const Lexicon& lexicon() { return Lexicon::english(); }

constexpr std::array<std::string_view, 8> kDigits = {"2", "3", "4", "5", "6", "7", "8", "9"};
/// "fourteen dogs" and "fifteen dogs" look alike: numbers that are offered end here.
constexpr std::size_t kOffered = 5;

/// Words that cannot be a verb stand before: "a", "two", "red", "small".
bool is_determined(const PromptWords& prompt, std::size_t word) {
  const std::size_t at = prompt.before(word);
  if (at == PromptWords::npos) return false;
  if (is_determiner(prompt.text(at)) || is_number(prompt.text(at))) return true;
  const Mark* const mark = prompt.mark_at(at);
  return mark != nullptr &&
         (mark->entry.word_class == WordClass::kColour || mark->entry.word_class == WordClass::kSize);
}

/// 1, 2 (several), or 0 where a word like "deer" does not say.
int grammatical_number(const PromptWords& prompt, const Mark& mark, const Noun& noun) {
  if (noun.singular != noun.plural) return mark.entry.plural ? 2 : 1;
  std::size_t at = prompt.before(mark.first);
  while (prompt.is_modifier(at)) at = prompt.before(at);
  const std::string_view word = prompt.text(at);
  if (is_one_of(word, {"a", "an", "one", "this", "that", "1"})) return 1;
  if (is_number(word) || is_one_of(word, {"many", "several", "these", "those", "some"})) return 2;
  return 0;
}

/// Later words of the clause that would disagree with another number: "a man holding his hat".
bool has_singular_pronoun(const PromptWords& prompt, std::size_t word) {
  for (std::size_t at = prompt.after(word); at != PromptWords::npos; at = prompt.after(at)) {
    if (is_one_of(prompt.text(at), {"his", "her", "its", "he", "she", "it", "him", "himself", "herself", "itself"}))
      return true;
  }
  return false;
}

/// No "he" in the rest of the clause for a queen, no "she" for a king.
bool agrees_with_pronouns(const PromptWords& prompt, std::size_t word, const Noun& noun) {
  const bool female =
      is_one_of(noun.singular, {"woman", "grandmother", "queen", "witch", "nun", "ballerina", "mermaid"});
  const bool male =
      is_one_of(noun.singular, {"man", "grandfather", "king", "businessman", "fisherman", "priest", "cowboy"});
  if (!female && !male) return true;
  for (std::size_t at = prompt.after(word); at != PromptWords::npos; at = prompt.after(at)) {
    if (female && is_one_of(prompt.text(at), {"he", "his", "him", "himself"})) return false;
    if (male && is_one_of(prompt.text(at), {"she", "her", "hers", "herself"})) return false;
  }
  return true;
}

/// The noun that a number or article at `word` counts; npos if there is none, or it is not the head of its phrase.
std::size_t counted_noun(const PromptWords& prompt, std::size_t word, bool plural) {
  const std::size_t at = prompt.noun_after(word, 4);
  if (at == PromptWords::npos) return at;
  const Mark& mark = *prompt.mark_at(at);
  const Noun& noun = *prompt.noun_at(at);
  if (!prompt.is_free(mark) || prompt.words()[mark.last()].glued_after) return PromptWords::npos;
  if (noun.singular != noun.plural && mark.entry.plural != plural) return PromptWords::npos;
  if (Lexicon::noun_kind(noun.kind) == "clothing" || !prompt.phrase_ends_after(mark.last())) return PromptWords::npos;
  const std::size_t next = prompt.after(mark.last());
  if (is_one_of(prompt.text(next), {"that", "who", "which", "whose", "made"})) return PromptWords::npos;
  // "a black woman and man": the article stands for both.
  if (is_one_of(prompt.text(next), {"and", "or"}) && !is_determiner(prompt.text(prompt.after(next))) &&
      !is_number(prompt.text(prompt.after(next)))) {
    return PromptWords::npos;
  }
  return at;
}

/// Words before "a dog" that leave "three dogs" readable: "photo of", "and", "with", "riding".
bool may_become_several(const PromptWords& prompt, std::size_t article) {
  const std::string_view previous = prompt.text(prompt.before(article));
  for (std::size_t at = prompt.before(article); at != PromptWords::npos; at = prompt.before(at))
    if (prompt.text(at) == "between") return false;
  return previous.empty() || is_one_of(previous, {"of", "and", "with", "vs", "or"}) ||
         (previous.size() > 4 && previous.ends_with("ing"));
}

/// Words before "two dogs" that do not bear "a dog": "group of", "the", "his".
bool may_become_one(const PromptWords& prompt, std::size_t number) {
  const std::string_view previous = prompt.text(prompt.before(number));
  return !is_determiner(previous) &&
         !is_one_of(previous, {"all", "other", "first", "last", "between", "among", "of", "into"});
}

/// A plural that the lexicon does not know: "two llamas". Units and ages are none.
bool looks_plural(std::string_view word) {
  if (word.size() < 4 || !word.ends_with('s') || word.ends_with("ss") || word.ends_with("us") || word.ends_with("is"))
    return false;
  return !is_one_of(word, {"years",   "days",     "hours",  "minutes",  "seconds",    "months",     "weeks",
                           "feet",    "meters",   "metres", "inches",   "times",      "pounds",     "degrees",
                           "dollars", "percents", "thirds", "quarters", "points",     "dimensions", "sides",
                           "ways",    "bits",     "pixels", "points",   "megapixels", "steps",      "points"});
}

/// "a 12 year old boy": no other person, whose age would be another.
bool is_aged(const PromptWords& prompt, std::size_t word) {
  std::size_t at = word;
  for (int i = 0; i < 4 && (at = prompt.before(at)) != PromptWords::npos; ++i)
    if (is_one_of(prompt.text(at), {"year", "years", "yo", "aged"})) return true;
  return false;
}

void add_several(const PromptWords& prompt, std::size_t word, std::vector<Site>& sites) {
  const std::string_view text = prompt.text(word);
  const bool digits = text.front() >= '0' && text.front() <= '9';
  const std::size_t noun = counted_noun(prompt, word, true);
  std::size_t next = prompt.after(word);
  if (prompt.is_modifier(next) && !looks_plural(prompt.text(next))) next = prompt.after(next);
  const bool known = prompt.noun_at(next) != nullptr && prompt.mark_at(next)->entry.plural;
  if (noun == PromptWords::npos && !known && !looks_plural(prompt.text(next))) return;
  Site site{Change::kNumber, word, 1, {}, PromptWords::npos};
  if (digits) {
    for (const std::string_view other : kDigits)
      if (other != text) site.options.push_back(other);
  } else {
    for (const std::string_view other : Lexicon::numbers().first(kOffered))
      if (other != text) site.options.push_back(other);
    if (noun != PromptWords::npos && may_become_one(prompt, word)) {
      site.options.emplace_back("a");
      site.noun = noun;
    }
  }
  sites.push_back(std::move(site));
}

}  // namespace

void add_objects(const PromptWords& prompt, std::vector<Site>& sites) {
  std::set<int> mentioned;
  for (const Mark& mark : prompt.marks())
    if (mark.entry.word_class == WordClass::kNoun) mentioned.insert(lexicon().nouns()[mark.entry.index].family);
  for (const Mark& mark : prompt.marks()) {
    if (mark.entry.word_class != WordClass::kNoun || !prompt.is_free(mark)) continue;
    const Noun& noun = lexicon().nouns()[mark.entry.index];
    if (noun.needs_determiner && !is_determined(prompt, mark.first)) continue;
    const std::size_t next = prompt.after(mark.last());
    // "a dog house": the house is the thing. "a bottle of wine": no vase.
    if (prompt.noun_at(next) != nullptr || prompt.text(next) == "of") continue;
    if (is_aged(prompt, mark.first)) continue;
    const int number = grammatical_number(prompt, mark, noun);
    if (number == 0) continue;
    Site site{Change::kObject, mark.first, mark.count, {}, PromptWords::npos};
    for (const Noun& other : lexicon().nouns()) {
      if (other.kind != noun.kind || !other.offered || !agrees_with_pronouns(prompt, mark.last(), other)) continue;
      // Of one family two words can name one thing, unless both are specific: an owl is no eagle, but it is a bird.
      if (other.family == noun.family && (other.general || noun.general || &other == &noun)) continue;
      if (other.family != noun.family && mentioned.contains(other.family)) continue;
      site.options.push_back(number == 1 ? other.singular : other.plural);
    }
    if (!site.options.empty()) sites.push_back(std::move(site));
  }
}

void add_numbers(const PromptWords& prompt, std::vector<Site>& sites) {
  for (std::size_t word = 0; word < prompt.words().size(); ++word) {
    const Word& at = prompt.words()[word];
    const Mark* const mark = prompt.mark_at(word);
    if (at.glued_before || at.glued_after || is_number(prompt.text(prompt.before(word)))) continue;
    if (is_one_of(at.lower, {"a", "an", "one"}) && mark == nullptr) {
      const std::size_t noun = counted_noun(prompt, word, false);
      if (noun == PromptWords::npos || !may_become_several(prompt, word) || has_singular_pronoun(prompt, noun))
        continue;
      const auto numbers = Lexicon::numbers().first(kOffered);
      sites.push_back({Change::kNumber, word, 1, {numbers.begin(), numbers.end()}, noun});
    } else if (mark != nullptr && mark->entry.word_class == WordClass::kNumber) {
      if (prompt.is_free(*mark)) add_several(prompt, word, sites);
    } else if (is_number(at.lower) && at.lower.size() == 1 && at.lower > "1") {
      add_several(prompt, word, sites);
    }
  }
}

}  // namespace imagerank::perturbations
