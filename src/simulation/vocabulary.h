#pragma once

#include <span>
#include <string_view>

#include "simulation/scene.h"

namespace imagerank::simulation {

/// An English noun and its plural.
struct Noun {
  std::string_view singular;
  std::string_view plural;
};

/// How English says it; the first is the plainest. None contains another attribute's word.
[[nodiscard]] std::span<const Noun> english_nouns(Shape shape) noexcept;
[[nodiscard]] std::span<const std::string_view> english_adjectives(Colour colour) noexcept;
[[nodiscard]] std::span<const std::string_view> english_adjectives(Size size) noexcept;
[[nodiscard]] std::span<const std::string_view> english_phrases(Place place) noexcept;
[[nodiscard]] std::span<const std::string_view> english_phrases(Background background) noexcept;
/// For 2..kMaxObjects objects.
[[nodiscard]] std::span<const std::string_view> english_numbers(int count) noexcept;
[[nodiscard]] std::string_view emoji(Background background) noexcept;

/// Adjectives by gender and number: masculine, feminine, their plurals.
struct FrenchAdjective {
  std::string_view masculine, feminine, masculine_plural, feminine_plural;
};
struct FrenchNoun {
  std::string_view singular, plural;
  bool feminine;
};
[[nodiscard]] const FrenchNoun& french_noun(Shape shape) noexcept;
[[nodiscard]] const FrenchAdjective& french_adjective(Colour colour) noexcept;
[[nodiscard]] const FrenchAdjective& french_adjective(Size size) noexcept;
[[nodiscard]] std::string_view french_phrase(Place place) noexcept;
[[nodiscard]] std::string_view french_phrase(Background background) noexcept;

[[nodiscard]] std::string_view chinese_noun(Shape shape) noexcept;
[[nodiscard]] std::string_view chinese_adjective(Colour colour) noexcept;
[[nodiscard]] std::string_view chinese_adjective(Size size) noexcept;
[[nodiscard]] std::string_view chinese_phrase(Place place) noexcept;
[[nodiscard]] std::string_view chinese_phrase(Background background) noexcept;
/// For 1..kMaxObjects objects, with the measure word.
[[nodiscard]] std::string_view chinese_number(int count) noexcept;

}  // namespace imagerank::simulation
