#include "onnx/heads.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "core/fail.h"

namespace imagerank::onnx {
namespace {

using reward::InputScaling;
using reward::Loss;
using reward::RewardParts;

const Attributes kLastAxis = {{"axis", std::int64_t{1}}};
const Attributes kRowSums = {{"axes", std::vector<std::int64_t>{1}}, {"keepdims", std::int64_t{1}}};

/// The graphs of reward/heads.cpp, whose names of parameters these are.
class HeadGraph {
 public:
  HeadGraph(Graph& graph, const RewardParts& parts) : graph_(graph), parts_(parts) {}

  /// @return [N, outputs].
  Value forward(const Value& image, const Value& text) {
    const std::string& head = parts_.head;
    if (head == "clip") return clip_head(image, text);
    if (head == "lstm") return lstm_head(image, text);
    const Value row = graph_.node("Concat", {image, text}, kLastAxis);
    const std::int64_t dim = parts_.dim;
    if (head == "linear") return linear(row, "output", parts_.outputs, 2 * dim);
    if (head == "mlp") return mlp(row, 2 * dim);
    if (head == "interaction") {
      const Value together = graph_.node("Mul", {image, text});
      return mlp(graph_.node("Concat", {row, together}, kLastAxis), 3 * dim);
    }
    if (head == "cnn") return cnn_head(row);
    fail(ErrorCode::kUnavailable,
         "--to onnx: expected a head of mlp, cnn, lstm, linear, interaction or clip, found '{}'", head);
  }

 private:
  [[nodiscard]] const std::vector<float>& values(const std::string& name) const { return parts_.values.at(name); }
  Value parameter(const std::string& name, const std::vector<std::int64_t>& shape) {
    return graph_.weight("head." + name, shape, values(name));
  }

  Value linear(const Value& x, const std::string& name, std::int64_t out, std::int64_t in) {
    return graph_.node("Gemm", {x, parameter(name + ".weight", {out, in}), parameter(name + ".bias", {out})},
                       {{"transB", std::int64_t{1}}});
  }
  Value mlp(const Value& x, std::int64_t in) {
    const Value hidden = graph_.node("Relu", {linear(x, "hidden", parts_.hidden, in)});
    return linear(hidden, "output", parts_.outputs, parts_.hidden);
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
         graph_.weight("head.lstm.input_weight", {1, 4 * hidden, parts_.dim}, gates_in_order("lstm.input_weight")),
         graph_.weight("head.lstm.state_weight", {1, 4 * hidden, hidden}, gates_in_order("lstm.state_weight")),
         graph_.weight("head.lstm.bias", {1, 8 * hidden}, std::move(bias))},
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

  Graph& graph_;
  const RewardParts& parts_;
};

/// As reward::Scaler does, behind the rounding of the cache.
Value prepared(Graph& graph, const RewardParts& parts, const Value& rows, const std::string& side, std::size_t offset) {
  const Value half = graph.node("Cast", {rows}, {{"to", static_cast<std::int64_t>(ElementType::kFloat16)}});
  const Value rounded = graph.node("Cast", {half}, {{"to", static_cast<std::int64_t>(ElementType::kFloat)}});
  if (parts.scaling == InputScaling::kUnitLength) {
    constexpr float kTiny = 1e-30F;  // a row of zeros stays one
    const Value length = graph.node("ReduceL2", {rounded}, kRowSums);
    return graph.node("Div", {rounded, graph.node("Max", {length, graph.number(kTiny)})});
  }
  const auto share = [&](const std::vector<float>& both) {
    const auto begin = both.begin() + static_cast<std::ptrdiff_t>(offset);
    return std::vector<float>(begin, begin + static_cast<std::ptrdiff_t>(parts.dim));
  };
  const Value mean = graph.weight("scaler.mean." + side, {parts.dim}, share(parts.mean));
  const Value inverse = graph.weight("scaler.inverse_deviation." + side, {parts.dim}, share(parts.inverse_deviation));
  return graph.node("Mul", {graph.node("Sub", {rounded, mean}), inverse});
}

/// What reward::scores_from_outputs makes of a head's numbers.
ScoreValues scores_of(Graph& graph, const RewardParts& parts, const Value& outputs) {
  const Value columns = graph.integers({1});
  if (!reward::is_classification(parts.loss)) return {graph.node("Squeeze", {outputs, columns}), ""};
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

}  // namespace

ScoreValues add_head(Graph& graph, const RewardParts& parts, const Value& image, const Value& text) {
  const Value prepared_image = prepared(graph, parts, image, "image", 0);
  const Value prepared_text = prepared(graph, parts, text, "text", static_cast<std::size_t>(parts.dim));
  return scores_of(graph, parts, HeadGraph(graph, parts).forward(prepared_image, prepared_text));
}

}  // namespace imagerank::onnx
