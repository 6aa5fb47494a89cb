#include "reward/heads.h"

#include <cmath>
#include <utility>

#include "core/fail.h"
#include "reward/conv_plane.h"
#include "reward/head_kinds.h"
#include "reward/lstm.h"
#include "reward/wide_linear.h"

namespace imagerank::reward {
namespace {

/// Inverted dropout. The mask comes from our own generator, so that a seed gives the same one at any thread count.
at::Tensor drop(const at::Tensor& values, const Dropout& dropout) {
  if (dropout.random == nullptr || dropout.rate <= 0.0) return values;
  at::Tensor mask = at::empty(values.sizes(), at::kFloat);
  auto* const out = mask.data_ptr<float>();
  const auto kept = static_cast<float>(1.0 / (1.0 - dropout.rate));
  for (std::int64_t i = 0; i < mask.numel(); ++i) out[i] = dropout.random->chance(dropout.rate) ? 0.0F : kept;
  return values * mask;
}

/// Weight [out, in] and bias [out], uniform in +-1/sqrt(in), as torch::nn::Linear starts.
struct Linear {
  at::Tensor weight;
  at::Tensor bias;
  [[nodiscard]] at::Tensor operator()(const at::Tensor& input) const {
    constexpr std::int64_t kWide = std::int64_t{1}
                                   << 16;  // weights; below, cutting the product costs more than it gains
    const bool wide = input.dim() == 2 && weight.numel() >= kWide && input.scalar_type() == at::kFloat;
    return wide ? wide_linear(input, weight, bias) : at::linear(input, weight, bias);
  }
};

class BaseHead : public Head {
 protected:
  Linear add_linear(const std::string& name, std::int64_t in, std::int64_t out, const ParameterSource& source) {
    const double bound = 1.0 / std::sqrt(static_cast<double>(in));
    at::Tensor weight = add(name + ".weight", {out, in}, bound, source);
    return {std::move(weight), add(name + ".bias", {out}, bound, source)};
  }
};

class LinearHead final : public BaseHead {
 public:
  LinearHead(const HeadShape& shape, const ParameterSource& source)
      : output_(add_linear("output", 2 * shape.dim, shape.outputs, source)) {}
  at::Tensor forward(const at::Tensor& input, const Dropout& dropout) const override {
    return output_(drop(input, dropout));
  }

 private:
  Linear output_;
};

class MlpHead final : public BaseHead {
 public:
  MlpHead(const HeadShape& shape, const ParameterSource& source)
      : hidden_(add_linear("hidden", 2 * shape.dim, shape.hidden, source)),
        output_(add_linear("output", shape.hidden, shape.outputs, source)) {}
  at::Tensor forward(const at::Tensor& input, const Dropout& dropout) const override {
    return output_(drop(at::relu(hidden_(input)), dropout));
  }

 private:
  Linear hidden_;
  Linear output_;
};

/// Hidden layers of one width, each with ReLU and dropout.
class DeepHead final : public BaseHead {
 public:
  DeepHead(const HeadShape& shape, const ParameterSource& source) {
    for (std::int64_t i = 0; i < shape.layers; ++i) {
      hidden_.push_back(
          add_linear("hidden" + std::to_string(i), i == 0 ? 2 * shape.dim : shape.hidden, shape.hidden, source));
    }
    output_ = add_linear("output", shape.hidden, shape.outputs, source);
  }
  at::Tensor forward(const at::Tensor& input, const Dropout& dropout) const override {
    at::Tensor values = input;
    for (const Linear& layer : hidden_) values = drop(at::relu(layer(values)), dropout);
    return output_(values);
  }

 private:
  std::vector<Linear> hidden_;
  Linear output_;
};

/// Each vector is cut into tokens, each with a projection of its own; image tokens attend to text tokens and the other
/// way round, are added to what they attended to, and all together feed one hidden layer.
class AttentionHead final : public BaseHead {
 public:
  AttentionHead(const HeadShape& shape, const ParameterSource& source)
      : dim_(shape.dim),
        piece_((shape.dim + kTokens - 1) / kTokens),
        image_(add_side("image", source)),
        text_(add_side("text", source)),
        hidden_(add_linear("hidden", 2 * kTokens * kWidth, shape.hidden, source)),
        output_(add_linear("output", shape.hidden, shape.outputs, source)) {}
  at::Tensor forward(const at::Tensor& input, const Dropout& dropout) const override {
    const at::Tensor image = tokens(image_, input.narrow(1, 0, dim_));
    const at::Tensor text = tokens(text_, input.narrow(1, dim_, dim_));
    const at::Tensor both = at::cat({attend(image_, image, text), attend(text_, text, image)}, 1).flatten(1);
    return output_(drop(at::relu(hidden_(at::relu(both))), dropout));
  }

 private:
  static constexpr std::int64_t kTokens = kAttentionTokens, kWidth = kAttentionWidth, kHeads = kAttentionHeads;
  struct Side {
    at::Tensor cut, place;  ///< [tokens, piece, width], [tokens, 1, width]
    at::Tensor key;         ///< [width, width]: a bias would add the same to every token's weight
    Linear query, value, out;
  };
  Side add_side(const std::string& name, const ParameterSource& source) {
    const double bound = 1.0 / std::sqrt(static_cast<double>(piece_));
    Side side;
    side.cut = add(name + ".cut", {kTokens, piece_, kWidth}, bound, source);
    side.place = add(name + ".place", {kTokens, 1, kWidth}, bound, source);
    side.query = add_linear(name + ".query", kWidth, kWidth, source);
    side.key = add(name + ".key", {kWidth, kWidth}, 1.0 / std::sqrt(static_cast<double>(kWidth)), source);
    side.value = add_linear(name + ".value", kWidth, kWidth, source);
    side.out = add_linear(name + ".out", kWidth, kWidth, source);
    return side;
  }
  /// [N, dim] -> [N, tokens, width].
  [[nodiscard]] at::Tensor tokens(const Side& side, const at::Tensor& rows) const {
    const at::Tensor pieces = at::constant_pad_nd(rows, {0, kTokens * piece_ - dim_}).view({-1, kTokens, piece_});
    return (at::bmm(pieces.transpose(0, 1), side.cut) + side.place).transpose(0, 1);
  }
  [[nodiscard]] static at::Tensor attend(const Side& side, const at::Tensor& from, const at::Tensor& to) {
    const auto split = [](const at::Tensor& rows) {
      return rows.reshape({-1, kTokens, kHeads, kWidth / kHeads}).transpose(1, 2);
    };
    constexpr std::int64_t kDepth = kWidth / kHeads;
    const at::Tensor scale = at::full({}, 1.0 / std::sqrt(static_cast<double>(kDepth)), from.options());
    const at::Tensor weights =
        at::softmax(at::matmul(split(side.query(from)), split(at::linear(to, side.key)).transpose(2, 3)) * scale, -1);
    const at::Tensor seen = at::matmul(weights, split(side.value(to))).transpose(1, 2);
    return from + side.out(seen.reshape({-1, kTokens, kWidth}));
  }

  std::int64_t dim_, piece_;
  Side image_, text_;
  Linear hidden_;
  Linear output_;
};

/// A product of standardised components says where image and text point the same way, which a sum cannot.
class InteractionHead final : public BaseHead {
 public:
  InteractionHead(const HeadShape& shape, const ParameterSource& source)
      : dim_(shape.dim),
        hidden_(add_linear("hidden", 3 * shape.dim, shape.hidden, source)),
        output_(add_linear("output", shape.hidden, shape.outputs, source)) {}
  at::Tensor forward(const at::Tensor& input, const Dropout& dropout) const override {
    const at::Tensor product = input.narrow(1, 0, dim_) * input.narrow(1, dim_, dim_);
    return output_(drop(at::relu(hidden_(at::cat({input, product}, 1))), dropout));
  }

 private:
  std::int64_t dim_;
  Linear hidden_;
  Linear output_;
};

/// The seed's CNN: 2 * dim numbers, zero-padded to a multiple of 64, as a plane of 32 rows.
class CnnHead final : public BaseHead {
 public:
  CnnHead(const HeadShape& shape, const ParameterSource& source)
      : padded_((2 * shape.dim + 63) / 64 * 64),
        weights_{add("conv1.weight", {32, 1, 3, 3}, 1.0 / 3.0, source), add("conv1.bias", {32}, 1.0 / 3.0, source),
                 add("conv2.weight", {5, 32, 3, 3}, kBound2, source), add("conv2.bias", {5}, kBound2, source)},
        hidden_(add_linear("hidden", std::int64_t{5} * 16 * (padded_ / 64), shape.hidden, source)),
        output_(add_linear("output", shape.hidden, shape.outputs, source)) {}
  at::Tensor forward(const at::Tensor& input, const Dropout& dropout) const override {
    const at::Tensor plane =
        padded_ == input.size(1) ? input : at::constant_pad_nd(input, {0, padded_ - input.size(1)});
    return output_(drop(at::relu(hidden_(conv_plane(plane, weights_))), dropout));
  }

 private:
  static constexpr double kBound2 = 0.05892556509887896;  // 1 / sqrt(32 * 3 * 3)
  std::int64_t padded_;
  ConvPlaneWeights weights_;
  Linear hidden_;
  Linear output_;
};

/// An LSTM that reads the image vector, then the text vector; its last state is classified. The batch is the batch.
class LstmHead final : public BaseHead {
 public:
  LstmHead(const HeadShape& shape, const ParameterSource& source)
      : weights_{add("lstm.input_weight", {4 * kHidden, shape.dim}, kBound, source),
                 add("lstm.state_weight", {4 * kHidden, kHidden}, kBound, source),
                 add("lstm.input_bias", {4 * kHidden}, kBound, source),
                 add("lstm.state_bias", {4 * kHidden}, kBound, source)},
        output_(add_linear("output", kHidden, shape.outputs, source)) {}
  at::Tensor forward(const at::Tensor& input, const Dropout& dropout) const override {
    return output_(drop(two_step_lstm(input, weights_), dropout));
  }

 private:
  static constexpr std::int64_t kHidden = 100;
  static constexpr double kBound = 0.1;  // 1 / sqrt(kHidden)
  LstmWeights weights_;
  Linear output_;
};

/// 5 exp(scale) cos(image', text') + bias, where x' = x + up(down(x)) + shift. It starts as CLIP's own score (up and
/// shift are zero); the shift of the text lets the score also say how good an image is by itself.
class ClipHead final : public BaseHead {
 public:
  ClipHead(const HeadShape& shape, const ParameterSource& source)
      : dim_(shape.dim), image_(add_adapter("image", shape, source)), text_(add_adapter("text", shape, source)) {
    scale_ = add("scale", {1}, 0.0, source);
    bias_ = add("bias", {1}, 0.0, source);
  }
  at::Tensor forward(const at::Tensor& input, const Dropout& dropout) const override {
    const at::Tensor image = adapt(image_, input.narrow(1, 0, dim_), dropout);
    const at::Tensor text = adapt(text_, input.narrow(1, dim_, dim_), dropout);
    const at::Tensor cosine = (image * text).sum(1, /*keepdim=*/true);
    return at::exp(at::clamp_max(scale_ + kStartScale, kLargestScale)) * cosine + bias_;
  }

 private:
  struct Adapter {
    at::Tensor down, up, shift;
  };
  Adapter add_adapter(const std::string& name, const HeadShape& shape, const ParameterSource& source) {
    const double bound = 1.0 / std::sqrt(static_cast<double>(shape.dim));
    at::Tensor down = add(name + ".down", {shape.rank, shape.dim}, bound, source);
    at::Tensor up = add(name + ".up", {shape.dim, shape.rank}, 0.0, source);
    return {std::move(down), std::move(up), add(name + ".shift", {shape.dim}, 0.0, source)};
  }
  /// Unit rows.
  static at::Tensor adapt(const Adapter& adapter, const at::Tensor& rows, const Dropout& dropout) {
    const at::Tensor low = drop(at::linear(rows, adapter.down), dropout);
    const at::Tensor moved = rows + at::linear(low, adapter.up, adapter.shift);
    return moved / at::clamp_min((moved * moved).sum(1, /*keepdim=*/true), 1e-12).sqrt();
  }

  static constexpr double kStartScale = 1.6094379124341003;   // ln 5
  static constexpr double kLargestScale = 4.605170185988092;  // ln 100, CLIP's own limit
  std::int64_t dim_;
  Adapter image_, text_;
  at::Tensor scale_, bias_;
};

}  // namespace

at::Tensor Head::add(const std::string& name, const std::vector<std::int64_t>& shape, double bound,
                     const ParameterSource& source) {
  at::Tensor value = source(name, shape, bound);
  value.requires_grad_(true);
  parameters_.push_back({name, value, shape.size() > 1});
  return value;
}

ParameterSource random_parameters(std::uint64_t seed) {
  return [random = Random(seed, 0x68656164)](const std::string&, const std::vector<std::int64_t>& shape,
                                             double bound) mutable {
    at::Tensor value = at::zeros(shape, at::kFloat);
    auto* const out = value.data_ptr<float>();
    for (std::int64_t i = 0; bound > 0.0 && i < value.numel(); ++i) {
      out[i] = static_cast<float>(random.uniform(-bound, bound));
    }
    return value;
  };
}

std::unique_ptr<Head> make_head(const HeadShape& shape, const ParameterSource& source) {
  constexpr std::int64_t kMost = 1 << 16;
  const auto sensible = [](std::int64_t value) { return value > 0 && value <= kMost; };
  if (!sensible(shape.dim) || !sensible(shape.outputs) || !sensible(shape.hidden) || !sensible(shape.rank) ||
      !sensible(shape.layers)) {
    fail(ErrorCode::kInvalidArgument,
         "head {}: dim, outputs, hidden, rank and layers must be 1 to {}, found {}, {}, {}, {} and {}", shape.head,
         kMost, shape.dim, shape.outputs, shape.hidden, shape.rank, shape.layers);
  }
  if (shape.head == "mlp") return std::make_unique<MlpHead>(shape, source);
  if (shape.head == "cnn") return std::make_unique<CnnHead>(shape, source);
  if (shape.head == "lstm") return std::make_unique<LstmHead>(shape, source);
  if (shape.head == "deep") return std::make_unique<DeepHead>(shape, source);
  if (shape.head == "attention") return std::make_unique<AttentionHead>(shape, source);
  if (shape.head == "linear") return std::make_unique<LinearHead>(shape, source);
  if (shape.head == "interaction") return std::make_unique<InteractionHead>(shape, source);
  if (shape.head == "clip") return std::make_unique<ClipHead>(shape, source);
  (void)head_kind(shape.head);  // throws, naming the heads there are
  fail(ErrorCode::kInvalidArgument, "head {}: it has no network", shape.head);
}

}  // namespace imagerank::reward
