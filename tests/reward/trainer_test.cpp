#include "reward/trainer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <limits>

#include "core/atomic_file.h"
#include "core/fail.h"
#include "core/half.h"
#include "core/random.h"
#include "reward/checkpoint.h"
#include "reward/reward.h"
#include "reward/training_set.h"
#include "support/test_support.h"

namespace imagerank::reward {
namespace {

constexpr std::size_t kDim = 12;
constexpr std::size_t kTexts = 40;
constexpr std::size_t kImages = 600;

float as_cached(double value) { return float_from_half(half_from_float(static_cast<float>(value))); }

/// Random vectors; an image is good for a text if quality (its first component) and match (the product of the second
/// components) are high. Labels are thirds of that utility, pairs follow it.
Examples make_world(std::uint64_t seed, std::int32_t classes = 3) {
  Random random(seed);
  Examples examples;
  examples.class_count = classes;
  examples.images.dim = examples.texts.dim = kDim;
  for (std::size_t i = 0; i < kImages * kDim; ++i) examples.images.values.push_back(as_cached(random.normal()));
  for (std::size_t i = 0; i < kTexts * kDim; ++i) examples.texts.values.push_back(as_cached(random.normal()));
  const auto utility = [&](std::uint32_t image, std::uint32_t text) {
    return 1.5 * examples.images.values[image * kDim] +
           examples.images.values[image * kDim + 1] * examples.texts.values[text * kDim + 1];
  };
  for (std::size_t split = 0; split < kSplitCount; ++split) {
    for (int i = 0; i < (split == 0 ? 1500 : 300); ++i) {
      const auto text = static_cast<std::uint32_t>(random.below(kTexts));
      const auto a = static_cast<std::uint32_t>(random.below(kImages));
      const auto b = static_cast<std::uint32_t>(random.below(kImages));
      const double value = utility(a, text);
      const std::int32_t label = value < -0.7 ? 0 : value < 0.7 ? 1 : 2;
      examples.points[split].push_back({a, text, classes == 2 ? (value > 0.0 ? 1 : 0) : label});
      const double difference = value - utility(b, text);
      examples.pairs[split].push_back(
          {a, b, text, std::abs(difference) < 0.2 ? 0.5F : (difference > 0.0 ? 1.0F : 0.0F), 1.0F});
    }
  }
  return examples;
}

const nlohmann::json kOrigin = {{"encoder", "test-fp32-00000000"}, {"model", "builtin/test"}};

TrainOptions small(const std::string& head, const std::string& loss) {
  TrainOptions options;
  options.head = head;
  options.loss = loss;
  options.epochs = 4;
  options.hidden = 32;
  options.rank = 8;
  return options;
}

std::string weights_of(const std::filesystem::path& folder) { return load_file(folder / "reward.safetensors"); }

RunContext one_thread() {
  RunContext context;
  context.threads = 1;
  return context;
}

template <typename Action>
std::string error_of(ErrorCode code, Action&& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "nothing thrown";
  return "";
}

struct Combination {
  const char* head;
  const char* loss;
  std::int32_t classes;
};

class EveryCombination : public testing::TestWithParam<Combination> {};

TEST_P(EveryCombination, LearnsWhatCanBeLearnt) {
  const auto& [head, loss, classes] = GetParam();
  const test::TemporaryFolder folder;
  const Examples examples = make_world(1, classes);
  TrainOptions options = small(head, loss);
  options.epochs = 12;
  options.learning_rate = 3e-3;
  const TrainReport report = train_reward(examples, options, kOrigin, folder / "reward", one_thread());
  ASSERT_EQ(report.record["epochs"].size(), 12U);
  EXPECT_TRUE(report.record["warnings"].empty()) << report.record["warnings"];
  const auto best = report.record["best_epoch"].get<std::size_t>();
  const nlohmann::json& validation = report.record["epochs"][best - 1]["validation"];
  // Quality alone, which every head can see, orders about three pairs in four.
  EXPECT_GT(validation["pair_accuracy_strict"].get<double>(), 0.68) << validation;
  for (const auto& epoch : report.record["epochs"]) {
    EXPECT_LE(validation["loss"].get<double>(), epoch["validation"]["loss"].get<double>());
  }
  if (std::string(loss) == "ce" || std::string(loss) == "bce") {
    std::vector<double> shares(3, 0.0);
    for (const LabelledPoint& point : examples.points[1]) shares[static_cast<std::size_t>(point.label)] += 1.0 / 300.0;
    EXPECT_GT(validation["accuracy"].get<double>(), *std::ranges::max_element(shares) + 0.15);
  }
  if (std::string(loss) == "mse") {
    EXPECT_GT(validation["r2"].get<double>(), 0.2);
  }
  // What was saved is what validation saw, and it scores the same loaded again.
  const Reward reward = Reward::load(folder / "reward");
  EXPECT_EQ(reward.head(), head);
  EXPECT_EQ(reward.encoder(), "test-fp32-00000000");
  double right = 0.0;
  double strict = 0.0;
  for (const PreferencePair& pair : examples.pairs[1]) {
    const auto row = [&](const VectorTable& table, std::uint32_t index) {
      return std::span(table.values).subspan(index * kDim, kDim);
    };
    const float a = reward.score(row(examples.images, pair.image_a), row(examples.texts, pair.text), 1).score[0];
    const float b = reward.score(row(examples.images, pair.image_b), row(examples.texts, pair.text), 1).score[0];
    if (pair.p_a > 0.4F && pair.p_a < 0.6F) continue;
    strict += 1.0;
    right += (pair.p_a > 0.5F ? a > b : a < b) ? 1.0 : 0.0;
  }
  EXPECT_NEAR(right / strict, validation["pair_accuracy_strict"].get<double>(), 1e-12);
}

INSTANTIATE_TEST_SUITE_P(
    Trainer, EveryCombination,
    testing::Values(Combination{"mlp", "mse", 3}, Combination{"mlp", "ce", 3}, Combination{"mlp", "bce", 2},
                    Combination{"mlp", "bt", 3}, Combination{"cnn", "ce", 3}, Combination{"lstm", "ce", 3},
                    Combination{"linear", "mse", 2}, Combination{"interaction", "bt", 3}, Combination{"clip", "bt", 3}),
    [](const auto& instance) { return std::string(instance.param.head) + "_" + instance.param.loss; });

TEST(Trainer, TheInteractionIsSeenWhereASumCannotBe) {
  const test::TemporaryFolder folder;
  const Examples examples = make_world(2);
  const auto accuracy = [&](const char* head) {
    TrainOptions options = small(head, "bt");
    options.epochs = 15;
    options.learning_rate = 3e-3;
    const auto record = train_reward(examples, options, kOrigin, folder / head, one_thread()).record;
    return record["epochs"][record["best_epoch"].get<std::size_t>() - 1]["validation"]["pair_accuracy_strict"]
        .get<double>();
  };
  EXPECT_GT(accuracy("interaction"), accuracy("linear") + 0.05);
}

TEST(Trainer, TheSameSeedGivesTheSameBytes) {
  const test::TemporaryFolder folder;
  const Examples examples = make_world(3);
  for (const char* head : {"mlp", "cnn", "lstm", "interaction"}) {
    TrainOptions options = small(head, "ce");
    options.epochs = 2;
    options.dropout = 0.2;
    train_reward(examples, options, kOrigin, folder / "one", one_thread());
    train_reward(examples, options, kOrigin, folder / "two", one_thread());
    EXPECT_EQ(weights_of(folder / "one"), weights_of(folder / "two")) << head;
    options.seed = 1;
    train_reward(examples, options, kOrigin, folder / "two", one_thread());
    EXPECT_NE(weights_of(folder / "one"), weights_of(folder / "two")) << head;
  }
}

TEST(Trainer, AStoppedRunResumesToTheSameBytes) {
  const test::TemporaryFolder folder;
  const Examples examples = make_world(4);
  for (const int stop_after : {1, 3}) {
    TrainOptions options = small("mlp", "bt");
    options.epochs = 5;
    options.dropout = 0.1;
    options.seed = static_cast<std::uint64_t>(stop_after);
    train_reward(examples, options, kOrigin, folder / "whole", one_thread());

    std::stop_source source;
    RunContext context = one_thread();
    context.stop = source.get_token();
    const std::uint64_t steps = (examples.pairs[0].size() + 63) / 64 * static_cast<std::uint64_t>(stop_after);
    context.progress = [&](const Progress& progress) {
      if (progress.done >= steps) source.request_stop();
    };
    const auto stopped = folder / "stopped";
    error_of(ErrorCode::kCancelled, [&] { train_reward(examples, options, kOrigin, stopped, context); });
    EXPECT_TRUE(std::filesystem::exists(checkpoint_path(stopped)));
    EXPECT_FALSE(std::filesystem::exists(stopped / "reward.json"));
    const TrainReport report = train_reward(examples, options, kOrigin, stopped, one_thread());
    EXPECT_EQ(report.resumed_from, stop_after);
    EXPECT_EQ(report.record["epochs"].size(), 5U);
    EXPECT_EQ(weights_of(stopped), weights_of(folder / "whole"));
    EXPECT_FALSE(std::filesystem::exists(checkpoint_path(stopped)));
    std::filesystem::remove_all(stopped);
    std::filesystem::remove_all(folder / "whole");
  }
}

TEST(Trainer, ADamagedOrForeignCheckpointStartsAfresh) {
  const test::TemporaryFolder folder;
  const Examples examples = make_world(4);
  const TrainOptions options = small("mlp", "bt");
  train_reward(examples, options, kOrigin, folder / "whole", one_thread());
  std::filesystem::create_directories(folder / "other");
  test::write_text(checkpoint_path(folder / "other"), "not a checkpoint");
  EXPECT_EQ(train_reward(examples, options, kOrigin, folder / "other", one_thread()).resumed_from, 0);
  EXPECT_EQ(weights_of(folder / "other"), weights_of(folder / "whole"));
}

TEST(Trainer, AFinishedRewardIsNotTrainedAgainUnlessSomethingChanged) {
  const test::TemporaryFolder folder;
  Examples examples = make_world(5);
  TrainOptions options = small("linear", "mse");
  EXPECT_FALSE(train_reward(examples, options, kOrigin, folder / "r", one_thread()).up_to_date);
  const std::string first = weights_of(folder / "r");
  EXPECT_TRUE(train_reward(examples, options, kOrigin, folder / "r", one_thread()).up_to_date);
  options.learning_rate = 0.01;
  EXPECT_FALSE(train_reward(examples, options, kOrigin, folder / "r", one_thread()).up_to_date);
  EXPECT_NE(first, weights_of(folder / "r"));
  examples.points[0][0].label = (examples.points[0][0].label + 1) % 3;
  EXPECT_FALSE(train_reward(examples, options, kOrigin, folder / "r", one_thread()).up_to_date);
  std::filesystem::remove(folder / "r" / "reward.safetensors");
  EXPECT_FALSE(train_reward(examples, options, kOrigin, folder / "r", one_thread()).up_to_date);
}

TEST(Trainer, LimitsAreNestedSubsets) {
  const Examples examples = make_world(6);
  const auto few = make_training_set(examples, InputScaling::kStandardise, Loss::kMse, 50, 9);
  const auto more = make_training_set(examples, InputScaling::kStandardise, Loss::kMse, 200, 9);
  const auto other = make_training_set(examples, InputScaling::kStandardise, Loss::kMse, 50, 10);
  ASSERT_EQ(few.size(), 50U);
  ASSERT_EQ(more.size(), 200U);
  bool differs = false;
  for (std::size_t i = 0; i < few.size(); ++i) {
    EXPECT_EQ(few.points[i].image, more.points[i].image);
    EXPECT_EQ(few.points[i].text, more.points[i].text);
    differs = differs || few.points[i].image != other.points[i].image;
  }
  EXPECT_TRUE(differs);
  EXPECT_EQ(make_training_set(examples, InputScaling::kStandardise, Loss::kBt, 0, 9).size(), 1500U);
}

TEST(Trainer, WithoutValidationTheLastEpochIsKeptAndSaid) {
  const test::TemporaryFolder folder;
  Examples examples = make_world(7);
  examples.points[1].clear();
  const auto record = train_reward(examples, small("mlp", "ce"), kOrigin, folder / "r", one_thread()).record;
  EXPECT_EQ(record["best_epoch"], 4);
  ASSERT_EQ(record["warnings"].size(), 1U);
  EXPECT_NE(record["warnings"][0].get<std::string>().find("validation split has no points"), std::string::npos);
  EXPECT_TRUE(record["epochs"][0]["validation"]["loss"].is_null());
}

TEST(Trainer, AHeadThatPredictsOneClassIsNamed) {
  const test::TemporaryFolder folder;
  Examples examples = make_world(8, 2);
  Random random(1);
  for (auto& split : examples.points) {
    for (LabelledPoint& point : split) point.label = random.chance(0.03) ? 1 : 0;  // unrelated, nearly of one class
  }
  TrainOptions options = small("linear", "ce");
  options.learning_rate = 0.03;
  const auto record = train_reward(examples, options, kOrigin, folder / "r", one_thread()).record;
  ASSERT_EQ(record["warnings"].size(), 1U);
  EXPECT_NE(record["warnings"][0].get<std::string>().find("predicts one class (0)"), std::string::npos);
}

TEST(Trainer, BadOptionsAndRowsAreNamed) {
  const test::TemporaryFolder folder;
  const Examples examples = make_world(9);
  const auto attempt = [&](const TrainOptions& options, const Examples& rows) {
    return [&folder, options, rows] { train_reward(rows, options, kOrigin, folder / "r", one_thread()); };
  };
  TrainOptions options = small("mlp", "mse");
  options.epochs = 0;
  EXPECT_NE(error_of(ErrorCode::kInvalidArgument, attempt(options, examples)).find("--epochs"), std::string::npos);
  options = small("mlp", "mse");
  options.learning_rate = std::numeric_limits<double>::quiet_NaN();
  EXPECT_NE(error_of(ErrorCode::kInvalidArgument, attempt(options, examples)).find("--lr"), std::string::npos);
  options = small("mlp", "bce");
  EXPECT_NE(error_of(ErrorCode::kInvalidArgument, attempt(options, examples)).find("two classes"), std::string::npos);
  options = small("clip", "ce");
  EXPECT_NE(error_of(ErrorCode::kInvalidArgument, attempt(options, examples)).find("clip takes"), std::string::npos);

  options = small("mlp", "mse");
  Examples broken = examples;
  broken.points[0].clear();
  EXPECT_NE(error_of(ErrorCode::kNotFound, attempt(options, broken)).find("train split"), std::string::npos);
  broken = examples;
  broken.points[2][0].label = 3;
  EXPECT_NE(error_of(ErrorCode::kCorruptData, attempt(options, broken)).find("label < 3"), std::string::npos);
  broken = examples;
  broken.pairs[0][0].image_b = kImages;
  error_of(ErrorCode::kCorruptData, attempt(options, broken));
  broken = examples;
  broken.images.values[5 * kDim] = std::numeric_limits<float>::infinity();
  EXPECT_NE(error_of(ErrorCode::kCorruptData, attempt(options, broken)).find("image vector 5"), std::string::npos);
  broken = examples;
  broken.texts.dim = 6;
  error_of(ErrorCode::kCorruptData, attempt(options, broken));
  EXPECT_FALSE(std::filesystem::exists(folder / "r" / "reward.json"));
}

TEST(Trainer, ADivergingLossStopsWithAReason) {
  const test::TemporaryFolder folder;
  Examples examples = make_world(10);
  for (float& value : examples.images.values) value *= 100.0F;
  TrainOptions options = small("mlp", "mse");
  options.learning_rate = 10.0;
  options.epochs = 300;
  options.weight_decay = 10.0;  // 1 - lr * decay = -99: the weights explode
  EXPECT_NE(error_of(ErrorCode::kInvalidArgument,
                     [&] { train_reward(examples, options, kOrigin, folder / "r", one_thread()); })
                .find("--lr"),
            std::string::npos);
}

}  // namespace
}  // namespace imagerank::reward
