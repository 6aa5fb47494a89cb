#include <algorithm>
#include <set>

#include "perturbations/sites.h"

namespace imagerank::perturbations {
namespace {

constexpr int kTones = 3;  ///< the group of "monochrome" and "colorful"

const Lexicon& lexicon() { return Lexicon::english(); }

/// "navy blue", "crimson red": a shade and its colour, which change together.
bool is_shade_of(const PromptWords& prompt, std::size_t first, std::size_t second) {
  const Mark* const a = prompt.mark_at(first);
  const Mark* const b = prompt.mark_at(second);
  if (a == nullptr || b == nullptr || a->entry.word_class != WordClass::kColour ||
      b->entry.word_class != WordClass::kColour || a->count > 1 || b->count > 1) {
    return false;
  }
  const Colour& shade = lexicon().colours()[a->entry.index];
  const Colour& colour = lexicon().colours()[b->entry.index];
  return shade.group == colour.group && (!shade.offered || shade.family == colour.family);
}

bool is_people_word(std::string_view word) {
  return is_one_of(
      word, {"people",   "person", "persons", "male",   "female", "males",    "females",   "skin", "skinned", "child",
             "children", "kid",    "kids",    "family", "couple", "teenager", "teenagers", "teen", "folks",   "human"});
}

bool is_person(const Noun& noun) {
  const std::string_view kind = Lexicon::noun_kind(noun.kind);
  return kind == "person" || kind == "profession";
}

/// The noun phrase that follows speaks of people, for whom black and white are no paint.
bool describes_people(const PromptWords& prompt, std::size_t word) {
  std::size_t at = prompt.after(word);
  if (is_one_of(prompt.text(at), {"hair", "haired", "eyed", "bearded", "clad", "dressed"})) return false;
  for (int i = 0; i < 8 && at != PromptWords::npos; ++i, at = prompt.after(at)) {
    if (is_people_word(prompt.text(at))) return true;
    if (const Noun* const noun = prompt.noun_at(at)) return is_person(*noun);
    if (is_function_word(prompt.text(at)) && prompt.text(at) != "and") return false;
  }
  return false;
}

/// "black and white photo", "..., black and white, ...": a tone. "a black and white cat": two colours.
bool is_tone(const PromptWords& prompt, const Mark& mark) {
  if (mark.count < 3) return true;
  const std::string_view next = prompt.text(prompt.after(mark.last()));
  return next.empty() || is_function_word(next) ||
         is_one_of(next,
                   {"photo", "photos", "photograph", "photography", "picture", "image", "illustration", "drawing",
                    "sketch", "film", "movie", "footage", "portrait", "art", "lithograph", "print", "ink", "comic"});
}

std::vector<std::string_view> hair_colours() {
  std::vector<std::string_view> options;
  for (const Colour& colour : lexicon().colours())
    if (colour.group == 0 && is_one_of(colour.text, {"black", "brown", "red", "white"})) options.push_back(colour.text);
  return options;
}

/// The next word, or the one behind a modifier, is in the list.
bool soon(const PromptWords& prompt, std::size_t word, std::initializer_list<std::string_view> list) {
  const std::size_t next = prompt.after(word);
  if (is_one_of(prompt.text(next), list)) return true;
  return prompt.is_modifier(next) && is_one_of(prompt.text(prompt.after(next)), list);
}

bool is_person_or_animal_soon(const PromptWords& prompt, std::size_t word) {
  const std::size_t at = prompt.noun_after(word, 2);
  if (at == PromptWords::npos) return is_people_word(prompt.text(prompt.after(word)));
  const Noun& noun = *prompt.noun_at(at);
  return is_person(noun) || is_one_of(Lexicon::noun_kind(noun.kind), {"animal", "creature"});
}

/// Sizes whose opposite hangs on the noun: "short hair" is long, "a short man" tall. An empty list: leave it alone.
std::vector<std::string_view> size_options(const PromptWords& prompt, const Mark& mark) {
  const Opposite& size = lexicon().sizes()[mark.entry.index];
  const std::size_t word = mark.first;
  const std::string_view text = size.text;
  if (text == "short") {
    if (soon(prompt, word,
             {"hair", "hairs", "skirt", "dress", "sleeve", "sleeves", "sleeved", "beard", "tail", "legs", "nails",
              "ears", "neck", "fur", "coat", "pants", "haircut", "arms"})) {
      return {"long"};
    }
    if (!is_person_or_animal_soon(prompt, word)) return {};
  } else if (text == "long") {
    if (!soon(prompt, word, {"hair",  "hairs", "skirt", "dress",  "sleeves",  "beard", "tail",   "legs",     "nails",
                             "ears",  "neck",  "fur",   "coat",   "pants",    "arms",  "nose",   "road",     "river",
                             "table", "line",  "queue", "tunnel", "corridor", "horns", "tongue", "bridge",   "train",
                             "robe",  "scarf", "snake", "sword",  "fingers",  "cape",  "gown",   "eyelashes"})) {
      return {};
    }
  } else if (text == "wide" || text == "broad" || text == "narrow") {
    if (!soon(prompt, word,
              {"shoulders", "hips", "street", "road", "river", "path", "valley", "alley", "corridor", "hallway",
               "bridge", "stairs", "waist", "canyon", "brim"})) {
      return {};
    }
  } else if (text == "thin" && is_person_or_animal_soon(prompt, word)) {
    return {"fat", "chubby"};
  } else if (text == "little" && (prompt.noun_after(word, 2) == PromptWords::npos ||
                                  soon(prompt, word, {"girl", "girls", "boy", "boys", "baby", "kid", "child"}))) {
    return {};
  }
  return {size.opposites.begin(), size.opposites.end()};
}

}  // namespace

void add_colours(const PromptWords& prompt, std::vector<Site>& sites) {
  std::set<int> mentioned;
  for (const Mark& mark : prompt.marks())
    if (mark.entry.word_class == WordClass::kColour) mentioned.insert(lexicon().colours()[mark.entry.index].family);
  for (const Mark& mark : prompt.marks()) {
    if (mark.entry.word_class != WordClass::kColour || !prompt.is_free(mark)) continue;
    if (is_shade_of(prompt, prompt.before(mark.first), mark.first)) continue;
    const Colour& colour = lexicon().colours()[mark.entry.index];
    if (is_one_of(colour.text, {"black", "white", "brown", "yellow", "red"}) && describes_people(prompt, mark.last()))
      continue;
    Site site{Change::kColour, mark.first, mark.count, {}, PromptWords::npos};
    if (is_shade_of(prompt, mark.last(), prompt.after(mark.last()))) ++site.count;
    const bool hair = is_one_of(prompt.text(prompt.after(mark.last())), {"hair", "haired", "hairs"});
    if (is_one_of(colour.text, {"blonde", "blond", "brunette"}) && hair) {
      site.options = hair_colours();
    } else if (mark.count == 3 && !is_tone(prompt, mark)) {
      // "a black and white cat": the first of the two colours changes.
      for (const Colour& other : lexicon().colours())
        if (other.group == 0 && other.offered && !is_one_of(other.text, {"black", "white"}))
          site.options.push_back(other.text);
      site.count = 1;
    } else if (colour.group == kTones && prompt.text(prompt.before(mark.first)) == "in") {
      site.options = {"full color"};  // "in colorful" reads wrong
    } else {
      // "dark black" and "pale white" read wrong.
      const bool shaded = is_one_of(prompt.text(prompt.before(mark.first)),
                                    {"dark", "light", "bright", "pale", "deep", "neon", "vivid", "pastel", "hot"});
      for (const Colour& other : lexicon().colours()) {
        if (other.group != colour.group || !other.offered || mentioned.contains(other.family)) continue;
        if (shaded && is_one_of(other.text, {"black", "white", "gray", "brown"})) continue;
        site.options.push_back(other.text);
      }
    }
    if (!site.options.empty()) sites.push_back(std::move(site));
  }
}

void add_sizes(const PromptWords& prompt, std::vector<Site>& sites) {
  for (const Mark& mark : prompt.marks()) {
    if (mark.entry.word_class != WordClass::kSize || !prompt.is_free(mark)) continue;
    const std::size_t next = prompt.after(mark.last());
    if (prompt.text(next).empty() || is_function_word(prompt.text(next))) continue;  // "a giant", "six feet tall"
    std::vector<std::string_view> options = size_options(prompt, mark);
    if (!options.empty())
      sites.push_back({Change::kSize, mark.first, mark.count, std::move(options), PromptWords::npos});
  }
}

}  // namespace imagerank::perturbations
