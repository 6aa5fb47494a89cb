#include "clip/towers.h"

#include <torch/version.h>

#include <cmath>

namespace imagerank::clip {
namespace {

torch::Tensor layer_norm(const torch::Tensor& x, const torch::Tensor& weight, const torch::Tensor& bias, double eps) {
  return torch::layer_norm(x, {x.size(-1)}, weight, bias, eps);
}

torch::Tensor product(const torch::Tensor& x, const torch::Tensor& weight, const torch::Tensor& bias = {}) {
  return torch::linear(x.to(weight.scalar_type()), weight, bias);
}

/// hidden + x * weight^T + bias; into `hidden` itself where no gradient needs the old value.
torch::Tensor add_product(const torch::Tensor& hidden, const torch::Tensor& x, const torch::Tensor& weight,
                          const torch::Tensor& bias, double alpha = 1.0) {
  const std::int64_t width = weight.size(0);
  const torch::Tensor rows = x.reshape({-1, weight.size(1)});
  if (torch::GradMode::is_enabled() || weight.scalar_type() != torch::kFloat32) {
    const torch::Tensor result = torch::addmm(bias, rows.to(weight.scalar_type()), weight.t(), 1.0, alpha);
    return hidden + result.to(torch::kFloat32).view(hidden.sizes());
  }
  torch::Tensor sum = hidden.view({-1, width});
  sum.add_(bias).addmm_(rows, weight.t(), 1.0, alpha);
  return hidden;
}

/// @param query [B, H, R, D], key, value [B, H, T, D], mask [R, T] or [B, 1, R, T] or undefined. @return [B, R, H * D].
torch::Tensor attend(const torch::Tensor& query, const torch::Tensor& key, const torch::Tensor& value,
                     const torch::Tensor& mask) {
  const std::int64_t batch = query.size(0), heads = query.size(1), rows = query.size(2), depth = query.size(3);
#if TORCH_VERSION_MAJOR >= 2  // one kernel that never writes the scores; on the CPU the loop below is the reference
  if (query.is_cuda()) {
    const torch::Tensor mixed = mask.defined()
                                    ? at::scaled_dot_product_attention(query, key, value, mask.to(query.scalar_type()))
                                    : at::scaled_dot_product_attention(query, key, value);
    return mixed.transpose(1, 2).reshape({batch, rows, heads * depth});
  }
#endif
  torch::Tensor scores = torch::matmul(query * (1.0 / std::sqrt(static_cast<double>(depth))), key.transpose(-1, -2));
  scores = scores.to(torch::kFloat32);
  if (mask.defined()) scores = scores + mask;
  const torch::Tensor weights = torch::softmax(scores, -1).to(value.scalar_type());
  return torch::matmul(weights, value).transpose(1, 2).reshape({batch, rows, heads * depth});
}

/// Rows `rows` [B] of x [B, T, W]: [B, W].
torch::Tensor select_rows(const torch::Tensor& x, const torch::Tensor& rows) {
  return x.index({torch::arange(x.size(0), rows.options()), rows});
}

torch::Tensor causal_mask(std::int64_t length, const torch::Tensor& like) {
  return torch::full({length, length}, -std::numeric_limits<float>::infinity(), like.options().dtype(torch::kFloat32))
      .triu(1);
}

}  // namespace

TransformerLayerImpl::TransformerLayerImpl(const TowerConfig& config) : config_(config) {
  const std::int64_t w = config.width, m = config.mlp_width;
  const auto make = [this](const char* name, const std::vector<std::int64_t>& shape) {
    return register_parameter(name, torch::empty(shape));
  };
  layer_norm1_weight = make("layer_norm1_weight", {w});
  layer_norm1_bias = make("layer_norm1_bias", {w});
  qkv_weight = make("qkv_weight", {3 * w, w});
  qkv_bias = make("qkv_bias", {3 * w});
  out_weight = make("out_weight", {w, w});
  out_bias = make("out_bias", {w});
  layer_norm2_weight = make("layer_norm2_weight", {w});
  layer_norm2_bias = make("layer_norm2_bias", {w});
  fc1_weight = make("fc1_weight", {m, w});
  fc1_bias = make("fc1_bias", {m});
  fc2_weight = make("fc2_weight", {w, m});
  fc2_bias = make("fc2_bias", {w});
}

torch::Tensor TransformerLayerImpl::attention(const torch::Tensor& hidden, const torch::Tensor& mask) const {
  const std::int64_t batch = hidden.size(0), length = hidden.size(1), heads = config_.heads;
  const torch::Tensor normed = layer_norm(hidden, layer_norm1_weight, layer_norm1_bias, config_.layer_norm_eps);
  const torch::Tensor qkv = product(normed, qkv_weight, qkv_bias)
                                .view({batch, length, 3, heads, config_.width / heads})
                                .permute({2, 0, 3, 1, 4});
  return attend(qkv[0], qkv[1], qkv[2], mask);
}

torch::Tensor TransformerLayerImpl::mlp(const torch::Tensor& hidden) const {
  const torch::Tensor normed = layer_norm(hidden, layer_norm2_weight, layer_norm2_bias, config_.layer_norm_eps);
  torch::Tensor inner = product(normed, fc1_weight, fc1_bias);
  if (config_.activation == Activation::kGelu) return add_product(hidden, torch::gelu(inner), fc2_weight, fc2_bias);
  // x * sigmoid(c x) is silu(c x) / c: one pass fewer over the widest array, and 1 / c goes into the product.
  constexpr double kSlope = 1.702;
  inner = torch::GradMode::is_enabled() ? torch::silu(inner * kSlope) : torch::silu_(inner.mul_(kSlope));
  return add_product(hidden, inner, fc2_weight, fc2_bias, 1.0 / kSlope);
}

torch::Tensor TransformerLayerImpl::forward(torch::Tensor hidden, const torch::Tensor& mask) {
  hidden = add_product(hidden, attention(hidden, mask), out_weight, out_bias);
  return mlp(hidden);
}

torch::Tensor TransformerLayerImpl::forward_rows(const torch::Tensor& hidden, const torch::Tensor& mask,
                                                 const torch::Tensor& rows) {
  const std::int64_t batch = hidden.size(0), length = hidden.size(1), w = config_.width, heads = config_.heads;
  const torch::Tensor normed = layer_norm(hidden, layer_norm1_weight, layer_norm1_bias, config_.layer_norm_eps);
  const torch::Tensor query = product(select_rows(normed, rows), qkv_weight.slice(0, 0, w), qkv_bias.slice(0, 0, w));
  const torch::Tensor pairs = product(normed, qkv_weight.slice(0, w, 3 * w), qkv_bias.slice(0, w, 3 * w))
                                  .view({batch, length, 2, heads, w / heads})
                                  .permute({2, 0, 3, 1, 4});
  const torch::Tensor row_mask =
      mask.defined() ? mask.index_select(0, rows).view({batch, 1, 1, length}) : torch::Tensor();
  const torch::Tensor context = attend(query.view({batch, heads, 1, w / heads}), pairs[0], pairs[1], row_mask);
  return mlp(add_product(select_rows(hidden, rows), context.view({batch, w}), out_weight, out_bias));
}

VisionTowerImpl::VisionTowerImpl(const ModelConfig& config) : config_(config) {
  const std::int64_t w = config.vision.width;
  const auto make = [this](const char* name, const std::vector<std::int64_t>& shape) {
    return register_parameter(name, torch::empty(shape));
  };
  class_embedding = make("class_embedding", {w});
  patch_embedding = make("patch_embedding", {w, 3, config.patch_size, config.patch_size});
  position_embedding = make("position_embedding", {config.vision_tokens(), w});
  pre_norm_weight = make("pre_norm_weight", {w});
  pre_norm_bias = make("pre_norm_bias", {w});
  for (std::int64_t i = 0; i < config.vision.layers; ++i) {
    layers.emplace_back(register_module("layer" + std::to_string(i), TransformerLayer(config.vision)));
  }
  post_norm_weight = make("post_norm_weight", {w});
  post_norm_bias = make("post_norm_bias", {w});
  projection = make("projection", {config.projection_dim, w});
}

torch::Tensor VisionTowerImpl::forward(const torch::Tensor& pixels) {
  const std::int64_t batch = pixels.size(0), w = config_.vision.width, p = config_.patch_size,
                     side = config_.image_size / p;
  // A convolution whose stride is its kernel is one product over the patches; what a last, partial patch covers is
  // unused.
  const torch::Tensor patches = pixels.slice(2, 0, side * p)
                                    .slice(3, 0, side * p)
                                    .reshape({batch, 3, side, p, side, p})
                                    .permute({0, 2, 4, 1, 3, 5})
                                    .reshape({batch, side * side, 3 * p * p});
  const torch::Tensor embedded = product(patches, patch_embedding.view({w, -1})).to(torch::kFloat32);
  torch::Tensor hidden = torch::cat({class_embedding.expand({batch, 1, w}), embedded}, 1) + position_embedding;
  hidden = layer_norm(hidden, pre_norm_weight, pre_norm_bias, config_.vision.layer_norm_eps);
  for (std::size_t i = 0; i + 1 < layers.size(); ++i) hidden = layers[i]->forward(hidden, {});
  const torch::Tensor rows = torch::zeros({batch}, pixels.options().dtype(torch::kInt64));
  const torch::Tensor pooled = layers.back()->forward_rows(hidden, {}, rows);
  const torch::Tensor normed = layer_norm(pooled, post_norm_weight, post_norm_bias, config_.vision.layer_norm_eps);
  return product(normed, projection).to(torch::kFloat32);
}

TextTowerImpl::TextTowerImpl(const ModelConfig& config) : config_(config) {
  const std::int64_t w = config.text.width;
  const auto make = [this](const char* name, const std::vector<std::int64_t>& shape) {
    return register_parameter(name, torch::empty(shape));
  };
  token_embedding = make("token_embedding", {config.vocabulary_size, w});
  position_embedding = make("position_embedding", {config.context_length, w});
  for (std::int64_t i = 0; i < config.text.layers; ++i) {
    layers.emplace_back(register_module("layer" + std::to_string(i), TransformerLayer(config.text)));
  }
  final_norm_weight = make("final_norm_weight", {w});
  final_norm_bias = make("final_norm_bias", {w});
  projection = make("projection", {config.projection_dim, w});
}

torch::Tensor TextTowerImpl::forward(const torch::Tensor& tokens) {
  return forward_at(tokens, pooled_rows(tokens, config_));
}

torch::Tensor TextTowerImpl::forward_at(const torch::Tensor& tokens, const torch::Tensor& rows) {
  const std::int64_t length = tokens.size(1);
  torch::Tensor hidden = torch::embedding(token_embedding, tokens) + position_embedding.slice(0, 0, length);
  const torch::Tensor mask = causal_mask(length, hidden);
  for (std::size_t i = 0; i + 1 < layers.size(); ++i) hidden = layers[i]->forward(hidden, mask);
  const torch::Tensor pooled = layers.back()->forward_rows(hidden, mask, rows);
  const torch::Tensor normed = layer_norm(pooled, final_norm_weight, final_norm_bias, config_.text.layer_norm_eps);
  return product(normed, projection).to(torch::kFloat32);
}

ClipModelImpl::ClipModelImpl(const ModelConfig& config) : config_(config) {
  config.validate();
  vision = register_module("vision", VisionTower(config));
  text = register_module("text", TextTower(config));
  logit_scale = register_parameter("logit_scale", torch::empty({}));
}

void ClipModelImpl::use_bfloat16() {
  const torch::NoGradGuard no_grad;
  const auto round = [](torch::Tensor& weight) { weight.set_data(weight.to(torch::kBFloat16)); };
  for (std::vector<TransformerLayer>* tower : {&vision->layers, &text->layers}) {
    for (TransformerLayer& layer : *tower) {
      for (torch::Tensor* weight : {&layer->qkv_weight, &layer->qkv_bias, &layer->out_weight, &layer->out_bias,
                                    &layer->fc1_weight, &layer->fc1_bias, &layer->fc2_weight, &layer->fc2_bias}) {
        round(*weight);
      }
    }
  }
  round(vision->patch_embedding);
}

void initialize_weights(ClipModel& model, std::uint64_t seed) {
  const torch::NoGradGuard no_grad;
  torch::Generator generator = at::detail::createCPUGenerator(seed);
  const auto normal = [&](torch::Tensor& tensor, double deviation) { tensor.normal_(0.0, deviation, generator); };
  const auto power = [](std::int64_t value) { return 1.0 / std::sqrt(static_cast<double>(value)); };
  const auto initialize_layers = [&](std::vector<TransformerLayer>& layers, const TowerConfig& config) {
    const double inner = power(config.width) * power(2 * config.layers);
    for (TransformerLayer& layer : layers) {
      normal(layer->qkv_weight, inner);
      normal(layer->out_weight, power(config.width));
      normal(layer->fc1_weight, power(2 * config.width));
      normal(layer->fc2_weight, inner);
      for (torch::Tensor* bias : {&layer->qkv_bias, &layer->out_bias, &layer->fc1_bias, &layer->fc2_bias,
                                  &layer->layer_norm1_bias, &layer->layer_norm2_bias}) {
        bias->zero_();
      }
      layer->layer_norm1_weight.fill_(1.0);
      layer->layer_norm2_weight.fill_(1.0);
    }
  };
  const ModelConfig& config = model->config();
  VisionTower& vision = model->vision;
  normal(vision->class_embedding, power(config.vision.width));
  normal(vision->patch_embedding, 0.02);
  normal(vision->position_embedding, 0.02);
  initialize_layers(vision->layers, config.vision);
  normal(vision->projection, power(config.vision.width));
  TextTower& text = model->text;
  normal(text->token_embedding, 0.02);
  normal(text->position_embedding, 0.02);
  initialize_layers(text->layers, config.text);
  normal(text->projection, power(config.text.width));
  for (torch::Tensor* one : {&vision->pre_norm_weight, &vision->post_norm_weight, &text->final_norm_weight})
    one->fill_(1.0);
  for (torch::Tensor* zero : {&vision->pre_norm_bias, &vision->post_norm_bias, &text->final_norm_bias}) zero->zero_();
  model->logit_scale.fill_(config.logit_scale_init);
}

torch::Tensor pooled_rows(const torch::Tensor& tokens, const ModelConfig& config) {
  if (config.pooling == TextPooling::kArgmax) return tokens.argmax(1);
  return tokens.eq(config.eos_token_id).to(torch::kInt32).argmax(1);
}

}  // namespace imagerank::clip
