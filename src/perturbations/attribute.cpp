#include "perturbations/attribute.h"

#include <algorithm>
#include <array>
#include <set>

#include "core/fail.h"
#include "core/random.h"

namespace imagerank::perturbations {
namespace {

struct Patch {
  std::size_t begin = 0;  ///< bytes
  std::size_t end = 0;
  std::string text;
};

char upper_of(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }

/// `text` in the case of the words it takes the place of: "Red" gives "Blue", "RED" "BLUE", "Hot Dog" "Ice Tea".
std::string in_case_of(const PromptWords& prompt, std::size_t first, std::size_t count, std::string_view text) {
  const auto& words = prompt.words();
  bool all_capital = true, all_shouted = true;
  for (std::size_t i = first; i < first + count; ++i) {
    all_capital = all_capital && words[i].capital;
    // "A" and "TV" shout only if a neighbour does.
    const std::size_t next = prompt.after(i), previous = prompt.before(i);
    const bool beside = (next != PromptWords::npos && words[next].shouted) ||
                        (previous != PromptWords::npos && words[previous].shouted);
    all_shouted = all_shouted && words[i].capital && (words[i].lower.size() < 4 ? beside : words[i].shouted);
  }
  std::string result(text);
  for (std::size_t i = 0; i < result.size(); ++i) {
    const bool starts = i == 0 || result[i - 1] == ' ';
    if (all_shouted || (starts && all_capital && (i == 0 || count > 1)) || (i == 0 && words[first].capital))
      result[i] = upper_of(result[i]);
  }
  return result;
}

Patch replace_words(const PromptWords& prompt, std::size_t first, std::size_t count, std::string_view text) {
  return {prompt.words()[first].begin, prompt.words()[first + count - 1].end, in_case_of(prompt, first, count, text)};
}

/// "a" or "an" before a word that changed.
void patch_article(const PromptWords& prompt, std::size_t first, std::string_view text, std::vector<Patch>& patches) {
  const std::size_t article = prompt.before(first);
  const std::string_view found = prompt.text(article);
  if (found != "a" && found != "an") return;
  const std::string_view wanted = takes_an(text) ? "an" : "a";
  if (found != wanted) patches.push_back(replace_words(prompt, article, 1, wanted));
}

void patch_verb(const PromptWords& prompt, std::size_t noun_end, bool plural, std::vector<Patch>& patches) {
  constexpr std::array<std::array<std::string_view, 2>, 3> kForms = {{{"is", "are"}, {"was", "were"}, {"has", "have"}}};
  const std::size_t verb = prompt.after(noun_end);
  for (const auto& form : kForms)
    if (prompt.text(verb) == form[plural ? 0 : 1])
      patches.push_back(replace_words(prompt, verb, 1, form[plural ? 1 : 0]));
}

/// The number itself, its noun and the verb behind it.
void patch_number(const PromptWords& prompt, const Site& site, std::string_view option, std::vector<Patch>& patches) {
  const bool plural = option != "a";
  const bool was_plural = !is_one_of(prompt.text(site.first), {"a", "an", "one"});
  std::string_view number = option;
  if (!plural) number = takes_an(prompt.text(prompt.after(site.first))) ? "an" : "a";
  if (plural != was_plural) {
    const Mark& mark = *prompt.mark_at(site.noun);
    const Noun& noun = *prompt.noun_at(site.noun);
    const std::string& form = plural ? noun.plural : noun.singular;
    if (!plural && prompt.after(site.first) == mark.first) number = takes_an(form) ? "an" : "a";
    patches.push_back(replace_words(prompt, mark.first, mark.count, form));
    patch_verb(prompt, mark.last(), plural, patches);
  }
  patches.push_back(replace_words(prompt, site.first, site.count, number));
}

std::string apply(std::string_view prompt, std::vector<Patch>& patches) {
  std::ranges::sort(patches, {}, &Patch::begin);
  std::string result;
  std::size_t at = 0;
  for (const Patch& patch : patches) {
    result.append(prompt.substr(at, patch.begin - at)).append(patch.text);
    at = patch.end;
  }
  return result.append(prompt.substr(at));
}

WrongPrompt change(const PromptWords& prompt, const Site& site, std::string_view option) {
  std::vector<Patch> patches;
  if (site.change == Change::kNumber) {
    patch_number(prompt, site, option, patches);
  } else {
    patches.push_back(replace_words(prompt, site.first, site.count, option));
    patch_article(prompt, site.first, option, patches);
  }
  const std::size_t begin = prompt.words()[site.first].begin, end = prompt.words()[site.first + site.count - 1].end;
  WrongPrompt wrong;
  wrong.change = site.change;
  wrong.what_changed = fmt::format("{}: {} -> {}", change_name(site.change),
                                   normalized(prompt.prompt().substr(begin, end - begin)), option);
  wrong.text = apply(prompt.prompt(), patches);
  return wrong;
}

/// Draws from the sites of one kind, each option once.
class Draw {
 public:
  void add(Site site) { sites_.push_back(std::move(site)); }
  [[nodiscard]] bool empty() const noexcept { return sites_.empty(); }
  WrongPrompt next(const PromptWords& prompt, Random& random) {
    const std::size_t at = random.below(sites_.size());
    Site& site = sites_[at];
    const std::size_t choice = random.below(site.options.size());
    const std::string_view option = site.options[choice];
    WrongPrompt wrong = change(prompt, site, option);
    site.options.erase(site.options.begin() + static_cast<std::ptrdiff_t>(choice));
    if (site.options.empty()) sites_.erase(sites_.begin() + static_cast<std::ptrdiff_t>(at));
    return wrong;
  }

 private:
  std::vector<Site> sites_;
};

}  // namespace

std::string_view change_name(Change change) noexcept {
  switch (change) {
    case Change::kNumber:
      return "number";
    case Change::kColour:
      return "colour";
    case Change::kSize:
      return "size";
    case Change::kRelation:
      return "relation";
    case Change::kBackground:
      return "background";
    case Change::kObject:
      break;
  }
  return "object";
}

std::vector<WrongPrompt> wrong_prompts(std::string_view prompt, std::size_t count, std::uint64_t seed) {
  const PromptWords words(prompt);
  if (words.sexualizes_the_young()) return {};
  std::vector<Site> sites;
  for (const auto add : {add_numbers, add_colours, add_sizes, add_relations, add_backgrounds, add_objects})
    add(words, sites);
  std::vector<Draw> kinds(kChangeCount);
  for (Site& site : sites) kinds[static_cast<std::size_t>(site.change)].add(std::move(site));
  std::erase_if(kinds, [](const Draw& draw) { return draw.empty(); });

  Random random(seed, text_hash(prompt));
  random.shuffle(kinds);
  std::set<std::string> seen = {normalized(prompt)};
  std::vector<WrongPrompt> wrong;
  for (std::size_t at = 0; wrong.size() < count && !kinds.empty();) {
    at = at < kinds.size() ? at : 0;
    WrongPrompt next = kinds[at].next(words, random);
    if (kinds[at].empty()) {
      kinds.erase(kinds.begin() + static_cast<std::ptrdiff_t>(at));
    } else {
      ++at;
    }
    if (seen.insert(normalized(next.text)).second) wrong.push_back(std::move(next));
  }
  return wrong;
}

}  // namespace imagerank::perturbations
