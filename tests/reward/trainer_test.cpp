#include "reward/trainer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <memory>

#include "core/atomic_file.h"
#include "core/fail.h"
#include "core/half.h"
#include "core/random.h"
#include "reward/checkpoint.h"
#include "reward/reward.h"
#include "reward/training_set.h"
#include "reward/training_world.h"
#include "support/test_support.h"

namespace imagerank::reward {
namespace {

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

INSTANTIATE_TEST_SUITE_P(Trainer, EveryCombination,
                         testing::Values(Combination{"mlp", "mse", 3}, Combination{"mlp", "ce", 3},
                                         Combination{"mlp", "bce", 2}, Combination{"mlp", "bt", 3},
                                         Combination{"cnn", "ce", 3}, Combination{"lstm", "ce", 3},
                                         Combination{"linear", "mse", 2}, Combination{"interaction", "bt", 3},
                                         Combination{"clip", "bt", 3}, Combination{"deep", "bt", 3},
                                         Combination{"attention", "bt", 3}, Combination{"mlp", "davidson", 3},
                                         Combination{"mlp", "rao-kupper", 3}, Combination{"mlp", "plackett-luce", 3}),
                         [](const auto& instance) {
                           std::string name = std::string(instance.param.head) + "_" + instance.param.loss;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

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

TEST(Trainer, Bfloat16TakesAnotherWayToTheSameLoss) {
  const test::TemporaryFolder folder;
  const Examples examples = make_world(5);
  for (const char* head : {"mlp", "cnn"}) {
    TrainOptions options = small(head, "bt");
    options.hidden = 4096;  // a product wide enough
    options.epochs = 3;
    options.learning_rate = 3e-4;
    const auto exact = train_reward(examples, options, kOrigin, folder / "exact", one_thread()).record;
    options.bfloat16 = true;
    const auto rounded = train_reward(examples, options, kOrigin, folder / "rounded", one_thread()).record;
    EXPECT_FALSE(rounded["seconds"].is_null());
    EXPECT_EQ(rounded["options"]["bf16"], true);
    EXPECT_NE(weights_of(folder / "exact"), weights_of(folder / "rounded")) << head;
    for (std::size_t epoch = 0; epoch < 3; ++epoch) {
      const auto loss = [&](const nlohmann::json& record) { return record["epochs"][epoch]["loss"].get<double>(); };
      EXPECT_NEAR(loss(rounded), loss(exact), 0.02 * loss(exact)) << head << ", epoch " << epoch;
    }
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
  const auto few = make_training_set(examples, InputScaling::kStandardise, Loss::kMse, {}, 50, 9);
  const auto more = make_training_set(examples, InputScaling::kStandardise, Loss::kMse, {}, 200, 9);
  const auto other = make_training_set(examples, InputScaling::kStandardise, Loss::kMse, {}, 50, 10);
  ASSERT_EQ(few.train.size(), 50U);
  ASSERT_EQ(more.train.size(), 200U);
  bool differs = false;
  for (std::size_t i = 0; i < few.train.size(); ++i) {
    EXPECT_EQ(few.train.points[i].image, more.train.points[i].image);
    EXPECT_EQ(few.train.points[i].text, more.train.points[i].text);
    differs = differs || few.train.points[i].image != other.train.points[i].image;
  }
  EXPECT_TRUE(differs);
  EXPECT_EQ(make_training_set(examples, InputScaling::kStandardise, Loss::kBt, {}, 0, 9).train.size(), 1500U);
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
  EXPECT_NE(error_of(ErrorCode::kCorruptData, attempt(options, broken))
                .find("image vectors: expected finite numbers, found 1 rows with others: 5"),
            std::string::npos);
  broken = examples;
  broken.texts.dim = 6;
  error_of(ErrorCode::kCorruptData, attempt(options, broken));
  options = small("mlp", "ce");
  options.weighting.class_weights = {1, 2};
  EXPECT_NE(error_of(ErrorCode::kInvalidArgument, attempt(options, examples)).find("--class-weights: expected 3"),
            std::string::npos);
  options = small("mlp", "bt");
  options.weighting.balanced = true;
  EXPECT_NE(error_of(ErrorCode::kInvalidArgument, attempt(options, examples)).find("no classes"), std::string::npos);
  options = small("mlp", "mse");
  options.label_smoothing = 0.1;
  EXPECT_NE(error_of(ErrorCode::kInvalidArgument, attempt(options, examples)).find("--label-smoothing"),
            std::string::npos);
  options = small("mlp", "mse");
  options.schedule = "sine";
  EXPECT_NE(error_of(ErrorCode::kInvalidArgument, attempt(options, examples)).find("cosine, linear, constant"),
            std::string::npos);
  options = small("mlp", "mse");
  options.prompts.weight = 0.5;
  EXPECT_NE(error_of(ErrorCode::kNotFound, attempt(options, examples)).find("imagerank perturb"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(folder / "r" / "reward.json"));
}

TEST(Trainer, ASplitWithNothingToTellApartIsAnErrorAndOnePromptAWarning) {
  const test::TemporaryFolder folder;
  const Examples examples = make_world(9);
  const auto attempt = [&](const char* loss, const Examples& rows) {
    return [&folder, loss, rows] { train_reward(rows, small("mlp", loss), kOrigin, folder / "r", one_thread()); };
  };
  Examples broken = examples;
  for (LabelledPoint& point : broken.points[0]) point.label = 1;
  for (const char* loss : {"ce", "mse"}) {
    EXPECT_NE(error_of(ErrorCode::kNotFound, attempt(loss, broken)).find("found label 1 on all 1500"),
              std::string::npos);
  }
  for (PreferencePair& pair : broken.pairs[0]) pair.p_a = 0.5F;
  for (RankedImage& ranked : broken.ranked) ranked.level = 0;
  EXPECT_NE(error_of(ErrorCode::kNotFound, attempt("bt", broken)).find("all ties"), std::string::npos);
  EXPECT_NE(error_of(ErrorCode::kNotFound, attempt("plackett-luce", broken)).find("all ties"), std::string::npos);
  broken.lists[0].clear();
  EXPECT_NE(error_of(ErrorCode::kNotFound, attempt("plackett-luce", broken)).find("expected rankings"),
            std::string::npos);
  broken = examples;
  for (PreferencePair& pair : broken.pairs[0]) pair.weight = 0.0F;
  EXPECT_NE(error_of(ErrorCode::kNotFound, attempt("bt", broken)).find("found none"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(folder / "r" / "reward.json"));
  Examples one = examples;
  for (auto* const split : {&one.pairs[0], &one.pairs[1]}) {
    for (PreferencePair& pair : *split) pair.text = 3;
  }
  const auto record = train_reward(one, small("linear", "bt"), kOrigin, folder / "r", one_thread()).record;
  ASSERT_EQ(record["warnings"].size(), 2U) << record["warnings"];
  EXPECT_NE(record["warnings"][0].get<std::string>().find("train split has one prompt"), std::string::npos);
}

TEST(Trainer, UnfiniteVectorsAreNamedIfTheyAreUsed) {
  const test::TemporaryFolder folder;
  Examples examples = make_world(9);
  examples.text_name = [](std::uint32_t row) { return "prompt" + std::to_string(row); };
  examples.texts.values[3 * kDim + 1] = std::numeric_limits<float>::quiet_NaN();
  const std::string error = error_of(ErrorCode::kCorruptData, [&] {
    train_reward(examples, small("mlp", "bt"), kOrigin, folder / "r", one_thread());
  });
  EXPECT_NE(error.find("found 1 rows with others: prompt3"), std::string::npos) << error;
  // A row that no label refers to is never read.
  examples.texts.values[3 * kDim + 1] = 0.0F;
  examples.texts.values.resize(examples.texts.values.size() + kDim, std::numeric_limits<float>::quiet_NaN());
  EXPECT_NO_THROW(train_reward(examples, small("linear", "bt"), kOrigin, folder / "r", one_thread()));
}

TEST(Trainer, HalvesTrainToTheSameBytesAsFloats) {
  const test::TemporaryFolder folder;
  Examples examples = make_world(12);
  train_reward(examples, small("mlp", "bt"), kOrigin, folder / "floats", one_thread());
  for (VectorTable* const table : {&examples.images, &examples.texts}) {
    auto owner = std::make_shared<std::vector<std::uint16_t>>();
    for (const float value : table->values) owner->push_back(half_from_float(value));
    *table = {.dim = kDim, .values = {}, .halves = *owner, .owner = owner};
  }
  train_reward(examples, small("mlp", "bt"), kOrigin, folder / "halves", one_thread());
  const auto tensors = [](const std::filesystem::path& path) {
    // The keys differ: a fingerprint is over the bytes as they are stored.
    const std::string bytes = weights_of(path);
    return bytes.substr(bytes.size() - 1000);
  };
  EXPECT_EQ(tensors(folder / "floats"), tensors(folder / "halves"));
}

TEST(Trainer, EarlyStoppingKeepsTheBestEpoch) {
  const test::TemporaryFolder folder;
  Examples examples = make_world(13);
  Random random(2);
  for (PreferencePair& pair : examples.pairs[1]) pair.p_a = random.chance(0.5) ? 1.0F : 0.0F;  // nothing to be won
  TrainOptions options = small("mlp", "bt");
  options.epochs = 50;
  options.learning_rate = 0.01;
  options.patience = 3;
  const auto record = train_reward(examples, options, kOrigin, folder / "r", one_thread()).record;
  const auto done = record["epochs"].size();
  EXPECT_LT(done, 50U);
  EXPECT_EQ(done, record["best_epoch"].get<std::size_t>() + 3);
}

TEST(Trainer, SchedulesOptimisersAndClippingDoWhatTheySay) {
  const test::TemporaryFolder folder;
  const Examples examples = make_world(14);
  const auto rates = [&](const char* schedule, double warm_up) {
    TrainOptions options = small("linear", "bt");
    options.schedule = schedule;
    options.warm_up = warm_up;
    options.learning_rate = 1e-3;
    std::vector<double> found;
    const TrainReport report = train_reward(examples, options, kOrigin, folder / "r", one_thread());
    for (const auto& epoch : report.record["epochs"]) {
      found.push_back(epoch["lr"].get<double>() / 1e-3);
    }
    return found;
  };
  const auto near = [](const std::vector<double>& found, const std::vector<double>& expected) {
    ASSERT_EQ(found.size(), expected.size());
    for (std::size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i], expected[i], 1e-6) << i;
  };
  near(rates("constant", 0.0), {1, 1, 1, 1});
  near(rates("linear", 0.0), {0.75, 0.5, 0.25, 0.01});
  near(rates("linear", 0.5), {0.5, 1, 0.5, 0.01});
  near(rates("cosine", 0.0), {0.5 + 0.25 * std::sqrt(2.0), 0.5, 0.5 - 0.25 * std::sqrt(2.0), 0.01});
  TrainOptions options = small("linear", "bt");
  train_reward(examples, options, kOrigin, folder / "adamw", one_thread());
  options.optimizer = "adam";
  EXPECT_EQ(train_reward(examples, options, kOrigin, folder / "adam", one_thread()).record["options"]["weight_decay"],
            0.0);
  EXPECT_NE(weights_of(folder / "adam"), weights_of(folder / "adamw"));
  options.clip_norm = 1e-12;  // Adam's steps keep their size whatever the gradient's, but for its epsilon
  const auto frozen = train_reward(examples, options, kOrigin, folder / "clipped", one_thread()).record;
  EXPECT_NEAR(frozen["epochs"][0]["loss"].get<double>(), frozen["epochs"][3]["loss"].get<double>(), 0.01);
}

TEST(Trainer, ThePromptClassificationTeachesWhatPairsDoNot) {
  // Pairs tell of quality alone; which text an image goes with (their second components) stands in wrong prompts only.
  const test::TemporaryFolder folder;
  Examples examples = make_world(15);
  Random random(3);
  const auto match = [&](std::uint32_t image, std::uint32_t text) {
    return examples.images.values[image * kDim + 1] * examples.texts.values[text * kDim + 1];
  };
  for (auto& split : examples.pairs) {
    for (PreferencePair& pair : split) {
      // Both images go with the text, so that a choice between them says nothing of that.
      const auto fits = [&] { return match(pair.image_a, pair.text) > 0.3F && match(pair.image_b, pair.text) > 0.3F; };
      for (int tries = 0; !fits() && tries < 1000; ++tries) {
        pair.text = static_cast<std::uint32_t>(random.below(kTexts));
        if (tries % 100 == 99) pair.image_b = static_cast<std::uint32_t>(random.below(kImages));
      }
      const float lead = examples.images.values[pair.image_a * kDim] - examples.images.values[pair.image_b * kDim];
      pair.p_a = lead > 0.0F ? 1.0F : 0.0F;
    }
  }
  examples.wrong_begin = {0};
  for (std::uint32_t text = 0; text < kTexts; ++text) {
    for (std::uint32_t other = 0; other < kTexts; ++other) {
      const bool opposite = examples.texts.values[text * kDim + 1] * examples.texts.values[other * kDim + 1] < 0.0F;
      if (opposite) examples.wrong_texts.push_back(other);
    }
    examples.wrong_begin.push_back(static_cast<std::uint32_t>(examples.wrong_texts.size()));
  }
  TrainOptions options = small("interaction", "bt");
  options.epochs = 10;
  options.learning_rate = 3e-3;
  const auto share_right = [&](const std::filesystem::path& path) {
    const Reward reward = Reward::load(path);
    double right = 0.0;
    double all = 0.0;
    const auto score = [&](std::uint32_t image, std::uint32_t text) {
      return reward
          .score(std::span(examples.images.values).subspan(image * kDim, kDim),
                 std::span(examples.texts.values).subspan(text * kDim, kDim), 1)
          .score[0];
    };
    for (const PreferencePair& pair : examples.pairs[2]) {
      const std::uint32_t winner = pair.p_a > 0.5F ? pair.image_a : pair.image_b;
      for (const std::uint32_t k : {0U, 5U}) {
        const std::uint32_t begin = examples.wrong_begin[pair.text];
        if (begin + k >= examples.wrong_begin[pair.text + 1]) continue;
        all += 1.0;
        right += score(winner, pair.text) > score(winner, examples.wrong_texts[begin + k]) ? 1.0 : 0.0;
      }
    }
    return right / all;
  };
  train_reward(examples, options, kOrigin, folder / "without", one_thread());
  options.prompts = {.weight = 0.5, .temperature = 1.0, .wrong_count = 5, .logits = false};
  const auto record = train_reward(examples, options, kOrigin, folder / "with", one_thread()).record;
  EXPECT_GT(share_right(folder / "with"), share_right(folder / "without") + 0.1);
  EXPECT_TRUE(record["epochs"][0]["prompt_loss"].is_number());
  EXPECT_EQ(record["prompt_classification"]["floor"], 0.0) << "a utility has no bounds";
}

TEST(Trainer, AnEnsembleAveragesItsHeadsAndResumes) {
  const test::TemporaryFolder folder;
  const Examples examples = make_world(16);
  TrainOptions options = small("mlp", "bt");
  options.ensemble = 3;
  std::stop_source source;
  RunContext context = one_thread();
  context.stop = source.get_token();
  int reports = 0;
  context.progress = [&](const Progress&) {
    if (++reports > 6) source.request_stop();  // within the second head
  };
  error_of(ErrorCode::kCancelled, [&] { train_reward(examples, options, kOrigin, folder / "r", context); });
  const TrainReport report = train_reward(examples, options, kOrigin, folder / "r", one_thread());
  EXPECT_GE(report.resumed_from, 4);
  EXPECT_TRUE(train_reward(examples, options, kOrigin, folder / "r", one_thread()).up_to_date);
  ASSERT_EQ(report.record["members"].size(), 3U);
  EXPECT_EQ(report.record["epochs"].size(), 4U);
  const Reward reward = Reward::load(folder / "r");
  EXPECT_EQ(reward.ensemble(), 3);
  std::vector<std::vector<float>> alone;
  for (std::uint64_t seed = 0; seed < 3; ++seed) {
    TrainOptions one = options;
    one.ensemble = 1;
    one.seed = seed;
    train_reward(examples, one, kOrigin, folder / "one", one_thread());
    alone.push_back(Reward::load(folder / "one").score(examples.images.values, examples.images.values, kImages).score);
  }
  const Scores scores = reward.score(examples.images.values, examples.images.values, kImages);
  ASSERT_EQ(scores.deviation.size(), kImages);
  const auto centre = [&](std::size_t k) { return report.record["members"][k]["centre"].get<double>(); };
  for (const std::size_t i : {0U, 17U, 599U}) {
    EXPECT_NEAR(scores.score[i], (alone[0][i] + alone[1][i] + alone[2][i]) / 3.0, 1e-5);
    double mean = 0.0;
    for (std::size_t k = 0; k < 3; ++k) mean += (alone[k][i] - centre(k)) / 3.0;
    double variance = 0.0;
    for (std::size_t k = 0; k < 3; ++k) variance += std::pow(alone[k][i] - centre(k) - mean, 2) / 3.0;
    EXPECT_NEAR(scores.deviation[i], std::sqrt(variance), 1e-4);
  }
  for (const auto& entry : std::filesystem::directory_iterator(folder / "r")) {
    EXPECT_TRUE(entry.path().filename().string().starts_with("reward.")) << entry.path();
  }
}

TEST(Trainer, TheRecordTurnsDifferencesIntoProbabilities) {
  const test::TemporaryFolder folder;
  const Examples examples = make_world(17);
  const auto record = train_reward(examples, small("mlp", "bt"), kOrigin, folder / "r", one_thread()).record;
  const auto& calibration = record.at("calibration");
  EXPECT_GT(calibration.at("temperature").get<double>(), 0.1);
  EXPECT_TRUE(calibration.at("tie_width").is_number());
  EXPECT_LT(calibration.at("log_loss").get<double>(), std::log(3.0));
  EXPECT_GT(calibration.at("standard_deviation").get<double>(), 0.1);
  EXPECT_EQ(calibration.at("pairs"), 300);
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
