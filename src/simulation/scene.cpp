#include "simulation/scene.h"

#include <algorithm>
#include <array>
#include <utility>

namespace imagerank::simulation {
namespace {

template <typename Enum>
Enum draw(Random& random, std::size_t count) {
  return static_cast<Enum>(random.below(count));
}

/// Any value but `current`.
template <typename Enum>
Enum draw_other(Enum current, Random& random, std::size_t count) {
  const auto shift = 1 + random.below(count - 1);
  return static_cast<Enum>((static_cast<std::size_t>(current) + shift) % count);
}

std::size_t draw_group_count(Random& random) {
  const double u = random.uniform();
  if (u < 0.52) return 1;
  if (u < 0.87) return 2;
  return u < 0.96 ? 3 : 4;
}

int draw_object_count(Random& random) {
  const double u = random.uniform();
  if (u < 0.4) return 1;
  if (u < 0.65) return 2;
  return u < 0.83 ? 3 : 4;
}

void assign_places(std::vector<Group>& groups, Random& random) {
  std::vector<Place> places;
  if (groups.size() == 1) {
    places = {draw<Place>(random, 5)};
  } else if (groups.size() == 2) {
    places = random.chance(0.6) ? std::vector{Place::kLeft, Place::kRight} : std::vector{Place::kTop, Place::kBottom};
    random.shuffle(places);
  } else {
    places = {Place::kTopLeft, Place::kTopRight, Place::kBottomLeft, Place::kBottomRight};
    random.shuffle(places);
  }
  for (std::size_t i = 0; i < groups.size(); ++i) groups[i].place = places[i];
}

bool groups_differ(const Scene& scene) {
  for (std::size_t i = 0; i < scene.groups.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (scene.groups[i].shape == scene.groups[j].shape && scene.groups[i].colour == scene.groups[j].colour) {
        return false;
      }
    }
  }
  return true;
}

Group random_group(Random& random) {
  Group group;
  group.shape = draw<Shape>(random, kShapeCount);
  group.colour = draw<Colour>(random, kColourCount);
  group.size = draw<Size>(random, 2);
  group.count = draw_object_count(random);
  return group;
}

void misread_group(Group& group, double severity, Random& random) {
  if (random.chance(severity)) group.shape = draw_other(group.shape, random, kShapeCount);
  if (random.chance(severity)) group.colour = draw_other(group.colour, random, kColourCount);
  if (random.chance(severity)) group.size = draw_other(group.size, random, 2);
  if (random.chance(severity)) {
    group.count = 1 + static_cast<int>((static_cast<std::uint64_t>(group.count) + random.below(3)) % 4);
  }
}

Scene misread_once(const Scene& scene, double severity, Random& random) {
  Scene result = scene;
  if (result.groups.size() > 1 && random.chance(severity * 0.5)) {  // left out
    result.groups.erase(result.groups.begin() + static_cast<std::ptrdiff_t>(random.below(result.groups.size())));
  }
  if (result.groups.size() > 1 && random.chance(severity * 0.5)) {  // attributes bound to the wrong group
    const std::size_t first = random.below(result.groups.size());
    const std::size_t second = (first + 1) % result.groups.size();
    if (random.chance(0.5)) {
      std::swap(result.groups[first].colour, result.groups[second].colour);
    } else {
      std::swap(result.groups[first].shape, result.groups[second].shape);
    }
  }
  for (Group& group : result.groups) misread_group(group, severity, random);
  // A group left out moves the others: a pair stands opposite, not in two corners.
  if (random.chance(severity) || (result.groups.size() != scene.groups.size() && result.groups.size() < 3)) {
    assign_places(result.groups, random);
  }
  if (random.chance(severity)) result.background = draw_other(result.background, random, kBackgroundCount);
  return result;
}

}  // namespace

bool is_held_out(Shape shape, Colour colour) noexcept {
  // One colour a shape, and a second for one shape, spread by a fixed permutation: no row or column of the table of
  // pairs is left with too few examples to learn from, as a plain hash would do.
  constexpr std::array<std::uint8_t, kShapeCount> kColourOfShape = {3, 6, 0, 4, 1, 7, 5, 2};
  const auto shape_index = static_cast<std::size_t>(shape);
  const auto colour_index = static_cast<std::size_t>(colour);
  return kColourOfShape[shape_index] == colour_index || (shape == Shape::kStar && colour == Colour::kGreen);
}

bool has_held_out(const Scene& scene) noexcept {
  return std::ranges::any_of(scene.groups, [](const Group& group) { return is_held_out(group.shape, group.colour); });
}

Scene random_scene(Random& random, HoldOut hold_out) {
  while (true) {
    Scene scene;
    scene.background = draw<Background>(random, kBackgroundCount);
    scene.groups.resize(draw_group_count(random));
    std::ranges::generate(scene.groups, [&] { return random_group(random); });
    assign_places(scene.groups, random);
    if (!groups_differ(scene)) continue;
    if (hold_out == HoldOut::kExclude && has_held_out(scene)) continue;
    if (hold_out == HoldOut::kOnly && !has_held_out(scene)) continue;
    return scene;
  }
}

Scene misread_scene(const Scene& scene, double severity, Random& random, HoldOut hold_out) {
  if (severity <= 0.0) return scene;
  while (true) {
    Scene result = misread_once(scene, severity, random);
    if (!groups_differ(result)) continue;
    if (hold_out == HoldOut::kExclude && has_held_out(result)) continue;
    return result;
  }
}

}  // namespace imagerank::simulation
