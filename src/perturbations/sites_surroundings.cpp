#include <algorithm>
#include <set>

#include "perturbations/sites.h"

namespace imagerank::perturbations {
namespace {

const Lexicon& lexicon() { return Lexicon::english(); }

/// "on a table", "on the red car": something one can be on or under.
bool stands_on_something(const PromptWords& prompt, std::size_t word) {
  const std::size_t determiner = prompt.after(word);
  if (!is_determiner(prompt.text(determiner))) return false;
  const std::size_t at = prompt.noun_after(determiner, 3);
  return at != PromptWords::npos &&
         is_one_of(Lexicon::noun_kind(prompt.noun_at(at)->kind),
                   {"furniture", "vehicle", "animal", "building", "thing", "fruit", "dish", "creature"});
}

/// Whether the opposite reads well here. Most prepositions have other meanings too.
bool relation_fits(const PromptWords& prompt, const Mark& mark) {
  const std::string_view relation = lexicon().relations()[mark.entry.index].text;
  const std::size_t next = prompt.after(mark.last());
  const std::string_view following = prompt.text(next), previous = prompt.text(prompt.before(mark.first));
  if (relation == "on") return stands_on_something(prompt, mark.last());
  if (relation == "with" || relation == "without") {
    if (previous.ends_with("ed") || previous.ends_with("ing") || following.empty()) return false;
    if (is_one_of(following, {"a", "an"})) return prompt.noun_after(next, 3) != PromptWords::npos;
    return prompt.noun_after(mark.last(), 3) != PromptWords::npos;
  }
  if (relation == "over") return is_one_of(following, {"a", "the", "an", "his", "her"}) && previous.ends_with("ing");
  if (is_one_of(relation, {"under", "above", "below", "beneath", "near", "behind"})) {
    return is_determiner(following) || prompt.noun_after(mark.last(), 2) != PromptWords::npos ||
           is_one_of(following, {"water", "him", "them", "me"});
  }
  if (is_one_of(relation, {"inside", "outside"})) return following != "out" && previous != "the";
  if (is_one_of(relation,
                {"in front of", "next to", "beside", "on top of", "atop", "far from", "close to", "underneath"}))
    return !following.empty();
  return true;
}

bool is_scene_word(std::string_view word) {
  return is_one_of(word,
                   {"background", "backdrop", "landscape", "scene", "scenery", "setting", "environment", "wallpaper"});
}

bool is_picture_word(std::string_view word) {
  return is_one_of(word, {"photo", "photograph", "painting", "picture", "image", "drawing", "sketch", "view",
                          "illustration", "scene", "shot", "render", "rendering", "watercolor", "print", "lithograph"});
}

/// Places as bare nouns that take "a".
bool is_countable_place(std::string_view noun) {
  return !is_one_of(noun, {"mountains", "snow", "space", "ocean", "moon", "subway", "prison", "mars", "ruins"});
}

void add_place(const PromptWords& prompt, const Mark& mark, const std::set<int>& mentioned, std::vector<Site>& sites) {
  // Back over up to two adjectives and an article to the preposition: "in the dark forest".
  std::size_t at = prompt.before(mark.first);
  for (int i = 0; i < 2 && prompt.is_modifier(at); ++i) at = prompt.before(at);
  const bool determined = is_determiner(prompt.text(at));
  if (determined) at = prompt.before(at);
  const std::string_view preposition = prompt.text(at), following = prompt.text(prompt.after(mark.last()));
  Site site{Change::kBackground, mark.first, mark.count, {}, PromptWords::npos};
  const bool ends = prompt.phrase_ends_after(mark.last()) && following != "of";
  const bool whole =
      ends && is_one_of(preposition, {"in", "on", "at", "inside", "within"}) && !prompt.words()[at].glued_before;
  const bool depicted = ends && determined && preposition == "of" && is_picture_word(prompt.text(prompt.before(at)));
  if (whole) {
    site.first = at;
    site.count = mark.last() - at + 1;
  } else if (!is_scene_word(following) && !depicted) {
    return;
  }
  for (const Place& place : lexicon().places()) {
    if (place.phrase.empty() || mentioned.contains(place.family)) continue;
    if (whole) {
      site.options.push_back(place.phrase);
    } else if (is_countable_place(place.noun)) {
      site.options.push_back(place.noun);
    }
  }
  if (!site.options.empty()) sites.push_back(std::move(site));
}

/// A season or a time of day without "in" or "at" is one of three things: a clause of its own, or before a word like
/// "scene", or - seasons and weather - an adjective.
bool time_fits(const PromptWords& prompt, const Mark& mark) {
  const Time& time = lexicon().times()[mark.entry.index];
  if (mark.count > 1) return true;
  const bool alone = prompt.words()[mark.first].starts_clause && prompt.words()[mark.last()].ends_clause;
  const std::string_view following = prompt.text(prompt.after(mark.last()));
  constexpr int kWeather = 3;
  if (time.group == kWeather) return !following.empty() && !is_function_word(following);
  return alone || is_scene_word(following) ||
         is_one_of(following, {"sky", "light", "lighting", "day", "morning", "evening", "forest", "landscape"});
}

}  // namespace

void add_relations(const PromptWords& prompt, std::vector<Site>& sites) {
  for (const Mark& mark : prompt.marks()) {
    if (mark.entry.word_class != WordClass::kRelation || !prompt.is_free(mark) || !relation_fits(prompt, mark))
      continue;
    const Opposite& relation = lexicon().relations()[mark.entry.index];
    sites.push_back({Change::kRelation,
                     mark.first,
                     mark.count,
                     {relation.opposites.begin(), relation.opposites.end()},
                     PromptWords::npos});
  }
}

void add_backgrounds(const PromptWords& prompt, std::vector<Site>& sites) {
  std::set<int> places, times;
  for (const Mark& mark : prompt.marks()) {
    if (mark.entry.word_class == WordClass::kPlace) places.insert(lexicon().places()[mark.entry.index].family);
    if (mark.entry.word_class == WordClass::kTime) times.insert(lexicon().times()[mark.entry.index].family);
  }
  for (const Mark& mark : prompt.marks()) {
    if (!prompt.is_free(mark)) continue;
    if (mark.entry.word_class == WordClass::kPlace) add_place(prompt, mark, places, sites);
    if (mark.entry.word_class != WordClass::kTime || !time_fits(prompt, mark)) continue;
    const Time& time = lexicon().times()[mark.entry.index];
    Site site{Change::kBackground, mark.first, mark.count, {}, PromptWords::npos};
    for (const Time& other : lexicon().times())
      if (other.group == time.group && !times.contains(other.family)) site.options.push_back(other.text);
    if (!site.options.empty()) sites.push_back(std::move(site));
  }
}

}  // namespace imagerank::perturbations
