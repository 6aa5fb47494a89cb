#include "clip/towers.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <numbers>

#include "clip/weights.h"
#include "core/npy.h"
#include "support/test_support.h"

namespace imagerank::clip {
namespace {

constexpr const char* kFixture = "fixtures/clip_tiny_quickgelu";

torch::Tensor load_floats(const std::filesystem::path& path) {
  const NpyFile file(path);
  const std::vector<std::int64_t> shape(file.shape().begin(), file.shape().end());
  return torch::tensor(file.to_float()).view(shape);
}

torch::Tensor load_tokens(const std::filesystem::path& path) {
  const NpyFile file(path);
  const std::vector<std::int64_t> shape(file.shape().begin(), file.shape().end());
  return torch::tensor(file.to_int64()).view(shape);
}

double relative_error(const torch::Tensor& found, const torch::Tensor& expected) {
  return ((found - expected).norm() / expected.norm()).item<double>();
}

double worst_cosine(const torch::Tensor& a, const torch::Tensor& b) {
  return torch::cosine_similarity(a, b, 1).min().item<double>();
}

ModelConfig small_config(Activation activation, TextPooling pooling = TextPooling::kFirstEos) {
  ModelConfig config;
  config.vision = {8, 2, 2, 16, activation, 1e-5};
  config.image_size = 6;
  config.patch_size = 3;
  config.text = {8, 2, 2, 16, activation, 1e-5};
  config.vocabulary_size = 20;
  config.context_length = 7;
  config.projection_dim = 4;
  config.bos_token_id = 18;
  config.eos_token_id = 19;
  config.pooling = pooling;
  return config;
}

ClipModel random_model(const ModelConfig& config, std::uint64_t seed = 1) {
  ClipModel model(config);
  initialize_weights(model, seed);
  const torch::NoGradGuard no_grad;
  torch::Generator generator = at::detail::createCPUGenerator(seed + 1);
  // Biases and norms are told apart from their initial zeros and ones, so that a swap of two shows.
  for (auto& parameter : model->named_parameters()) {
    if (parameter.value().dim() == 1) parameter.value().add_(torch::randn(parameter.value().sizes(), generator) * 0.1);
  }
  return model;
}

// The towers written a second time: float64, one image, one head, one token at a time, nothing fused.
torch::Tensor plain_norm(const torch::Tensor& row, const torch::Tensor& weight, const torch::Tensor& bias) {
  const torch::Tensor centred = row - row.mean();
  return centred / (centred.pow(2).mean() + 1e-5).sqrt() * weight.to(torch::kFloat64) + bias.to(torch::kFloat64);
}

torch::Tensor plain_linear(const torch::Tensor& row, const torch::Tensor& weight, const torch::Tensor& bias) {
  return torch::mv(weight.to(torch::kFloat64), row) + bias.to(torch::kFloat64);
}

double plain_activation(double x, Activation activation) {
  if (activation == Activation::kQuickGelu) return x / (1.0 + std::exp(-1.702 * x));
  return 0.5 * x * (1.0 + std::erf(x / std::numbers::sqrt2));
}

torch::Tensor plain_layer(const torch::Tensor& x, TransformerLayer& layer, const TowerConfig& config, bool causal) {
  const std::int64_t tokens = x.size(0), depth = config.width / config.heads;
  std::vector<torch::Tensor> qkv, result;
  for (std::int64_t t = 0; t < tokens; ++t) {
    qkv.push_back(plain_linear(plain_norm(x[t], layer->layer_norm1_weight, layer->layer_norm1_bias), layer->qkv_weight,
                               layer->qkv_bias));
  }
  for (std::int64_t t = 0; t < tokens; ++t) {
    torch::Tensor context = torch::zeros({config.width}, torch::kFloat64);
    for (std::int64_t h = 0; h < config.heads; ++h) {
      const auto part = [&](std::int64_t token, std::int64_t which) {
        return qkv[static_cast<std::size_t>(token)].narrow(0, which * config.width + h * depth, depth);
      };
      double total = 0.0;
      torch::Tensor sum = torch::zeros({depth}, torch::kFloat64);
      for (std::int64_t u = 0; u < (causal ? t + 1 : tokens); ++u) {
        const double weight =
            std::exp(part(t, 0).dot(part(u, 1)).item<double>() / std::sqrt(static_cast<double>(depth)));
        total += weight;
        sum += weight * part(u, 2);
      }
      context.narrow(0, h * depth, depth).copy_(sum / total);
    }
    const torch::Tensor middle = x[t] + plain_linear(context, layer->out_weight, layer->out_bias);
    torch::Tensor inner = plain_linear(plain_norm(middle, layer->layer_norm2_weight, layer->layer_norm2_bias),
                                       layer->fc1_weight, layer->fc1_bias);
    for (std::int64_t i = 0; i < inner.size(0); ++i)
      inner[i] = plain_activation(inner[i].item<double>(), config.activation);
    result.push_back(middle + plain_linear(inner, layer->fc2_weight, layer->fc2_bias));
  }
  return torch::stack(result);
}

torch::Tensor plain_vision(ClipModel& model, const torch::Tensor& image) {
  const ModelConfig& config = model->config();
  VisionTower& tower = model->vision;
  const std::int64_t p = config.patch_size, side = config.image_size / p;
  std::vector<torch::Tensor> rows = {tower->class_embedding.to(torch::kFloat64)};
  for (std::int64_t y = 0; y < side; ++y) {
    for (std::int64_t x = 0; x < side; ++x) {
      const torch::Tensor patch = image.narrow(1, y * p, p).narrow(2, x * p, p).to(torch::kFloat64);
      rows.push_back((tower->patch_embedding.to(torch::kFloat64) * patch).sum({1, 2, 3}));
    }
  }
  for (std::size_t i = 0; i < rows.size(); ++i) {
    rows[i] = plain_norm(rows[i] + tower->position_embedding[static_cast<std::int64_t>(i)], tower->pre_norm_weight,
                         tower->pre_norm_bias);
  }
  torch::Tensor x = torch::stack(rows);
  for (TransformerLayer& layer : tower->layers) x = plain_layer(x, layer, config.vision, false);
  return torch::mv(tower->projection.to(torch::kFloat64),
                   plain_norm(x[0], tower->post_norm_weight, tower->post_norm_bias));
}

torch::Tensor plain_text(ClipModel& model, const std::vector<std::int64_t>& tokens, std::int64_t pooled) {
  TextTower& tower = model->text;
  std::vector<torch::Tensor> rows;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    rows.push_back((tower->token_embedding[tokens[i]] + tower->position_embedding[static_cast<std::int64_t>(i)])
                       .to(torch::kFloat64));
  }
  torch::Tensor x = torch::stack(rows);
  for (TransformerLayer& layer : tower->layers) x = plain_layer(x, layer, model->config().text, true);
  return torch::mv(tower->projection.to(torch::kFloat64),
                   plain_norm(x[pooled], tower->final_norm_weight, tower->final_norm_bias));
}

class Towers : public ::testing::TestWithParam<Activation> {};
INSTANTIATE_TEST_SUITE_P(Activations, Towers, ::testing::Values(Activation::kQuickGelu, Activation::kGelu),
                         [](const auto& param) { return param.param == Activation::kGelu ? "gelu" : "quick_gelu"; });

TEST_P(Towers, VisionEqualsAPlainFloat64Tower) {
  ClipModel model = random_model(small_config(GetParam()));
  const torch::Tensor pixels = torch::randn({3, 3, 6, 6});
  const torch::Tensor training = model->vision->forward(pixels);
  const torch::NoGradGuard no_grad;
  const torch::Tensor inference = model->vision->forward(pixels);
  for (std::int64_t i = 0; i < 3; ++i) {
    const torch::Tensor expected = plain_vision(model, pixels[i]);
    EXPECT_LT(relative_error(inference[i], expected), 2e-6) << "image " << i;
    EXPECT_LT(relative_error(training[i], expected), 2e-6) << "with gradients, image " << i;
  }
}

TEST_P(Towers, TextEqualsAPlainFloat64Tower) {
  ClipModel model = random_model(small_config(GetParam()));
  const torch::NoGradGuard no_grad;
  const std::vector<std::int64_t> tokens = {18, 3, 7, 19, 5, 19, 1};
  const torch::Tensor found = model->text->forward(torch::tensor(tokens).view({1, 7}));
  EXPECT_LT(relative_error(found[0], plain_text(model, tokens, 3)), 2e-6);
}

TEST_P(Towers, EveryWeightHasItsFiniteDifferenceGradient) {
  ClipModel model = random_model(small_config(GetParam()), 3);
  const torch::Tensor pixels = torch::randn({2, 3, 6, 6});
  const torch::Tensor tokens = torch::tensor({18, 3, 7, 19, 0, 0, 18, 9, 19, 0, 0, 0}, torch::kInt64).view({2, 6});
  const torch::Tensor aim = torch::randn({2, 4});
  model->to(torch::kFloat64);
  const auto loss = [&] {
    return ((model->vision->forward(pixels) * model->text->forward(tokens)).to(torch::kFloat64) * aim).sum() *
           model->logit_scale;
  };
  loss().backward();
  for (auto& parameter : model->named_parameters()) {
    ASSERT_TRUE(parameter.value().grad().defined()) << parameter.key();
    const torch::NoGradGuard no_grad;
    const torch::Tensor direction = parameter.value().grad().clone();
    const auto slope = direction.pow(2).sum().item<double>();
    if (slope < 1e-12) continue;  // the key's bias cancels in the softmax
    const double step = 1e-3 / std::sqrt(slope);
    parameter.value().add_(direction, step);
    const auto up = loss().item<double>();
    parameter.value().add_(direction, -2.0 * step);
    const auto down = loss().item<double>();
    parameter.value().add_(direction, step);
    EXPECT_NEAR((up - down) / (2.0 * step) / slope, 1.0, 0.02) << parameter.key();
  }
}

TEST(ClipTowers, TextBehindThePooledTokenHasNoInfluence) {
  ClipModel model = random_model(small_config(Activation::kGelu));
  const torch::NoGradGuard no_grad;
  const torch::Tensor padded = model->text->forward(torch::tensor({18, 3, 19, 5, 6, 7, 8}, torch::kInt64).view({1, 7}));
  const torch::Tensor cut = model->text->forward(torch::tensor({18, 3, 19}, torch::kInt64).view({1, 3}));
  EXPECT_LT(relative_error(cut, padded), 1e-6);
}

TEST(ClipTowers, PoolingRules) {
  const torch::Tensor tokens =
      torch::tensor({18, 3, 12, 19, 12, 18, 19, 3, 4, 19, 18, 1, 2, 3, 4}, torch::kInt64).view({3, 5});
  ModelConfig config = small_config(Activation::kGelu);
  EXPECT_TRUE(pooled_rows(tokens, config).equal(torch::tensor({3, 1, 0}, torch::kInt64)));
  config.eos_token_id = 12;
  EXPECT_EQ(pooled_rows(tokens, config)[0].item<std::int64_t>(), 2);
  config.pooling = TextPooling::kArgmax;
  config.eos_token_id = 2;
  EXPECT_TRUE(pooled_rows(tokens, config).equal(torch::tensor({3, 1, 0}, torch::kInt64)));
}

TEST(ClipTowers, ReferenceModelInBothLayouts) {
  IMAGERANK_SHARED_DATA(fixture, kFixture);
  const torch::NoGradGuard no_grad;
  const torch::Tensor pixels = load_floats(fixture / "pixels.npy"), tokens = load_tokens(fixture / "tokens.npy");
  for (const char* file : {"model.safetensors", "open_clip_model.safetensors"}) {
    const test::TemporaryFolder folder;
    std::filesystem::create_symlink(fixture / file, folder / file);
    std::filesystem::copy(fixture / "config.json", folder / "config.json");
    ClipModel model = load_clip_model(folder.path());
    EXPECT_LT(relative_error(model->vision->forward(pixels), load_floats(fixture / "image_embeds.npy")), 1e-5) << file;
    EXPECT_LT(relative_error(model->text->forward(tokens), load_floats(fixture / "text_embeds.npy")), 1e-5) << file;
  }
}

TEST(ClipTowers, Bfloat16StaysNearFloat32) {
  IMAGERANK_SHARED_DATA(fixture, kFixture);
  const torch::NoGradGuard no_grad;
  ClipModel model = load_clip_model(fixture);
  model->use_bfloat16();
  const double image = worst_cosine(model->vision->forward(load_floats(fixture / "pixels.npy")),
                                    load_floats(fixture / "image_embeds.npy"));
  const double text =
      worst_cosine(model->text->forward(load_tokens(fixture / "tokens.npy")), load_floats(fixture / "text_embeds.npy"));
  EXPECT_GT(image, 0.9998);
  EXPECT_GT(text, 0.9998);
  EXPECT_LT(std::min(image, text), 0.9999999) << "bfloat16 rounds; equal numbers mean that it was not used";
}

TEST(ClipTowers, AnImageAloneIsLikeTheSameImageInABatch) {
  ClipModel model = random_model(named_model_config("tiny"));
  const torch::NoGradGuard no_grad;
  const torch::Tensor pixels = torch::randn({5, 3, 64, 64});
  const torch::Tensor batch = model->vision->forward(pixels);
  for (std::int64_t i = 0; i < 5; ++i) {
    EXPECT_LT(relative_error(model->vision->forward(pixels.narrow(0, i, 1))[0], batch[i]), 1e-5);
  }
}

TEST(ClipTowers, InitialisationHasHuggingFacesDeviationsAndFollowsTheSeed) {
  ModelConfig config = named_model_config("tiny");
  ClipModel model(config), same(config), other(config);
  initialize_weights(model, 7);
  initialize_weights(same, 7);
  initialize_weights(other, 8);
  EXPECT_TRUE(model->vision->layers[1]->fc1_weight.equal(same->vision->layers[1]->fc1_weight));
  EXPECT_FALSE(model->vision->layers[1]->fc1_weight.equal(other->vision->layers[1]->fc1_weight));
  const auto deviation = [](const torch::Tensor& tensor) { return tensor.std().item<double>(); };
  const auto& layer = model->vision->layers[0];  // width 128, 3 layers
  EXPECT_NEAR(deviation(layer->qkv_weight), 1.0 / std::sqrt(128.0 * 6.0), 4e-4);
  EXPECT_NEAR(deviation(layer->out_weight), 1.0 / std::sqrt(128.0), 2e-3);
  EXPECT_NEAR(deviation(layer->fc1_weight), 1.0 / 16.0, 1e-3);
  EXPECT_NEAR(deviation(layer->fc2_weight), 1.0 / std::sqrt(128.0 * 6.0), 4e-4);
  EXPECT_NEAR(deviation(model->text->token_embedding), 0.02, 1e-4);
  EXPECT_NEAR(deviation(model->vision->projection), 1.0 / std::sqrt(128.0), 3e-3);
  EXPECT_EQ(layer->qkv_bias.abs().max().item<float>(), 0.0F);
  EXPECT_EQ(model->vision->pre_norm_weight.min().item<float>(), 1.0F);
  EXPECT_FLOAT_EQ(model->logit_scale.item<float>(), 2.6592F);
  for (const auto& parameter : model->named_parameters()) {
    EXPECT_TRUE(torch::isfinite(parameter.value()).all().item<bool>()) << parameter.key();
  }
}

}  // namespace
}  // namespace imagerank::clip
