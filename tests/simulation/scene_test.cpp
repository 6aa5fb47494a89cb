#include "simulation/scene.h"

#include <gtest/gtest.h>

#include <array>
#include <set>

namespace imagerank::simulation {
namespace {

bool is_valid(const Scene& scene) {
  if (scene.groups.empty() || scene.groups.size() > kMaxGroups) return false;
  std::set<Place> places;
  std::set<std::pair<Shape, Colour>> kinds;
  for (const Group& group : scene.groups) {
    if (group.count < 1 || group.count > kMaxObjects) return false;
    places.insert(group.place);
    kinds.emplace(group.shape, group.colour);
  }
  return places.size() == scene.groups.size() && kinds.size() == scene.groups.size();
}

TEST(HeldOut, LeavesEnoughOfEveryShapeAndColour) {
  std::array<int, kShapeCount> of_shape = {};
  std::array<int, kColourCount> of_colour = {};
  int total = 0;
  for (std::size_t s = 0; s < kShapeCount; ++s) {
    for (std::size_t c = 0; c < kColourCount; ++c) {
      if (!is_held_out(static_cast<Shape>(s), static_cast<Colour>(c))) continue;
      ++total;
      ++of_shape[s];
      ++of_colour[c];
    }
  }
  EXPECT_EQ(total, 9);
  for (const int count : of_shape) EXPECT_TRUE(count >= 1 && count <= 2) << count;
  for (const int count : of_colour) EXPECT_TRUE(count >= 1 && count <= 2) << count;
}

TEST(RandomScene, IsValidAndCoversEverything) {
  Random random(1);
  std::set<Shape> shapes;
  std::set<Colour> colours;
  std::set<Place> places;
  std::set<Background> backgrounds;
  std::set<int> counts;
  std::array<int, kMaxGroups + 1> group_counts = {};
  for (int i = 0; i < 2000; ++i) {
    const Scene scene = random_scene(random);
    ASSERT_TRUE(is_valid(scene));
    backgrounds.insert(scene.background);
    ++group_counts[scene.groups.size()];
    for (const Group& group : scene.groups) {
      shapes.insert(group.shape);
      colours.insert(group.colour);
      places.insert(group.place);
      counts.insert(group.count);
    }
  }
  EXPECT_EQ(shapes.size(), kShapeCount);
  EXPECT_EQ(colours.size(), kColourCount);
  EXPECT_EQ(places.size(), kPlaceCount);
  EXPECT_EQ(backgrounds.size(), kBackgroundCount);
  EXPECT_EQ(counts.size(), 4U);
  EXPECT_GT(group_counts[1] + group_counts[2], 1600);
  EXPECT_GT(group_counts[4], 20);
}

TEST(RandomScene, KeepsToTheHoldOut) {
  Random random(2);
  for (int i = 0; i < 1000; ++i) {
    EXPECT_FALSE(has_held_out(random_scene(random, HoldOut::kExclude)));
    EXPECT_TRUE(has_held_out(random_scene(random, HoldOut::kOnly)));
  }
}

TEST(MisreadScene, SeverityZeroChangesNothing) {
  Random random(3);
  for (int i = 0; i < 100; ++i) {
    const Scene scene = random_scene(random);
    EXPECT_EQ(misread_scene(scene, 0.0, random, HoldOut::kNone), scene);
  }
}

TEST(MisreadScene, SeverityOneLeavesNothingRight) {
  Random random(4);
  for (int i = 0; i < 200; ++i) {
    Scene scene = random_scene(random);
    scene.groups.resize(1);
    scene.groups.front().place = Place::kCentre;
    const Scene wrong = misread_scene(scene, 1.0, random, HoldOut::kNone);
    ASSERT_EQ(wrong.groups.size(), 1U);
    EXPECT_NE(wrong.background, scene.background);
    EXPECT_NE(wrong.groups[0].shape, scene.groups[0].shape);
    EXPECT_NE(wrong.groups[0].colour, scene.groups[0].colour);
    EXPECT_NE(wrong.groups[0].size, scene.groups[0].size);
    EXPECT_NE(wrong.groups[0].count, scene.groups[0].count);
  }
}

TEST(MisreadScene, StaysValidAndOutOfTheHoldOut) {
  Random random(5);
  int left_out = 0;
  for (int i = 0; i < 2000; ++i) {
    const Scene scene = random_scene(random, HoldOut::kExclude);
    const Scene result = misread_scene(scene, random.uniform(), random, HoldOut::kExclude);
    ASSERT_TRUE(is_valid(result));
    ASSERT_FALSE(has_held_out(result));
    ASSERT_LE(result.groups.size(), scene.groups.size());
    left_out += result.groups.size() < scene.groups.size() ? 1 : 0;
  }
  EXPECT_GT(left_out, 100);
}

}  // namespace
}  // namespace imagerank::simulation
