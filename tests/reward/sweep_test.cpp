#include "reward/sweep.h"

#include <gtest/gtest.h>

#include "reward/reward.h"
#include "reward/training_world.h"
#include "support/test_support.h"

namespace imagerank::reward {
namespace {

TEST(Sweep, KeepsTheCombinationOfLeastValidationLoss) {
  const test::TemporaryFolder folder;
  const Examples examples = make_world(18);
  const TrainOptions options = small("mlp", "bt");
  const auto axes = parse_sweep("lr=1e-5:3e-3,hidden=8:32");
  const TrainReport report = train_sweep(examples, options, axes, kOrigin, folder / "r", one_thread());
  const auto& sweep = report.record.at("sweep");
  ASSERT_EQ(sweep.at("tried").size(), 4U);
  const auto chosen = sweep.at("chosen").get<std::size_t>();
  for (const auto& one : sweep["tried"]) EXPECT_LE(sweep["tried"][chosen]["loss"], one["loss"]);
  EXPECT_EQ(sweep["tried"][chosen]["options"]["lr"], 3e-3);
  EXPECT_EQ(report.record["options"]["lr"], 3e-3);
  EXPECT_EQ(Reward::load(folder / "r").record()["hidden"], sweep["tried"][chosen]["options"]["hidden"]);
  EXPECT_TRUE(train_sweep(examples, options, axes, kOrigin, folder / "r", one_thread()).up_to_date);
  EXPECT_FALSE(std::filesystem::exists(folder / "r" / ".sweep0"));
}

TEST(Sweep, BadSpecificationsAreNamed) {
  const auto refused = [](const char* text, const char* part) {
    EXPECT_NE(error_of(ErrorCode::kInvalidArgument, [&] { (void)parse_sweep(text); }).find(part), std::string::npos)
        << text;
  };
  refused("lr", "option=value");
  refused("lr=", "expected numbers");
  refused("lr=1:x", "found 'x'");
  refused("size=1", "expected one of lr, weight-decay");
  refused("lr=1:2:3:4:5:6:7:8:9,hidden=1:2:3:4:5:6:7:8", "at most 64");
}

}  // namespace
}  // namespace imagerank::reward
