#include "clip/cpu_transformer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/threads.h"

namespace imagerank::clip {
namespace {

using kernels::kPanelColumns;

std::size_t size(std::int64_t value) { return static_cast<std::size_t>(value); }
std::size_t head_depth(const TowerConfig& config) { return size(config.width / config.heads); }
std::size_t padded_head(const TowerConfig& config) { return kernels::round_up(head_depth(config), kPanelColumns); }

/// Of queries, keys, values and probabilities.
kernels::Format attention_format(kernels::Format format) {
  return format == kernels::Format::kFp32 ? format : kernels::Format::kBf16;
}

/// Hidden numbers of the MLP that are made and used together, so that they stay in the cache: the largest equal part
/// of at most 1024.
std::size_t mlp_part(const TowerConfig& config) {
  constexpr std::size_t kMost = 1024, kUnit = 64;
  const std::size_t width = size(config.mlp_width);
  for (std::size_t part = kMost; part >= kMost / 2; part -= kUnit) {
    if (width % part == 0) return part;
  }
  return width;
}

/// Rows of query, key and value of a Hugging Face-like [3 * width, columns] in the order of CpuTransformer::Layer::qkv.
std::vector<float> by_heads(const std::vector<float>& weight, const TowerConfig& config, std::size_t columns) {
  const std::size_t depth = head_depth(config), padded = padded_head(config), width = size(config.width);
  std::vector<float> result(size(config.heads) * 3 * padded * columns);
  // The scores' 1 / sqrt(depth) goes into the queries.
  const float scale = 1.0F / std::sqrt(static_cast<float>(depth));
  for (std::size_t head = 0; head < size(config.heads); ++head) {
    for (std::size_t kind = 0; kind < 3; ++kind) {
      const float* from = weight.data() + (kind * width + head * depth) * columns;
      float* to = result.data() + (head * 3 + kind) * padded * columns;
      for (std::size_t i = 0; i < depth * columns; ++i) to[i] = kind == 0 ? from[i] * scale : from[i];
    }
  }
  return result;
}

/// For int8: channels that are large in one factor of a product and small in the other meet half way, in the norm's
/// gain and the columns of the weights behind it; the product is the same. SmoothQuant (Xiao et al. 2023) with the
/// norm's own parameters in the place of calibration data.
void even_out(std::vector<float>& gain, std::vector<float>& offset, std::vector<float>& weight) {
  const std::size_t width = gain.size();
  std::vector<float> factor(width);  // at first the largest weight of each column
  for (std::size_t row = 0; row < weight.size(); row += width) {
    for (std::size_t k = 0; k < width; ++k) factor[k] = std::max(factor[k], std::abs(weight[row + k]));
  }
  for (std::size_t k = 0; k < width; ++k) {
    const float largest = factor[k], activation = std::abs(gain[k]) + std::abs(offset[k]);
    factor[k] = largest > 0.0F && activation > 0.0F ? std::sqrt(activation / largest) : 1.0F;
    gain[k] /= factor[k];
    offset[k] /= factor[k];
  }
  for (std::size_t row = 0; row < weight.size(); row += width) {
    for (std::size_t k = 0; k < width; ++k) weight[row + k] *= factor[k];
  }
}

}  // namespace

TransformerBuffers::TransformerBuffers(const TowerConfig& config, std::size_t rows, std::size_t longest,
                                       kernels::Format format)
    : hidden(rows, size(config.width)),
      normed(rows, size(config.width), format),
      pooled(rows, size(config.width), format),
      head(rows, 3 * padded_head(config), attention_format(format), true),
      query(rows, padded_head(config), attention_format(format), true),
      context(rows, size(config.width), format, true),
      mlp(rows, mlp_part(config), format, true),
      attention(longest, padded_head(config), attention_format(format)),
      row(size(config.width)) {}

std::string CpuTransformer::obstacle(const TowerConfig& config) {
  for (const std::int64_t width : {config.width, config.mlp_width}) {
    if (width % static_cast<std::int64_t>(kPanelColumns) != 0) {
      return fmt::format("a width of {} is no multiple of {}", width, kPanelColumns);
    }
  }
  return "";
}

CpuTransformer::CpuTransformer(const TowerConfig& config, const ParameterReader& read, const std::string& tower,
                               kernels::Format format, const kernels::Kernels& kernels, std::size_t threads)
    : config_(config), format_(format), kernels_(kernels), layers_(size(config.layers)) {
  constexpr std::size_t kMostThreads = 8;  // each holds most of a layer in float32, 70 MB of ViT-H/14
  share_range(layers_.size(), 1, std::min(threads, kMostThreads), [&](std::size_t first, std::size_t last) {
    for (std::size_t i = first; i < last; ++i) layers_[i] = read_layer(read, fmt::format("{}.layer{}.", tower, i));
  });
}

CpuTransformer::Layer CpuTransformer::read_layer(const ParameterReader& parameters, const std::string& prefix) const {
  const auto read = [&](const char* name) { return parameters(prefix + name); };
  const std::size_t width = size(config_.width), mlp = size(config_.mlp_width), part = mlp_part(config_);
  const std::size_t qkv_columns = size(config_.heads) * 3 * padded_head(config_);
  Layer layer;
  layer.norm1_weight = read("layer_norm1_weight");
  layer.norm1_bias = read("layer_norm1_bias");
  layer.norm2_weight = read("layer_norm2_weight");
  layer.norm2_bias = read("layer_norm2_bias");
  std::vector<float> qkv = read("qkv_weight"), fc1 = read("fc1_weight");
  if (format_ == kernels::Format::kInt8) {
    even_out(layer.norm1_weight, layer.norm1_bias, qkv);
    even_out(layer.norm2_weight, layer.norm2_bias, fc1);
  }
  layer.qkv = kernels::PackedMatrix(kernels_, by_heads(qkv, config_, width), qkv_columns, width, format_);
  layer.qkv_bias = by_heads(read("qkv_bias"), config_, 1);
  layer.out = kernels::PackedMatrix(kernels_, read("out_weight"), width, width, format_);
  layer.out_bias = read("out_bias");
  layer.fc1 = kernels::PackedMatrix(kernels_, fc1, mlp, width, format_);
  layer.fc1_bias = read("fc1_bias");
  layer.fc2 = kernels::PackedMatrix(kernels_, read("fc2_weight"), width, mlp, format_, part == mlp ? 0 : part);
  layer.fc2_bias = read("fc2_bias");
  return layer;
}

void CpuTransformer::run(TransformerBuffers& buffers, std::span<const RowRange> sequences,
                         std::span<const std::size_t> pooled, bool causal) const {
  const std::size_t rows = sequences.back().first + sequences.back().length;
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const Layer& layer = layers_[i];
    norm(buffers, rows, layer.norm1_weight, layer.norm1_bias);
    std::size_t left = rows;
    if (i + 1 < layers_.size() || pooled.empty()) {
      attention(buffers, layer, sequences, causal);
    } else {
      pooled_attention(buffers, layer, sequences, pooled, causal);
      left = sequences.size();
      for (std::size_t s = 0; s < left; ++s) {
        std::memmove(buffers.hidden.row(s), buffers.hidden.row(sequences[s].first + pooled[s]),
                     size(config_.width) * sizeof(float));
      }
    }
    add_attention(buffers, layer, left);
    norm(buffers, left, layer.norm2_weight, layer.norm2_bias);
    add_mlp(buffers, layer, left);
  }
}

void CpuTransformer::norm(TransformerBuffers& buffers, std::size_t count, const std::vector<float>& weight,
                          const std::vector<float>& bias) const {
  for (std::size_t r = 0; r < count; ++r) {
    kernels_.rows.layer_norm(buffers.hidden.row(r), weight.data(), bias.data(), weight.size(),
                             static_cast<float>(config_.layer_norm_eps), buffers.row.data());
    buffers.normed.set(kernels_, r, buffers.row.data());
  }
}

void CpuTransformer::attention(TransformerBuffers& buffers, const Layer& layer, std::span<const RowRange> sequences,
                               bool causal) const {
  const std::size_t rows = sequences.back().first + sequences.back().length;
  const std::size_t depth = head_depth(config_), padded = padded_head(config_);
  const std::size_t panels = 3 * padded / kPanelColumns;
  const std::size_t part = padded * kernels::bytes_of(attention_format(format_));  // query, key and value in a row
  for (std::size_t h = 0; h < size(config_.heads); ++h) {
    kernels::multiply(kernels_, buffers.normed, rows, layer.qkv, h * panels, (h + 1) * panels, 0,
                      [&](std::size_t row, std::size_t height, std::size_t column, const float* tile) {
                        buffers.head.store_tile(kernels_, row, height, column - h * 3 * padded, tile,
                                                layer.qkv_bias.data() + column);
                      });
    for (const RowRange& sequence : sequences) {
      const std::byte* queries = buffers.head.row(sequence.first);
      const std::size_t stride = buffers.head.stride();
      buffers.attention.set_sequence(kernels_, queries + part, queries + 2 * part, stride, sequence.length);
      buffers.attention.attend(kernels_, queries, stride, sequence.length, causal, 0, buffers.context, sequence.first,
                               h * depth);
    }
  }
}

void CpuTransformer::pooled_attention(TransformerBuffers& buffers, const Layer& layer,
                                      std::span<const RowRange> sequences, std::span<const std::size_t> pooled,
                                      bool causal) const {
  const std::size_t rows = sequences.back().first + sequences.back().length;
  const std::size_t depth = head_depth(config_), padded = padded_head(config_);
  const std::size_t panels = padded / kPanelColumns;
  const std::size_t part = padded * kernels::bytes_of(attention_format(format_));
  for (std::size_t s = 0; s < sequences.size(); ++s) {
    buffers.normed.copy_row(sequences[s].first + pooled[s], buffers.pooled, s);
  }
  for (std::size_t h = 0; h < size(config_.heads); ++h) {
    const std::size_t first_panel = h * 3 * panels, first_column = h * 3 * padded;
    const auto store_in = [&](kernels::ProductRows& target) {
      return [&](std::size_t row, std::size_t height, std::size_t column, const float* tile) {
        target.store_tile(kernels_, row, height, column - first_column, tile, layer.qkv_bias.data() + column);
      };
    };
    kernels::multiply(kernels_, buffers.pooled, sequences.size(), layer.qkv, first_panel, first_panel + panels, 0,
                      store_in(buffers.query));
    kernels::multiply(kernels_, buffers.normed, rows, layer.qkv, first_panel + panels, first_panel + 3 * panels, 0,
                      store_in(buffers.head));
    for (std::size_t s = 0; s < sequences.size(); ++s) {
      const std::byte* first = buffers.head.row(sequences[s].first);
      buffers.attention.set_sequence(kernels_, first + part, first + 2 * part, buffers.head.stride(),
                                     sequences[s].length);
      buffers.attention.attend(kernels_, buffers.query.row(s), buffers.query.stride(), 1, causal, pooled[s],
                               buffers.context, s, h * depth);
    }
  }
}

void CpuTransformer::add_attention(TransformerBuffers& buffers, const Layer& layer, std::size_t count) const {
  buffers.context.finish(kernels_, count);
  const kernels::FloatRows& hidden = buffers.hidden;
  kernels::multiply(kernels_, buffers.context, count, layer.out, 0, layer.out.panels(), 0,
                    [&](std::size_t row, std::size_t height, std::size_t column, const float* tile) {
                      kernels_.rows.add(tile, height, layer.out_bias.data() + column, hidden.row(row) + column,
                                        hidden.stride());
                    });
}

void CpuTransformer::add_mlp(TransformerBuffers& buffers, const Layer& layer, std::size_t count) const {
  const std::size_t part = mlp_part(config_), panels = part / kPanelColumns;
  const auto activation = config_.activation == Activation::kQuickGelu ? kernels_.rows.quick_gelu : kernels_.rows.gelu;
  const kernels::FloatRows& hidden = buffers.hidden;
  for (std::size_t p = 0; p < layer.fc2.parts(); ++p) {
    kernels::multiply(kernels_, buffers.normed, count, layer.fc1, p * panels, (p + 1) * panels, 0,
                      [&](std::size_t row, std::size_t height, std::size_t column, float* tile) {
                        activation(tile, height, layer.fc1_bias.data() + column);
                        buffers.mlp.store_tile(kernels_, row, height, column - p * part, tile, kernels::kNoBias.data());
                      });
    buffers.mlp.finish(kernels_, count);
    kernels::multiply(kernels_, buffers.mlp, count, layer.fc2, 0, layer.fc2.panels(), p,
                      [&](std::size_t row, std::size_t height, std::size_t column, const float* tile) {
                        const float* bias = p == 0 ? layer.fc2_bias.data() + column : kernels::kNoBias.data();
                        kernels_.rows.add(tile, height, bias, hidden.row(row) + column, hidden.stride());
                      });
  }
}

}  // namespace imagerank::clip
