// LAION's published heads against the float64 numbers that came with them, and files that are no such head.
#include "reward/published_head.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "core/atomic_file.h"
#include "core/npy.h"
#include "core/safetensors.h"
#include "imagerank/error.h"
#include "reward/reward.h"
#include "support/test_support.h"

namespace imagerank::reward {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

using Tensors = std::map<std::string, TensorToWrite>;

TensorToWrite ramp(std::vector<std::int64_t> shape, float first) {
  std::size_t count = 1;
  for (const std::int64_t extent : shape) count *= static_cast<std::size_t>(extent);
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = first + 0.25F * static_cast<float>(i % 5);
  return float_tensor(values, std::move(shape));
}

/// 3 -> 4 -> 3 -> 2 -> 2 -> 1.
Tensors chain() {
  const std::vector<std::pair<std::string, std::pair<std::int64_t, std::int64_t>>> layers = {
      {"0", {4, 3}}, {"2", {3, 4}}, {"4", {2, 3}}, {"6", {2, 2}}, {"7", {1, 2}}};
  Tensors tensors;
  for (const auto& [index, shape] : layers) {
    tensors["layers." + index + ".weight"] = ramp({shape.first, shape.second}, -0.5F);
    tensors["layers." + index + ".bias"] = ramp({shape.first}, 0.125F);
  }
  return tensors;
}

std::string error_of(const Tensors& tensors) {
  const test::TemporaryFolder folder;
  write_safetensors(folder / "head.safetensors", tensors);
  try {
    (void)load_published_head(folder / "head.safetensors");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kCorruptData);
    EXPECT_THAT(error.what(), HasSubstr("head.safetensors"));
    return error.what();
  }
  return "no error";
}

TEST(PublishedHead, FivePlainLayersAreOneVector) {
  const test::TemporaryFolder folder;
  const Tensors tensors = chain();
  write_safetensors(folder / "head.safetensors", tensors);
  const PublishedHead head = load_published_head(folder / "head.safetensors");
  ASSERT_EQ(head.weight.size(), 3U);
  // Layer by layer, as the network is written.
  const std::vector<float> image = {3.0F, -4.0F, 12.0F};  // of length 13
  std::vector<double> values = {3.0 / 13, -4.0 / 13, 12.0 / 13};
  const SafetensorsFile file(folder / "head.safetensors");
  for (const char* index : {"0", "2", "4", "6", "7"}) {
    const auto weight = file.find(fmt::format("layers.{}.weight", index))->to_float();
    const auto bias = file.find(fmt::format("layers.{}.bias", index))->to_float();
    std::vector<double> next(bias.begin(), bias.end());
    for (std::size_t row = 0; row < next.size(); ++row) {
      for (std::size_t i = 0; i < values.size(); ++i) next[row] += double{weight[row * values.size() + i]} * values[i];
    }
    values = next;
  }
  EXPECT_NEAR(head.score(image), values.at(0), 1e-12);
  // The length of the vector does not matter.
  EXPECT_NEAR(head.score(std::vector<float>{1.5F, -2.0F, 6.0F}), values.at(0), 1e-12);
}

TEST(PublishedHead, LaionsHeadsGiveTheirNumbers) {
  IMAGERANK_SHARED_DATA(folder, "real/aesthetic_heads");
  const auto expected = nlohmann::json::parse(load_file(folder / "expected.json"));
  ASSERT_EQ(expected.size(), 2U);
  for (const auto& [name, want] : expected.items()) {
    const auto reward = Reward::load(folder / (name.substr(0, name.find(" on ")) + ".pth"));
    EXPECT_FALSE(reward.reads_text());
    EXPECT_TRUE(reward.is_utility());
    std::vector<float> images;
    std::vector<double> numbers;
    if (want.is_object()) {
      for (const auto& [file, number] : want.items()) {
        const auto row = NpyFile(folder / "vit_b_32_embeddings" / file).to_float();
        images.insert(images.end(), row.begin(), row.end());
        numbers.push_back(number);
      }
    } else {
      images = NpyFile(folder / "l14_inputs.npy").to_float();
      numbers = want.get<std::vector<double>>();
    }
    ASSERT_EQ(images.size(), numbers.size() * reward.dim());
    const auto scores = reward.score(images, {}, numbers.size()).score;
    for (std::size_t i = 0; i < numbers.size(); ++i) EXPECT_NEAR(scores[i] / numbers[i], 1.0, 1e-6) << name;
  }
}

TEST(PublishedHead, OtherTensorsAreNamed) {
  EXPECT_EQ(error_of(chain()), "no error");
  Tensors with_activations;  // LAION's head with ReLUs counts them as layers
  for (const auto& [name, tensor] : chain()) {
    std::string other = name;
    for (const auto& [from, to] : {std::pair{"layers.2.", "layers.3."}, {"layers.7.", "layers.9."}}) {
      if (other.starts_with(from)) other.replace(0, std::string(from).size(), to);
    }
    with_activations[other] = tensor;
  }
  EXPECT_THAT(error_of(with_activations), AllOf(HasSubstr("expected a linear head"), HasSubstr("layers.3.weight")));
  Tensors tensors = chain();
  tensors.erase("layers.4.bias");
  EXPECT_THAT(error_of(tensors), HasSubstr("found 9 tensors"));
  EXPECT_THAT(error_of({}), HasSubstr("found 0 tensors"));
}

TEST(PublishedHead, ShapesAndNumbersAreChecked) {
  Tensors tensors = chain();
  tensors["layers.7.weight"] = ramp({2, 2}, 0.0F);
  EXPECT_THAT(error_of(tensors), HasSubstr("'layers.7.weight': expected [1, inputs] and a bias of 1, found [2, 2]"));
  tensors = chain();
  tensors["layers.2.bias"] = ramp({4}, 0.0F);
  EXPECT_THAT(error_of(tensors), HasSubstr("'layers.2.weight'"));
  tensors = chain();
  tensors["layers.2.bias"] = float_tensor(std::vector<float>{1.0F, std::nanf(""), 0.0F}, {3});
  EXPECT_THAT(error_of(tensors), HasSubstr("'layers.2.bias': expected finite numbers"));
  tensors["layers.2.bias"] = {TensorType::kI64, {3}, std::vector<std::byte>(24)};
  EXPECT_THAT(error_of(tensors), HasSubstr("found integers"));
}

TEST(PublishedHead, ARewardChecksItsVectors) {
  const test::TemporaryFolder folder;
  write_safetensors(folder / "head.safetensors", {{"weight", ramp({1, 3}, 1.0F)}, {"bias", ramp({1}, 2.0F)}});
  const auto reward = Reward::load(folder / "head.safetensors");
  EXPECT_EQ(reward.dim(), 3U);
  EXPECT_EQ(reward.head(), "published");
  EXPECT_EQ(reward.encoder(), "");
  const std::vector<float> images(6, 1.0F), texts(3, 1.0F);
  EXPECT_EQ(reward.score(images, {}, 2).score.size(), 2U);
  EXPECT_THROW((void)reward.score(images, {}, 3), Error);
  EXPECT_THROW((void)reward.score(images, texts, 2), Error);
}

}  // namespace
}  // namespace imagerank::reward
