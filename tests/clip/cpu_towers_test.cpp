#include "clip/cpu_towers.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <thread>

#include "clip/encoder.h"
#include "clip/models.h"
#include "clip/towers.h"
#include "clip/weights.h"
#include "support/amx_emulation.h"
#include "support/test_support.h"

namespace imagerank::clip {
namespace {

using kernels::Format;

/// Two odd towers: a head depth that is no panel, both activations, several parts of the MLP, patches of an odd size.
ModelConfig odd_config() {
  ModelConfig config;
  config.vision = {96, 3, 4, 1536, Activation::kGelu, 1e-5};
  config.image_size = 70;
  config.patch_size = 14;
  config.text = {64, 3, 4, 256, Activation::kQuickGelu, 1e-5};
  config.vocabulary_size = 500;
  config.context_length = 40;
  config.projection_dim = 48;
  config.bos_token_id = 498;
  config.eos_token_id = 499;
  return config;
}

class CpuTowersOf : public testing::TestWithParam<std::string_view> {
 protected:
  void SetUp() override {
    const auto kernels = test::kernels_named(GetParam());
    if (!kernels) GTEST_SKIP() << "this CPU has no " << GetParam();
    kernels_ = *kernels;
    write_random_model(odd_config(), folder_ / name_, 5, std::nullopt);
    std::mt19937 random(6);
    std::normal_distribution<float> normal;
    pixels_.resize(kImages * image());
    for (float& value : pixels_) value = normal(random);
    for (std::size_t i = 0; i < kTexts; ++i) {
      std::vector<std::int64_t>& text = texts_.emplace_back();
      text.push_back(498);
      for (std::size_t t = 0; t < i * 38 / kTexts; ++t) text.push_back(static_cast<std::int64_t>(random() % 498));
      text.push_back(499);
    }
  }

  [[nodiscard]] static std::size_t image() {
    const auto size = static_cast<std::size_t>(odd_config().image_size);
    return 3 * size * size;
  }
  [[nodiscard]] CpuTowers towers(Format format) const {
    return {WeightReader(folder_ / name_), format, kernels_, {}, 2};
  }
  [[nodiscard]] std::vector<float> images_of(const CpuTowers& towers) const {
    std::vector<float> vectors(kImages * kDim);
    towers.embed_images(pixels_, vectors);
    return vectors;
  }
  [[nodiscard]] std::vector<float> texts_of(const CpuTowers& towers) const {
    std::vector<float> vectors(kTexts * kDim);
    std::vector<float*> targets;
    for (std::size_t i = 0; i < kTexts; ++i) targets.push_back(vectors.data() + i * kDim);
    towers.embed_texts(std::vector<std::span<const std::int64_t>>(texts_.begin(), texts_.end()), targets);
    return vectors;
  }
  /// By libtorch in float64.
  [[nodiscard]] std::vector<float> reference_images() const {
    const torch::InferenceMode guard;
    ClipModel model = load_clip_model(folder_ / name_);
    model->to(torch::kFloat64);
    std::vector<float> copy = pixels_;
    const torch::Tensor input =
        torch::from_blob(copy.data(), {kImages, 3, odd_config().image_size, odd_config().image_size});
    return values_of(model->vision->forward(input.to(torch::kFloat64)));
  }
  [[nodiscard]] std::vector<float> reference_texts() const {
    const torch::InferenceMode guard;
    ClipModel model = load_clip_model(folder_ / name_);
    std::vector<float> vectors;
    for (std::vector<std::int64_t> text : texts_) {
      const torch::Tensor tokens =
          torch::from_blob(text.data(), {1, static_cast<std::int64_t>(text.size())}, torch::kInt64);
      const std::vector<float> vector = values_of(model->text->forward(tokens));
      vectors.insert(vectors.end(), vector.begin(), vector.end());
    }
    return vectors;
  }

  kernels::Kernels kernels_{};
  static constexpr std::size_t kImages = 45, kTexts = 60, kDim = 48;
  test::TemporaryFolder folder_;
  std::string name_ = "m";
  std::vector<float> pixels_;
  std::vector<std::vector<std::int64_t>> texts_;

 private:
  static std::vector<float> values_of(const torch::Tensor& tensor) {
    const torch::Tensor values = tensor.to(torch::kFloat32).contiguous();
    return {values.data_ptr<float>(), values.data_ptr<float>() + values.numel()};
  }
};

INSTANTIATE_TEST_SUITE_P(Levels, CpuTowersOf, testing::ValuesIn(test::kKernelNames),
                         [](const auto& kernels) { return std::string(kernels.param); });

struct Likeness {
  double worst_relative = 0.0;  ///< |a - b| / |b|, of a row
  double worst_cosine = 1.0;
};

Likeness compare(const std::vector<float>& vectors, const std::vector<float>& reference, std::size_t dim) {
  Likeness likeness;
  for (std::size_t row = 0; row < reference.size(); row += dim) {
    double dot = 0.0, a = 0.0, b = 0.0, difference = 0.0;
    for (std::size_t i = row; i < row + dim; ++i) {
      const double x = vectors[i], y = reference[i];
      dot += x * y;
      a += x * x;
      b += y * y;
      difference += (x - y) * (x - y);
    }
    likeness.worst_relative = std::max(likeness.worst_relative, std::sqrt(difference / b));
    likeness.worst_cosine = std::min(likeness.worst_cosine, dot / std::sqrt(a * b));
  }
  return likeness;
}

TEST_P(CpuTowersOf, Fp32IsFloat64sResult) {
  const CpuTowers towers = this->towers(Format::kFp32);
  EXPECT_LT(compare(images_of(towers), reference_images(), kDim).worst_relative, 5e-6);
  EXPECT_LT(compare(texts_of(towers), reference_texts(), kDim).worst_relative, 5e-6);
}

TEST_P(CpuTowersOf, Bf16AndInt8StayClose) {
  const CpuTowers bf16 = towers(Format::kBf16), int8 = towers(Format::kInt8);
  const std::vector<float> images = reference_images(), texts = reference_texts();
  EXPECT_GT(compare(images_of(bf16), images, kDim).worst_cosine, 0.9995);
  EXPECT_GT(compare(texts_of(bf16), texts, kDim).worst_cosine, 0.9995);
  EXPECT_GT(compare(images_of(int8), images, kDim).worst_cosine, 0.998);
  EXPECT_GT(compare(texts_of(int8), texts, kDim).worst_cosine, 0.998);
  // The rounding is there: these are not float32's products under another name.
  EXPECT_GT(compare(images_of(bf16), images, kDim).worst_relative, 1e-4);
  EXPECT_GT(compare(images_of(int8), images, kDim).worst_relative, 1e-3);
}

TEST_P(CpuTowersOf, AVectorIsTheSameBitsAloneAndInAnyCompany) {
  for (const Format format : {Format::kFp32, Format::kBf16, Format::kInt8}) {
    const CpuTowers towers = this->towers(format);
    ASSERT_GT(kImages, towers.image_group()) << "more than one pass";
    const std::vector<float> together = images_of(towers), texts = texts_of(towers);
    for (const std::size_t i : {0U, 1U, 18U, 19U, 44U}) {
      std::vector<float> alone(kDim);
      towers.embed_images(std::span(pixels_).subspan(i * image(), image()), alone);
      EXPECT_EQ(std::memcmp(alone.data(), together.data() + i * kDim, kDim * sizeof(float)), 0) << i;
      float* target = alone.data();
      const std::span<const std::int64_t> text = texts_[i];
      towers.embed_texts({&text, 1}, {&target, 1});
      EXPECT_EQ(std::memcmp(alone.data(), texts.data() + i * kDim, kDim * sizeof(float)), 0) << i;
    }
  }
}

TEST_P(CpuTowersOf, ABrokenImageDoesNotReachItsNeighbours) {
  const CpuTowers towers = this->towers(Format::kBf16);
  const std::vector<float> before = images_of(towers);
  std::fill_n(pixels_.begin() + static_cast<std::ptrdiff_t>(3 * image()), image(),
              std::numeric_limits<float>::quiet_NaN());
  const std::vector<float> after = images_of(towers);
  for (std::size_t i = 0; i < kImages; ++i) {
    const bool same = std::memcmp(before.data() + i * kDim, after.data() + i * kDim, kDim * sizeof(float)) == 0;
    EXPECT_EQ(same, i != 3) << i;
  }
}

TEST_P(CpuTowersOf, SeveralThreadsMayCall) {
  const CpuTowers towers = this->towers(Format::kInt8);
  const std::vector<float> expected = images_of(towers);
  std::vector<std::vector<float>> results(3);
  {
    std::vector<std::jthread> threads;
    for (auto& result : results) threads.emplace_back([&] { result = images_of(towers); });
  }
  for (const auto& result : results) {
    EXPECT_EQ(std::memcmp(result.data(), expected.data(), expected.size() * sizeof(float)), 0);
  }
}

/// Channels tens of times as large as the rest, as trained CLIP has them: some that the norms' gains make and the
/// weights behind take back, one that is large in the residual stream itself.
void put_outliers_in(ClipModel& model) {
  const torch::NoGradGuard guard;
  for (std::vector<TransformerLayer>* tower : {&model->vision->layers, &model->text->layers}) {
    for (TransformerLayer& layer : *tower) {
      for (const std::int64_t channel : {7, 30}) {
        layer->layer_norm1_weight[channel].mul_(50.0);
        layer->qkv_weight.select(1, channel).div_(50.0);
        layer->layer_norm2_weight[channel].mul_(50.0);
        layer->fc1_weight.select(1, channel).div_(50.0);
      }
    }
  }
  model->vision->pre_norm_bias[11].fill_(30.0);
  model->text->position_embedding.select(1, 11).fill_(1.0);
}

TEST_P(CpuTowersOf, Int8StaysCloseWithOutlierChannels) {
  ClipModel model = load_clip_model(folder_ / name_);
  const std::vector<float> before = reference_images();
  put_outliers_in(model);
  std::filesystem::copy(folder_ / name_, folder_ / "outliers");
  name_ = "outliers";
  save_weights(model, folder_ / name_, false);
  const std::vector<float> images = reference_images();
  ASSERT_GT(compare(images, before, kDim).worst_relative, 0.01) << "the outliers change nothing";
  const CpuTowers towers = this->towers(Format::kInt8);
  EXPECT_GT(compare(images_of(towers), images, kDim).worst_cosine, 0.995);
  EXPECT_GT(compare(texts_of(towers), reference_texts(), kDim).worst_cosine, 0.995);
}

TEST(CpuTowers, WidthsThatAreNoPanelsAreSaid) {
  ModelConfig config = odd_config();
  EXPECT_EQ(CpuTowers::obstacle(config), "");
  config.text.width = 72;
  EXPECT_EQ(CpuTowers::obstacle(config), "a width of 72 is no multiple of 32");
}

}  // namespace
}  // namespace imagerank::clip
