#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace imagerank::perturbations {

/// What kind of word a phrase is to the grammar.
enum class WordClass { kProtected, kNoun, kColour, kSize, kRelation, kPlace, kTime, kNumber };

/// Words that stand for things of one kind, in families of near synonyms.
struct Noun {
  std::string singular;
  std::string plural;
  int kind = 0;                   ///< Lexicon::noun_kind() names it
  int family = 0;                 ///< within the lexicon
  bool general = false;           ///< true of others of its family too: never changed for one of them
  bool offered = true;            ///< false: found in prompts, never put into one
  bool needs_determiner = false;  ///< also a verb or a name: a noun only after "a", "two", "red", ...
};

/// A word of a group in which each family excludes the others: colours, metals, hair, tones.
struct Colour {
  std::string text;
  int group = 0;
  int family = 0;
  bool offered = true;  ///< false: found in prompts, never put into one
};

/// What a size or a relation turns into.
struct Opposite {
  std::string text;
  std::vector<std::string> opposites;
};

/// A background: "in a forest".
struct Place {
  std::string noun;    ///< "forest"
  std::string phrase;  ///< "in a forest"; empty: found in prompts, never put into one
  int family = 0;
};

/// A time of day, season or weather, replaced by one of another family of its group.
struct Time {
  std::string text;
  int group = 0;
  int family = 0;
};

/// Where in a lexicon's list a phrase stands.
struct Entry {
  WordClass word_class = WordClass::kProtected;
  std::size_t index = 0;
  bool plural = false;
};

/// The few hundred English words the attribute grammar knows, compiled in. Immutable; any thread may read it.
class Lexicon {
 public:
  static const Lexicon& english();

  /// The entry of a lower-case phrase of single spaces; nullptr if it is unknown. A colour that is also a fruit
  /// ("orange") is found as the colour; `find_noun` finds the fruit.
  [[nodiscard]] const Entry* find(std::string_view phrase) const;
  [[nodiscard]] const Entry* find_noun(std::string_view phrase) const;
  /// Words of the longest phrase that starts with this word; 0 if none does.
  [[nodiscard]] std::size_t longest_phrase(std::string_view first_word) const;

  [[nodiscard]] std::span<const Noun> nouns() const noexcept { return nouns_; }
  [[nodiscard]] std::span<const Colour> colours() const noexcept { return colours_; }
  [[nodiscard]] std::span<const Opposite> sizes() const noexcept { return sizes_; }
  [[nodiscard]] std::span<const Opposite> relations() const noexcept { return relations_; }
  [[nodiscard]] std::span<const Place> places() const noexcept { return places_; }
  [[nodiscard]] std::span<const Time> times() const noexcept { return times_; }
  /// "two" to "twelve", from 2 on; digits are read by the grammar.
  [[nodiscard]] static std::span<const std::string_view> numbers() noexcept;
  /// "animal", "vehicle", ... by Noun::kind.
  [[nodiscard]] static std::string_view noun_kind(int kind) noexcept;

 private:
  Lexicon();
  void add(const std::string& phrase, Entry entry);
  void add_nouns();
  void add_colours();
  void add_opposites();
  void add_backgrounds();

  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept { return std::hash<std::string_view>{}(text); }
  };
  using Phrases = std::unordered_map<std::string, Entry, Hash, std::equal_to<>>;

  Phrases phrases_;
  Phrases nouns_too_;
  std::unordered_map<std::string, std::size_t, Hash, std::equal_to<>> longest_;
  std::vector<Noun> nouns_;
  std::vector<Colour> colours_;
  std::vector<Opposite> sizes_;
  std::vector<Opposite> relations_;
  std::vector<Place> places_;
  std::vector<Time> times_;
};

/// Words that end a noun phrase: articles, prepositions, conjunctions, pronouns, forms of "be" and "have".
[[nodiscard]] bool is_function_word(std::string_view word);
/// "an" before this word? By its first letter, but for "unicorn", "hour" and their like.
[[nodiscard]] bool takes_an(std::string_view word);

}  // namespace imagerank::perturbations
