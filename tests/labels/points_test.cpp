#include "labels/points.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "core/random.h"
#include "support/test_support.h"
#include "workspace/database.h"

namespace imagerank::labels {
namespace {

class PointsTest : public ::testing::Test {
 protected:
  static constexpr std::uint32_t kPrompts = 40;

  void SetUp() override {
    workspace::Database database;
    database.execute(fmt::format(
        "CREATE TABLE prompt_key AS SELECT 'prompt, ' || i AS prompt, i::INTEGER AS prompt_id FROM range(1, {}) r(i)",
        kPrompts + 1));
    prompts_.fill(database);
  }

  /// The points of some rankings as lines of the CSV file, in order, after the counts in words.
  std::vector<std::string> points_of(const LabelSettings& settings, const PointMemory& most) {
    const RunContext context;
    LabelCounts counts;
    Points points(settings, prompts_, context, folder_.path(), most);
    Random random(5);
    PlacedRanking ranking;
    for (int i = 0; i < 20000; ++i) {
      std::vector<std::string> uids;
      std::vector<std::string_view> images;
      for (int k = 0; k < 4; ++k) uids.push_back(fmt::format("image {}", random.below(6000)));
      images.assign(uids.begin(), uids.end());
      ranking.images = images;
      ranking.prompt = static_cast<std::uint32_t>(random.below(kPrompts));
      ranking.best = random.below(5);
      ranking.held = static_cast<Held>(random.below(4));
      points.add(ranking, points.adder());
    }
    points.group(counts);
    AtomicFile file(folder_ / "points.parquet"), csv(folder_ / "points.csv");
    points.write(file, &csv, counts);
    file.commit();
    csv.commit();
    std::vector<std::string> lines = test::lines_of(folder_ / "points.csv");
    std::ranges::sort(lines);
    lines.push_back(fmt::format("{} {} {} {} {} {} {} {} {}", counts.rows, counts.distinct, counts.kept,
                                counts.conflicts, counts.winners, counts.splits[2], counts.straddling_points,
                                counts.prompt_overlap, counts.image_overlap));
    return lines;
  }

  test::TemporaryFolder folder_;
  PromptTexts prompts_{folder_.path()};
};

TEST_F(PointsTest, MemoryChangesNothing) {
  for (const SplitRule split : {SplitRule::kRandom, SplitRule::kUser}) {
    LabelSettings settings;
    settings.split = split;
    const auto lines = points_of(settings, {});
    EXPECT_GT(lines.size(), 20000U);
    EXPECT_EQ(points_of(settings, {0, 0}), lines);
    EXPECT_EQ(points_of(settings, {std::size_t{1} << 20, std::size_t{1} << 18}), lines);
  }
}

}  // namespace
}  // namespace imagerank::labels
