#include "onnx/towers.h"

#include <fmt/format.h>

#include <cmath>

namespace imagerank::onnx {
namespace {

using clip::ModelConfig;
using clip::TowerConfig;
using clip::WeightReader;

/// What is added to the scores of tokens that come later: e to it is 0 in float32, and in float16 too.
constexpr float kMasked = -1e9F;

/// @param values  [rows, columns]
std::vector<float> transposed(const std::vector<float>& values, std::size_t rows, std::size_t columns) {
  std::vector<float> result(values.size());
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t c = 0; c < columns; ++c) result[c * rows + r] = values[r * columns + c];
  }
  return result;
}

/// One tower's layers. Names of weights are those of clip::list_weights.
class Tower {
 public:
  Tower(Graph& graph, const WeightReader& reader, std::string name, const TowerConfig& config)
      : graph_(graph), reader_(reader), name_(std::move(name)), config_(config) {}

  Value weight(const std::string& parameter, const std::vector<std::int64_t>& shape) {
    const std::string name = fmt::format("{}.{}", name_, parameter);
    return graph_.weight(name, shape, [&reader = reader_, name] { return reader.read(name); });
  }

  /// x W^T, W being [out, in].
  Value product(const Value& x, const std::string& parameter, std::int64_t out, std::int64_t in) {
    const std::string name = fmt::format("{}.{}", name_, parameter);
    const Value matrix =
        graph_.weight(fmt::format("{}.transposed", name), {in, out}, [&reader = reader_, name, out, in] {
          return transposed(reader.read(name), static_cast<std::size_t>(out), static_cast<std::size_t>(in));
        });
    return graph_.node("MatMul", {x, matrix});
  }

  Value norm(const Value& x, const std::string& parameter) {
    const Value scale = weight(parameter + "_weight", {config_.width}),
                bias = weight(parameter + "_bias", {config_.width});
    return graph_.node("LayerNormalization", {x, scale, bias},
                       {{"axis", std::int64_t{-1}}, {"epsilon", static_cast<float>(config_.layer_norm_eps)}});
  }

  /// @param x  [N, T, W]. @param mask  added to the scores, or "". @return the same shape.
  Value layer(Value x, std::int64_t index, const Value& mask) {
    const std::string name = fmt::format("layer{}.", index);
    x = graph_.node("Add", {x, attention(norm(x, name + "layer_norm1"), name, mask)});
    return graph_.node("Add", {x, mlp(norm(x, name + "layer_norm2"), name)});
  }

 private:
  Value linear(const Value& x, const std::string& parameter, std::int64_t out, std::int64_t in) {
    return graph_.node("Add", {product(x, parameter + "_weight", out, in), weight(parameter + "_bias", {out})});
  }

  Value attention(const Value& x, const std::string& name, const Value& mask) {
    const std::int64_t width = config_.width, heads = config_.heads, depth = width / heads;
    const std::vector<Value> parts =
        graph_.node_of_many("Split", {linear(x, name + "qkv", 3 * width, width)}, 3, {{"axis", std::int64_t{2}}});
    const auto split_heads = [&](const Value& part, const std::vector<std::int64_t>& order) {
      return graph_.node("Transpose", {graph_.node("Reshape", {part, graph_.integers({0, 0, heads, depth})})},
                         {{"perm", order}});
    };
    const Value scale = graph_.number(static_cast<float>(1.0 / std::sqrt(static_cast<double>(depth))));
    const Value query = graph_.node("Mul", {split_heads(parts[0], {0, 2, 1, 3}), scale});
    Value scores = graph_.node("MatMul", {query, split_heads(parts[1], {0, 2, 3, 1})});
    if (!mask.empty()) scores = graph_.node("Add", {scores, mask});
    const Value weights = graph_.node("Softmax", {scores}, {{"axis", std::int64_t{-1}}});
    const Value mixed = graph_.node("MatMul", {weights, split_heads(parts[2], {0, 2, 1, 3})});
    const Value rows = graph_.node("Transpose", {mixed}, {{"perm", std::vector<std::int64_t>{0, 2, 1, 3}}});
    return linear(graph_.node("Reshape", {rows, graph_.integers({0, 0, width})}), name + "out", width, width);
  }

  Value mlp(const Value& x, const std::string& name) {
    const Value hidden = linear(x, name + "fc1", config_.mlp_width, config_.width);
    return linear(activation(hidden), name + "fc2", config_.width, config_.mlp_width);
  }

  Value activation(const Value& x) {
    if (config_.activation == clip::Activation::kQuickGelu) {
      constexpr float kQuickGelu = 1.702F;
      return graph_.node("Mul", {x, graph_.node("Sigmoid", {graph_.node("Mul", {x, graph_.number(kQuickGelu)})})});
    }
    const Value root = graph_.number(static_cast<float>(std::sqrt(2.0)));
    const Value erf = graph_.node("Erf", {graph_.node("Div", {x, root})});
    const Value twice = graph_.node("Mul", {x, graph_.node("Add", {erf, graph_.number(1.0F)})});
    return graph_.node("Mul", {twice, graph_.number(0.5F)});
  }

  Graph& graph_;
  const WeightReader& reader_;
  std::string name_;
  const TowerConfig& config_;
};

/// float32 [1, 1, context, context]: what a token may not see.
std::vector<float> causal_mask(std::int64_t context) {
  const auto size = static_cast<std::size_t>(context);
  std::vector<float> mask(size * size, 0.0F);
  for (std::size_t row = 0; row < size; ++row) {
    for (std::size_t column = row + 1; column < size; ++column) mask[row * size + column] = kMasked;
  }
  return mask;
}

/// The pooled position of each text, int64 [N, 1]. In float32, which holds every id exactly, as runtimes differ in
/// the integers that their ArgMax takes.
Value pooled_position(Graph& graph, const ModelConfig& config, const Value& tokens) {
  Value sought = tokens;
  if (config.pooling == clip::TextPooling::kFirstEos)
    sought = graph.node("Equal", {tokens, graph.integers({config.eos_token_id})});
  const Value numbers = graph.node("Cast", {sought}, {{"to", static_cast<std::int64_t>(ElementType::kFloat)}});
  return graph.node("ArgMax", {numbers}, {{"axis", std::int64_t{1}}, {"keepdims", std::int64_t{1}}});
}

}  // namespace

Value add_vision_tower(Graph& graph, const WeightReader& reader, const Value& pixels) {
  const ModelConfig& config = reader.config();
  const std::int64_t width = config.vision.width, patch = config.patch_size;
  Tower tower(graph, reader, "vision", config.vision);
  const Value patches = graph.node("Conv", {pixels, tower.weight("patch_embedding", {width, 3, patch, patch})},
                                   {{"kernel_shape", std::vector<std::int64_t>{patch, patch}},
                                    {"strides", std::vector<std::int64_t>{patch, patch}}});
  const Value columns = graph.node("Reshape", {patches, graph.integers({0, width, -1})});
  const Value rows = graph.node("Transpose", {columns}, {{"perm", std::vector<std::int64_t>{0, 2, 1}}});
  const Value count = graph.node(
      "Slice", {graph.node("Shape", {pixels}), graph.integers({0}), graph.integers({1}), graph.integers({0})});
  const Value first_shape = graph.node("Concat", {count, graph.integers({1, width})}, {{"axis", std::int64_t{0}}});
  const Value first = graph.node("Expand", {tower.weight("class_embedding", {width}), first_shape});
  Value hidden = graph.node("Concat", {first, rows}, {{"axis", std::int64_t{1}}});
  hidden = graph.node("Add", {hidden, tower.weight("position_embedding", {config.vision_tokens(), width})});
  hidden = tower.norm(hidden, "pre_norm");
  for (std::int64_t i = 0; i < config.vision.layers; ++i) hidden = tower.layer(hidden, i, "");
  const Value start = graph.integers({0});
  const Value token = graph.node("Slice", {hidden, start, graph.integers({1}), graph.integers({1})});
  const Value pooled = tower.norm(graph.node("Squeeze", {token, graph.integers({1})}), "post_norm");
  return tower.product(pooled, "projection", config.projection_dim, width);
}

Value add_text_tower(Graph& graph, const WeightReader& reader, const Value& tokens) {
  const ModelConfig& config = reader.config();
  const std::int64_t width = config.text.width, context = config.context_length;
  Tower tower(graph, reader, "text", config.text);
  const Value zero = graph.integers({0});
  const Value length = graph.node(
      "Slice", {graph.node("Shape", {tokens}), graph.integers({1}), graph.integers({2}), graph.integers({0})});
  const Value embedded =
      graph.node("Gather", {tower.weight("token_embedding", {config.vocabulary_size, width}), tokens});
  const Value positions =
      graph.node("Slice", {tower.weight("position_embedding", {context, width}), zero, length, graph.integers({0})});
  const Value whole_mask =
      graph.weight("text.causal_mask", {context, context}, [context] { return causal_mask(context); });
  const Value lengths = graph.node("Concat", {length, length}, {{"axis", std::int64_t{0}}});
  const Value mask = graph.node("Slice", {whole_mask, graph.integers({0, 0}), lengths, graph.integers({0, 1})});
  Value hidden = graph.node("Add", {embedded, positions});
  for (std::int64_t i = 0; i < config.text.layers; ++i) hidden = tower.layer(hidden, i, mask);
  const Value row =
      graph.node("GatherND", {hidden, pooled_position(graph, config, tokens)}, {{"batch_dims", std::int64_t{1}}});
  return tower.product(tower.norm(row, "final_norm"), "projection", config.projection_dim, width);
}

}  // namespace imagerank::onnx
