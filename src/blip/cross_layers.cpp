#include "blip/cross_layers.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/threads.h"

namespace imagerank::blip {
namespace {

using kernels::Format;
using kernels::kPanelColumns;

std::size_t size(std::int64_t value) { return static_cast<std::size_t>(value); }

/// Several linear layers of one input as one.
CrossLinear read_linear(const Checkpoint& checkpoint, const kernels::Kernels& kernels,
                        std::initializer_list<std::string> names, std::size_t columns, std::size_t depth,
                        float first_scale = 1.0F) {
  std::vector<float> weights, bias;
  for (const std::string& name : names) {
    std::vector<float> weight = checkpoint.read(name + "_weight"), own_bias = checkpoint.read(name + "_bias");
    if (weights.empty()) {
      for (float& value : weight) value *= first_scale;
      for (float& value : own_bias) value *= first_scale;
    }
    weights.insert(weights.end(), weight.begin(), weight.end());
    bias.insert(bias.end(), own_bias.begin(), own_bias.end());
  }
  return {kernels::PackedMatrix(kernels, weights, columns, depth, Format::kFp32), std::move(bias)};
}

/// rows [0, count) * layer, into `out`.
void multiply_into(const kernels::Kernels& kernels, const kernels::ProductRows& rows, std::size_t count,
                   const CrossLinear& layer, kernels::ProductRows& out) {
  kernels::multiply(kernels, rows, count, layer.weight, 0, layer.weight.panels(), 0,
                    [&](std::size_t row, std::size_t height, std::size_t column, const float* tile) {
                      out.store_tile(kernels, row, height, column, tile, layer.bias.data() + column);
                    });
}

/// The bytes of a row's numbers from `column` on.
const std::byte* at(const kernels::ProductRows& rows, std::size_t row, std::size_t column) {
  return rows.row(row) + column * sizeof(float);
}

}  // namespace

CrossLayers::Buffers::Buffers(const CrossConfig& config)
    : states(size(config.vision_tokens()), size(config.vision.width), Format::kFp32),
      hidden(kRows, size(config.text.width)),
      input(kRows, size(config.text.width), Format::kFp32),
      queries(kRows, 3 * size(config.text.width), Format::kFp32, true),
      context(kRows, size(config.text.width), Format::kFp32, true),
      mlp(kRows, size(config.text.mlp_width), Format::kFp32, true),
      attention(std::max(size(config.vision_tokens()), kMostTokens), size(config.text.width / config.text.heads),
                Format::kFp32) {
  for (std::int64_t i = 0; i < config.text.layers; ++i) {
    keys_values.emplace_back(size(config.vision_tokens()), 2 * size(config.text.width), Format::kFp32, true);
  }
}

std::string CrossLayers::obstacle(const CrossConfig& config) {
  for (const std::int64_t width : {config.text.width, config.text.mlp_width, config.vision.width}) {
    if (width % static_cast<std::int64_t>(kPanelColumns) != 0) {
      return fmt::format("a width of {} is no multiple of {}", width, kPanelColumns);
    }
  }
  return "";
}

CrossLayers::CrossLayers(const Checkpoint& checkpoint, const kernels::Kernels& kernels, std::size_t threads)
    : config_(checkpoint.config()), kernels_(kernels), layers_(size(checkpoint.config().text.layers)) {
  const std::size_t width = size(config_.text.width), vision = size(config_.vision.width);
  const std::size_t mlp = size(config_.text.mlp_width);
  const std::size_t depth = width / size(config_.text.heads);
  const float scale = 1.0F / std::sqrt(static_cast<float>(depth));
  const auto read_norm = [&](const std::string& name) {
    return Norm{checkpoint.read(name + "_weight"), checkpoint.read(name + "_bias")};
  };
  share_range(layers_.size(), 1, threads, [&](std::size_t i, std::size_t /*next*/) {
    const std::string name = fmt::format("text.layer{}.", i), self = name + "self_", cross = name + "cross_";
    Layer& layer = layers_[i];
    layer.self_in =
        read_linear(checkpoint, kernels, {self + "query", self + "key", self + "value"}, 3 * width, width, scale);
    layer.self_out = read_linear(checkpoint, kernels, {self + "out"}, width, width);
    layer.self_norm = read_norm(self + "norm");
    layer.cross_query = read_linear(checkpoint, kernels, {cross + "query"}, width, width, scale);
    layer.cross_keys_values = read_linear(checkpoint, kernels, {cross + "key", cross + "value"}, 2 * width, vision);
    layer.cross_out = read_linear(checkpoint, kernels, {cross + "out"}, width, width);
    layer.cross_norm = read_norm(cross + "norm");
    layer.fc1 = read_linear(checkpoint, kernels, {name + "fc1"}, mlp, width);
    layer.fc2 = read_linear(checkpoint, kernels, {name + "fc2"}, width, mlp);
    layer.norm = read_norm(name + "norm");
  });
  tokens_ = checkpoint.read("text.token_embedding");
  positions_ = checkpoint.read("text.position_embedding");
  embedding_norm_ = read_norm("text.norm");
}

void CrossLayers::see_image(Buffers& buffers) const {
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    multiply_into(kernels_, buffers.states, size(config_.vision_tokens()), layers_[i].cross_keys_values,
                  buffers.keys_values[i]);
  }
}

std::vector<std::size_t> CrossLayers::run(Buffers& buffers,
                                          std::span<const std::span<const std::int64_t>> texts) const {
  std::vector<Text> places;
  std::vector<std::size_t> firsts;
  std::size_t rows = 0;
  for (const auto& text : texts) {
    places.push_back({rows, text.size()});
    firsts.push_back(rows);
    rows += text.size();
  }
  embed(buffers, texts);
  norm_rows(buffers, rows, embedding_norm_);
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    see_texts(buffers, layers_[i], places);
    look_at_image(buffers, i, places);
    add_mlp(buffers, layers_[i], rows);
  }
  return firsts;
}

void CrossLayers::embed(Buffers& buffers, std::span<const std::span<const std::int64_t>> texts) const {
  const std::size_t width = size(config_.text.width);
  std::size_t row = 0;
  for (const auto& text : texts) {
    for (std::size_t t = 0; t < text.size(); ++t, ++row) {
      const float* const token = tokens_.data() + size(text[t]) * width;
      const float* const position = positions_.data() + t * width;
      float* const hidden = buffers.hidden.row(row);
      for (std::size_t i = 0; i < width; ++i) hidden[i] = token[i] + position[i];
    }
  }
}

void CrossLayers::see_texts(Buffers& buffers, const Layer& layer, std::span<const Text> texts) const {
  const std::size_t width = size(config_.text.width), heads = size(config_.text.heads), depth = width / heads;
  const std::size_t rows = texts.back().first + texts.back().length, stride = buffers.queries.stride();
  multiply_into(kernels_, buffers.input, rows, layer.self_in, buffers.queries);
  for (const Text& text : texts) {
    for (std::size_t h = 0; h < heads; ++h) {
      buffers.attention.set_sequence(kernels_, at(buffers.queries, text.first, width + h * depth),
                                     at(buffers.queries, text.first, 2 * width + h * depth), stride, text.length);
      buffers.attention.attend(kernels_, at(buffers.queries, text.first, h * depth), stride, text.length, false, 0,
                               buffers.context, text.first, h * depth);
    }
  }
  add_and_norm(buffers, buffers.context, rows, layer.self_out, layer.self_norm);
}

void CrossLayers::look_at_image(Buffers& buffers, std::size_t index, std::span<const Text> texts) const {
  const Layer& layer = layers_[index];
  const kernels::ProductRows& image = buffers.keys_values[index];
  const std::size_t width = size(config_.text.width), heads = size(config_.text.heads), depth = width / heads;
  const std::size_t rows = texts.back().first + texts.back().length;
  multiply_into(kernels_, buffers.input, rows, layer.cross_query, buffers.queries);
  for (std::size_t h = 0; h < heads; ++h) {  // the rows of all texts see the same image
    buffers.attention.set_sequence(kernels_, at(image, 0, h * depth), at(image, 0, width + h * depth), image.stride(),
                                   size(config_.vision_tokens()));
    buffers.attention.attend(kernels_, at(buffers.queries, 0, h * depth), buffers.queries.stride(), rows, false, 0,
                             buffers.context, 0, h * depth);
  }
  add_and_norm(buffers, buffers.context, rows, layer.cross_out, layer.cross_norm);
}

void CrossLayers::add_mlp(Buffers& buffers, const Layer& layer, std::size_t rows) const {
  kernels::multiply(kernels_, buffers.input, rows, layer.fc1.weight, 0, layer.fc1.weight.panels(), 0,
                    [&](std::size_t row, std::size_t height, std::size_t column, float* tile) {
                      kernels_.rows.gelu(tile, height, layer.fc1.bias.data() + column);
                      buffers.mlp.store_tile(kernels_, row, height, column, tile, kernels::kNoBias.data());
                    });
  add_and_norm(buffers, buffers.mlp, rows, layer.fc2, layer.norm);
}

void CrossLayers::add_and_norm(Buffers& buffers, const kernels::ProductRows& rows, std::size_t count,
                               const CrossLinear& layer, const Norm& norm) const {
  const kernels::FloatRows& hidden = buffers.hidden;
  kernels::multiply(kernels_, rows, count, layer.weight, 0, layer.weight.panels(), 0,
                    [&](std::size_t row, std::size_t height, std::size_t column, const float* tile) {
                      kernels_.rows.add(tile, height, layer.bias.data() + column, hidden.row(row) + column,
                                        hidden.stride());
                    });
  norm_rows(buffers, count, norm);
}

void CrossLayers::norm_rows(Buffers& buffers, std::size_t count, const Norm& norm) const {
  for (std::size_t r = 0; r < count; ++r) {
    kernels_.rows.layer_norm(buffers.hidden.row(r), norm.weight.data(), norm.bias.data(), norm.weight.size(),
                             static_cast<float>(config_.text.layer_norm_eps), buffers.hidden.row(r));
    buffers.input.set(kernels_, r, buffers.hidden.row(r));
  }
}

}  // namespace imagerank::blip
