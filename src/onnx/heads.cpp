#include "onnx/heads.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <span>
#include <utility>

#include "core/fail.h"

namespace imagerank::onnx {
namespace {

using reward::HeadParts;
using reward::InputScaling;
using reward::Loss;

const Attributes kLastAxis = {{"axis", std::int64_t{1}}};
const Attributes kRowSums = {{"axes", std::vector<std::int64_t>{1}}, {"keepdims", std::int64_t{1}}};

/// The graphs of reward/heads.cpp, whose names of parameters these are.
class HeadGraph {
 public:
  /// @param prefix  of its weights' names.
  HeadGraph(Graph& graph, const HeadParts& parts, std::string prefix)
      : graph_(graph), parts_(parts), prefix_(std::move(prefix)) {}

  /// @return [N, outputs].
  Value forward(const Value& image, const Value& text) {
    const std::string& head = parts_.head;
    if (head == "clip") return clip_head(image, text);
    if (head == "lstm") return lstm_head(image, text);
    if (head == "attention") return attention_head(image, text);
    const Value row = graph_.node("Concat", {image, text}, kLastAxis);
    const std::int64_t dim = parts_.dim;
    if (head == "linear") return linear(row, "output", parts_.outputs, 2 * dim);
    if (head == "mlp") return mlp(row, 2 * dim);
    if (head == "deep") return deep_head(row);
    if (head == "interaction") {
      const Value together = graph_.node("Mul", {image, text});
      return mlp(graph_.node("Concat", {row, together}, kLastAxis), 3 * dim);
    }
    if (head == "cnn") return cnn_head(row);
    fail(ErrorCode::kUnavailable,
         "--to onnx: expected a head of mlp, deep, cnn, lstm, linear, interaction, attention or clip, found '{}'",
         head);
  }

 private:
  [[nodiscard]] const std::vector<float>& values(const std::string& name) const { return parts_.values.at(name); }
  Value parameter(const std::string& name, const std::vector<std::int64_t>& shape) {
    return graph_.weight(prefix_ + name, shape, values(name));
  }

  Value linear(const Value& x, const std::string& name, std::int64_t out, std::int64_t in) {
    return graph_.node("Gemm", {x, parameter(name + ".weight", {out, in}), parameter(name + ".bias", {out})},
                       {{"transB", std::int64_t{1}}});
  }
  Value mlp(const Value& x, std::int64_t in) {
    const Value hidden = graph_.node("Relu", {linear(x, "hidden", parts_.hidden, in)});
    return linear(hidden, "output", parts_.outputs, parts_.hidden);
  }

  Value deep_head(Value row) {
    std::int64_t width = 2 * parts_.dim;
    for (std::int64_t i = 0; i < parts_.layers; ++i, width = parts_.hidden)
      row = graph_.node("Relu", {linear(row, fmt::format("hidden{}", i), parts_.hidden, width)});
    return linear(row, "output", parts_.outputs, width);
  }

  Value attention_head(const Value& image, const Value& text) {
    const Value image_tokens = tokens(image, "image"), text_tokens = tokens(text, "text");
    const Value both = graph_.node(
        "Concat", {attend(image_tokens, text_tokens, "image"), attend(text_tokens, image_tokens, "text")}, kLastAxis);
    const Value row = graph_.node("Relu", {graph_.node("Flatten", {both}, kLastAxis)});
    return mlp(row, 2 * kTokens * kWidth);
  }
  /// [N, dim] -> [N, tokens, width].
  Value tokens(const Value& rows, const std::string& side) {
    const std::int64_t piece = (parts_.dim + kTokens - 1) / kTokens;
    const Attributes swapped = {{"perm", std::vector<std::int64_t>{1, 0, 2}}};
    const Value whole = graph_.node("Pad", {rows, graph_.integers({0, 0, 0, kTokens * piece - parts_.dim})});
    const Value pieces = graph_.node("Reshape", {whole, graph_.integers({-1, kTokens, piece})});
    const Value projected = graph_.node(
        "MatMul", {graph_.node("Transpose", {pieces}, swapped), parameter(side + ".cut", {kTokens, piece, kWidth})});
    return graph_.node("Transpose", {graph_.node("Add", {projected, parameter(side + ".place", {kTokens, 1, kWidth})})},
                       swapped);
  }
  /// Tokens of one side and what they see in the other's, [N, tokens, width] each.
  Value attend(const Value& from, const Value& to, const std::string& side) {
    constexpr std::int64_t kHeads = reward::kAttentionHeads, kDepth = kWidth / kHeads;
    const auto split = [&](const Value& rows, const std::vector<std::int64_t>& order) {
      return graph_.node("Transpose", {graph_.node("Reshape", {rows, graph_.integers({-1, kTokens, kHeads, kDepth})})},
                         {{"perm", order}});
    };
    const Value query = split(token_linear(from, side + ".query"), {0, 2, 1, 3});
    const Value key = split(token_product(to, side + ".key"), {0, 2, 3, 1});
    const Value scale = graph_.number(static_cast<float>(1.0 / std::sqrt(static_cast<double>(kDepth))));
    const Value scores = graph_.node("Mul", {graph_.node("MatMul", {query, key}), scale});
    const Value weights = graph_.node("Softmax", {scores}, {{"axis", std::int64_t{-1}}});
    const Value seen = graph_.node("MatMul", {weights, split(token_linear(to, side + ".value"), {0, 2, 1, 3})});
    const Value rows = graph_.node("Transpose", {seen}, {{"perm", std::vector<std::int64_t>{0, 2, 1, 3}}});
    const Value joined = graph_.node("Reshape", {rows, graph_.integers({-1, kTokens, kWidth})});
    return graph_.node("Add", {from, token_linear(joined, side + ".out")});
  }
  Value token_linear(const Value& x, const std::string& name) {
    return graph_.node("Add", {token_product(x, name + ".weight"), parameter(name + ".bias", {kWidth})});
  }
  Value token_product(const Value& x, const std::string& name) {
    const Value matrix = graph_.node("Transpose", {parameter(name, {kWidth, kWidth})});
    return graph_.node("MatMul", {x, matrix});
  }

  Value cnn_head(const Value& row) {
    const std::int64_t padded = (2 * parts_.dim + 63) / 64 * 64;
    const Attributes around = {{"kernel_shape", std::vector<std::int64_t>{3, 3}},
                               {"pads", std::vector<std::int64_t>{1, 1, 1, 1}}};
    const Value whole = graph_.node("Pad", {row, graph_.integers({0, 0, 0, padded - 2 * parts_.dim})});
    Value plane = graph_.node("Reshape", {whole, graph_.integers({-1, 1, 32, padded / 32})});
    plane =
        graph_.node("Conv", {plane, parameter("conv1.weight", {32, 1, 3, 3}), parameter("conv1.bias", {32})}, around);
    plane =
        graph_.node("MaxPool", {plane},
                    {{"kernel_shape", std::vector<std::int64_t>{2, 2}}, {"strides", std::vector<std::int64_t>{2, 2}}});
    plane = graph_.node("Relu", {plane});
    plane =
        graph_.node("Conv", {plane, parameter("conv2.weight", {5, 32, 3, 3}), parameter("conv2.bias", {5})}, around);
    plane = graph_.node("Flatten", {graph_.node("Relu", {plane})}, kLastAxis);
    return mlp(plane, std::int64_t{5} * 16 * (padded / 64));
  }

  Value lstm_head(const Value& image, const Value& text) {
    const Value first = graph_.integers({0});
    const Value steps =
        graph_.node("Concat", {graph_.node("Unsqueeze", {image, first}), graph_.node("Unsqueeze", {text, first})},
                    {{"axis", std::int64_t{0}}});
    const auto hidden = static_cast<std::int64_t>(values("lstm.input_bias").size()) / 4;
    std::vector<float> bias = gates_in_order("lstm.input_bias");
    const std::vector<float> state_bias = gates_in_order("lstm.state_bias");
    bias.insert(bias.end(), state_bias.begin(), state_bias.end());
    const std::vector<Value> states = graph_.node_of_many(
        "LSTM",
        {steps,
         graph_.weight(prefix_ + "lstm.input_weight", {1, 4 * hidden, parts_.dim}, gates_in_order("lstm.input_weight")),
         graph_.weight(prefix_ + "lstm.state_weight", {1, 4 * hidden, hidden}, gates_in_order("lstm.state_weight")),
         graph_.weight(prefix_ + "lstm.bias", {1, 8 * hidden}, std::move(bias))},
        2, {{"hidden_size", hidden}});
    return linear(graph_.node("Squeeze", {states[1], first}), "output", parts_.outputs, hidden);
  }

  /// libtorch's gates are input, forget, cell, output; ONNX's are input, output, forget, cell.
  [[nodiscard]] std::vector<float> gates_in_order(const std::string& name) const {
    const std::vector<float>& gates = values(name);
    const auto block = static_cast<std::ptrdiff_t>(gates.size() / 4);
    std::vector<float> ordered;
    for (const std::ptrdiff_t gate : {0, 3, 1, 2})
      ordered.insert(ordered.end(), gates.begin() + gate * block, gates.begin() + (gate + 1) * block);
    return ordered;
  }

  Value clip_head(const Value& image, const Value& text) {
    const Value product = graph_.node("Mul", {adapted(image, "image"), adapted(text, "text")});
    const Value cosine = graph_.node("ReduceSum", {product, graph_.integers({1})}, {{"keepdims", std::int64_t{1}}});
    const double scale = std::exp(std::min(static_cast<double>(values("scale")[0]) + std::log(5.0), std::log(100.0)));
    const Value scaled = graph_.node("Mul", {cosine, graph_.number(static_cast<float>(scale))});
    return graph_.node("Add", {scaled, graph_.number(values("bias")[0])});
  }
  Value adapted(const Value& rows, const std::string& name) {
    const std::int64_t dim = parts_.dim, rank = parts_.rank;
    const Value low =
        graph_.node("Gemm", {rows, parameter(name + ".down", {rank, dim})}, {{"transB", std::int64_t{1}}});
    const Value shift =
        graph_.node("Gemm", {low, parameter(name + ".up", {dim, rank}), parameter(name + ".shift", {dim})},
                    {{"transB", std::int64_t{1}}});
    const Value moved = graph_.node("Add", {rows, shift});
    const Value squares = graph_.node("ReduceSumSquare", {moved}, kRowSums);
    const Value length = graph_.node("Sqrt", {graph_.node("Max", {squares, graph_.number(1e-12F)})});
    return graph_.node("Div", {moved, length});
  }

  static constexpr std::int64_t kTokens = reward::kAttentionTokens, kWidth = reward::kAttentionWidth;
  Graph& graph_;
  const HeadParts& parts_;
  std::string prefix_;
};

/// As the cache rounds vectors.
Value rounded_through_half(Graph& graph, const Value& rows) {
  const Value half = graph.node("Cast", {rows}, {{"to", static_cast<std::int64_t>(ElementType::kFloat16)}});
  return graph.node("Cast", {half}, {{"to", static_cast<std::int64_t>(ElementType::kFloat)}});
}

/// @param least  the shortest length to divide by, so that a row of zeros stays one; empty: it becomes NaN.
Value unit_length(Graph& graph, const Value& rows, std::optional<float> least) {
  Value length = graph.node("ReduceL2", {rows}, kRowSums);
  if (least) length = graph.node("Max", {length, graph.number(*least)});
  return graph.node("Div", {rows, length});
}

/// As reward::Scaler does, behind the rounding of the cache.
Value prepared(Graph& graph, const HeadParts& parts, const Value& rows, const std::string& side, std::size_t offset,
               const std::string& prefix) {
  const Value rounded = rounded_through_half(graph, rows);
  if (parts.scaling == InputScaling::kUnitLength) return unit_length(graph, rounded, 1e-30F);
  const auto share = [&](const std::vector<float>& both) {
    const auto begin = both.begin() + static_cast<std::ptrdiff_t>(offset);
    return std::vector<float>(begin, begin + static_cast<std::ptrdiff_t>(parts.dim));
  };
  const Value mean = graph.weight(prefix + "scaler.mean." + side, {parts.dim}, share(parts.mean));
  const Value inverse =
      graph.weight(prefix + "scaler.inverse_deviation." + side, {parts.dim}, share(parts.inverse_deviation));
  return graph.node("Mul", {graph.node("Sub", {rounded, mean}), inverse});
}

/// What reward::scores_from_outputs makes of a head's numbers.
ScoreValues scores_of(Graph& graph, const HeadParts& parts, const Value& outputs) {
  const Value columns = graph.integers({1});
  if (!reward::is_classification(parts.loss)) return {graph.node("Squeeze", {outputs, columns}), "", ""};
  ScoreValues values;
  if (parts.loss == Loss::kBce) {
    const Value first = graph.node("Sigmoid", {graph.node("Neg", {outputs})});
    values.probabilities = graph.node("Concat", {first, graph.node("Sigmoid", {outputs})}, kLastAxis);
  } else {
    values.probabilities = graph.node("Softmax", {outputs}, kLastAxis);
  }
  std::vector<float> labels(static_cast<std::size_t>(parts.class_count));
  std::iota(labels.begin(), labels.end(), 0.0F);
  const Value column = graph.weight("labels", {parts.class_count, 1}, std::move(labels));
  values.score = graph.node("Squeeze", {graph.node("MatMul", {values.probabilities, column}), columns});
  return values;
}

ScoreValues add_head(Graph& graph, const HeadParts& parts, const Value& image, const Value& text,
                     const std::string& prefix) {
  const auto dim = static_cast<std::size_t>(parts.dim);
  const Value prepared_image = prepared(graph, parts, image, "image", 0, prefix);
  const Value prepared_text = prepared(graph, parts, text, "text", dim, prefix);
  return scores_of(graph, parts, HeadGraph(graph, parts, prefix + "head.").forward(prepared_image, prepared_text));
}

/// The standard deviation of the members' scores, their centres taken off.
Value deviation_of(Graph& graph, std::span<const HeadParts> members, const std::vector<Value>& scores) {
  std::vector<Value> centred, squares;
  for (std::size_t k = 0; k < members.size(); ++k)
    centred.push_back(graph.node("Sub", {scores[k], graph.number(static_cast<float>(members[k].centre))}));
  const Value mean = graph.node("Mean", centred);
  for (const Value& value : centred) {
    const Value difference = graph.node("Sub", {value, mean});
    squares.push_back(graph.node("Mul", {difference, difference}));
  }
  return graph.node("Sqrt", {graph.node("Mean", squares)});
}

ScoreValues add_heads(Graph& graph, std::span<const HeadParts> members, const Value& image, const Value& text) {
  if (members.size() == 1) return add_head(graph, members.front(), image, text, "");
  std::vector<Value> scores, probabilities;
  for (std::size_t k = 0; k < members.size(); ++k) {
    ScoreValues one = add_head(graph, members[k], image, text, fmt::format("member{}.", k));
    scores.push_back(std::move(one.score));
    if (!one.probabilities.empty()) probabilities.push_back(std::move(one.probabilities));
  }
  ScoreValues values;
  values.score = graph.node("Mean", scores);
  if (!probabilities.empty()) values.probabilities = graph.node("Mean", probabilities);
  values.deviation = deviation_of(graph, members, scores);
  return values;
}

Value add_published_head(Graph& graph, const reward::PublishedHead& head, const Value& image) {
  const auto dim = static_cast<std::int64_t>(head.weight.size());
  const Value weight =
      graph.weight("head.weight", {dim, 1}, std::vector<float>(head.weight.begin(), head.weight.end()));
  const Value product = graph.node("MatMul", {unit_length(graph, image, std::nullopt), weight});
  return graph.node("Squeeze",
                    {graph.node("Add", {product, graph.number(static_cast<float>(head.bias))}), graph.integers({1})});
}

Value add_cosine(Graph& graph, const reward::CosineRule& rule, const Value& image, const Value& text) {
  const auto direction = [&](const Value& rows) {
    return unit_length(graph, rounded_through_half(graph, rows), std::nullopt);
  };
  const Value product = graph.node("Mul", {direction(image), direction(text)});
  Value cosine = graph.node("ReduceSum", {product, graph.integers({1})}, {{"keepdims", std::int64_t{0}}});
  if (rule.positive) cosine = graph.node("Relu", {cosine});
  return graph.node("Mul", {cosine, graph.number(static_cast<float>(rule.scale))});
}

}  // namespace

ScoreValues add_scores(Graph& graph, const reward::RewardParts& parts, const Value& image, const Value& text) {
  if (const auto* const members = std::get_if<std::vector<HeadParts>>(&parts))
    return add_heads(graph, *members, image, text);
  if (const auto* const head = std::get_if<reward::PublishedHead>(&parts))
    return {add_published_head(graph, *head, image), "", ""};
  return {add_cosine(graph, std::get<reward::CosineRule>(parts), image, text), "", ""};
}

}  // namespace imagerank::onnx
