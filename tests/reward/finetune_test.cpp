#include "reward/finetune.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "clip/models.h"
#include "clip/weights.h"
#include "core/atomic_file.h"
#include "core/fail.h"
#include "core/random.h"
#include "support/test_support.h"
#include "support/thrown.h"

namespace imagerank::reward {
namespace {

using test::error_of;

/// A random tiny CLIP and images that are red or blue; the redder one of a pair is preferred.
class Finetune : public testing::Test {
 protected:
  void SetUp() override {
    clip::ModelConfig config = clip::named_model_config("tiny");
    clip::write_random_model(config, folder_ / "start", 3, std::nullopt);
    config_ = clip::load_model_config(folder_ / "start");
    const auto side = static_cast<std::size_t>(config_.image_size);
    Random random(5);
    std::vector<double> red;
    for (std::size_t i = 0; i < kImages; ++i) {
      red.push_back(random.uniform());
      for (std::size_t p = 0; p < side * side; ++p) {
        for (const double value : {red[i], 0.5, 1.0 - red[i]}) {
          pixels_.push_back(static_cast<std::uint8_t>(255.0 * std::clamp(value + 0.1 * random.normal(), 0.0, 1.0)));
        }
      }
    }
    for (const std::int32_t word : {5, 9, 77}) {
      prompts_.push_back(
          {static_cast<std::int32_t>(config_.bos_token_id), word, static_cast<std::int32_t>(config_.eos_token_id)});
    }
    for (int i = 0; i < 120; ++i) {
      const auto a = static_cast<std::uint32_t>(random.below(kImages));
      const auto b = static_cast<std::uint32_t>((a + 1 + random.below(kImages - 1)) % kImages);
      const PreferencePair pair{a, b, static_cast<std::uint32_t>(random.below(3)), red[a] > red[b] ? 1.0F : 0.0F, 1.0F};
      (i < 80 ? train_ : validation_).push_back(pair);
    }
    options_.steps = 24;
    options_.batch = 16;
    options_.learning_rate = 1e-3;
    options_.warm_up_steps = 2;
    options_.validation_steps = 6;
    options_.seed = 1;
  }

  [[nodiscard]] FinetuneResult run(const std::string& name, const RunContext& context = one_thread()) const {
    return finetune({pixels_, prompts_, train_, validation_}, options_, folder_ / "start", folder_ / name, context);
  }
  static RunContext one_thread() {
    RunContext context;
    context.threads = 1;
    return context;
  }
  [[nodiscard]] std::string weights_of(const std::string& name) const {
    return load_file(folder_ / name / "model.safetensors");
  }

  static constexpr std::size_t kImages = 24;
  test::TemporaryFolder folder_;
  clip::ModelConfig config_;
  std::vector<std::uint8_t> pixels_;
  std::vector<std::vector<std::int32_t>> prompts_;
  std::vector<PreferencePair> train_, validation_;
  FinetuneOptions options_;
};

TEST_F(Finetune, LearnsAndKeepsTheBestStep) {
  const FinetuneResult result = run("out");
  ASSERT_EQ(result.history.size(), 4U);
  EXPECT_LT(result.history.back()["loss"].get<double>(), 0.8 * result.history.front()["loss"].get<double>());
  double best = 0.0;
  for (const auto& entry : result.history) best = std::max(best, entry["pair_accuracy"].get<double>());
  EXPECT_GT(best, 0.75);
  for (const auto& entry : result.history) {
    if (entry["step"] == result.best_step) {
      EXPECT_EQ(entry["pair_accuracy"], best);
    }
  }
  EXPECT_FALSE(clip::load_model_config(folder_ / "out").untrained);
  EXPECT_NO_THROW((void)clip::load_clip_model(folder_ / "out"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "out" / "finetune.checkpoint"));
}

TEST_F(Finetune, AStoppedRunResumesToTheSameBytes) {
  (void)run("whole");
  std::stop_source source;
  RunContext context = one_thread();
  context.stop = source.get_token();
  context.progress = [&](const Progress& progress) {
    if (progress.done >= 9) source.request_stop();
  };
  error_of(ErrorCode::kCancelled, [&] { (void)run("stopped", context); });
  EXPECT_FALSE(std::filesystem::exists(folder_ / "stopped" / "model.safetensors"));
  EXPECT_EQ(run("stopped").resumed_at, 9);
  EXPECT_EQ(weights_of("stopped"), weights_of("whole"));
}

TEST_F(Finetune, RecomputedActivationsGiveTheSameGradients) {
  options_.steps = 1;
  options_.warm_up_steps = 0;
  options_.batch = 80;
  options_.clip_norm = 0.0;
  (void)run("plain");
  options_.recompute = true;
  (void)run("recomputed");
  const clip::ClipModel plain = clip::load_clip_model(folder_ / "plain");
  const clip::ClipModel recomputed = clip::load_clip_model(folder_ / "recomputed");
  const clip::ClipModel start = clip::load_clip_model(folder_ / "start");
  double moved = 0.0;
  double apart = 0.0;
  for (std::size_t i = 0; i < plain->parameters().size(); ++i) {
    moved += (plain->parameters()[i] - start->parameters()[i]).abs().sum().item<double>();
    apart += (plain->parameters()[i] - recomputed->parameters()[i]).abs().sum().item<double>();
  }
  // Adam's first step is the gradient's sign: where a gradient is all but zero, rounding decides it.
  EXPECT_LT(apart, 0.02 * moved);
  EXPECT_GT(moved, 0.0);
}

TEST_F(Finetune, FrozenLayersStayAndOthersMove) {
  options_.frozen_image_layers = 1;
  options_.frozen_text_layers = config_.text.layers;
  options_.steps = 6;
  (void)run("out");
  const clip::ClipModel start = clip::load_clip_model(folder_ / "start");
  const clip::ClipModel out = clip::load_clip_model(folder_ / "out");
  const auto same = [](const at::Tensor& a, const at::Tensor& b) { return at::equal(a, b); };
  EXPECT_TRUE(same(start->vision->layers[0]->fc1_weight, out->vision->layers[0]->fc1_weight));
  EXPECT_TRUE(same(start->vision->patch_embedding, out->vision->patch_embedding));
  EXPECT_TRUE(same(start->text->layers.back()->fc1_weight, out->text->layers.back()->fc1_weight));
  EXPECT_TRUE(same(start->text->token_embedding, out->text->token_embedding));
  EXPECT_FALSE(same(start->vision->layers.back()->fc1_weight, out->vision->layers.back()->fc1_weight));
  EXPECT_FALSE(same(start->text->projection, out->text->projection));
}

TEST_F(Finetune, BfloatLearnsTheSameThing) {
  // Little of it: without the processor's help bfloat16 is very slow.
  options_.steps = options_.validation_steps = 2;
  options_.batch = 4;
  validation_.resize(4);
  const double exact = run("float32").loss;
  options_.bfloat16 = true;
  const FinetuneResult result = run("bfloat16");
  EXPECT_NEAR(result.loss, exact, 0.05 * exact);
  EXPECT_NE(result.loss, exact);
}

TEST_F(Finetune, BadInputIsNamedAndLeavesNoModel) {
  const auto refused = [&](ErrorCode code, const char* part) {
    EXPECT_NE(error_of(code, [&] { (void)run("out"); }).find(part), std::string::npos) << part;
    EXPECT_FALSE(std::filesystem::exists(folder_ / "out" / "model.safetensors"));
  };
  const FinetuneOptions good = options_;
  options_.steps = 0;
  refused(ErrorCode::kInvalidArgument, "--steps");
  options_ = good;
  options_.frozen_image_layers = 99;
  refused(ErrorCode::kInvalidArgument, "--freeze-image-layers");
  options_ = good;
  const std::vector<PreferencePair> pairs = train_;
  for (PreferencePair& pair : train_) pair.p_a = 0.5F;
  refused(ErrorCode::kNotFound, "all ties");
  train_.clear();
  refused(ErrorCode::kNotFound, "no pairs");
  train_ = pairs;
  train_[0].image_b = 999;
  refused(ErrorCode::kCorruptData, "999");
  train_ = pairs;
  std::filesystem::create_directories(folder_ / "out");
  test::write_text(folder_ / "out" / "finetune.checkpoint", "not a checkpoint");
  refused(ErrorCode::kCorruptData, "finetune.checkpoint");
}

}  // namespace
}  // namespace imagerank::reward
