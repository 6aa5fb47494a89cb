#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "core/random.h"

namespace imagerank::simulation {

enum class Shape : std::uint8_t { kCircle, kSquare, kTriangle, kStar, kHeart, kCross, kRing, kMoon };
enum class Colour : std::uint8_t { kRed, kOrange, kYellow, kGreen, kBlue, kPurple, kWhite, kBlack };
enum class Size : std::uint8_t { kSmall, kLarge };
/// Middles of a group. One group stands anywhere but in a corner, two stand opposite each other, three and four in
/// corners: groups never overlap.
enum class Place : std::uint8_t {
  kCentre,
  kLeft,
  kRight,
  kTop,
  kBottom,
  kTopLeft,
  kTopRight,
  kBottomLeft,
  kBottomRight
};
enum class Background : std::uint8_t { kGrass, kSea, kSand, kSnow, kNight, kBrick };

inline constexpr std::size_t kShapeCount = 8;
inline constexpr std::size_t kColourCount = 8;
inline constexpr std::size_t kPlaceCount = 9;
inline constexpr std::size_t kBackgroundCount = 6;
inline constexpr int kMaxObjects = 4;  ///< of one group
inline constexpr std::size_t kMaxGroups = 4;

/// `count` objects alike, side by side.
struct Group {
  Shape shape = Shape::kCircle;
  Colour colour = Colour::kRed;
  Size size = Size::kLarge;
  int count = 1;  ///< 1..kMaxObjects
  Place place = Place::kCentre;
  bool operator==(const Group&) const = default;
};

/// What a picture shows: 1..kMaxGroups groups before a background. No two groups share shape and colour, or place.
struct Scene {
  Background background = Background::kGrass;
  std::vector<Group> groups;
  bool operator==(const Scene&) const = default;
};

/// What to do with the attribute combinations kept for zero-shot tests.
enum class HoldOut : std::uint8_t {
  kNone,     ///< draw everything
  kExclude,  ///< never draw one
  kOnly,     ///< every scene has at least one
};

/// Whether this shape in this colour is kept for zero-shot tests: the same 9 of the 64 pairs everywhere, at least
/// six colours of every shape and six shapes of every colour stay.
[[nodiscard]] bool is_held_out(Shape shape, Colour colour) noexcept;
[[nodiscard]] bool has_held_out(const Scene& scene) noexcept;

/// Mostly one or two groups, sometimes three or four.
[[nodiscard]] Scene random_scene(Random& random, HoldOut hold_out = HoldOut::kNone);

/// The scene as a careless painter gets it: each attribute wrong with probability `severity` (0..1), and then also
/// groups left out, or colours or shapes swapped between groups. 0 gives the scene back. With kExclude the result has
/// no held-out combination; with kOnly it may have none.
[[nodiscard]] Scene misread_scene(const Scene& scene, double severity, Random& random, HoldOut hold_out);

}  // namespace imagerank::simulation
