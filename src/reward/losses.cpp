#include "reward/losses.h"

#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>

namespace imagerank::reward {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// A batch's loss is a few hundred numbers: as one node each instead of one an operation, these two take a step some
// tenth of a millisecond less.

/// -log softmax(outputs)[label]: outputs [N, C], labels int64 [N] -> [N].
class HardCrossEntropy : public torch::autograd::Function<HardCrossEntropy> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& outputs, const at::Tensor& labels) {
    const at::Tensor log_probabilities = at::log_softmax(outputs, 1);
    context->save_for_backward({log_probabilities, labels});
    return -log_probabilities.gather(1, labels.unsqueeze(1)).squeeze(1);
  }
  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    at::Tensor slopes = saved[0].exp();
    if (slopes.scalar_type() == at::kFloat) {
      slope<float>(slopes, saved[1].contiguous(), gradients[0].contiguous());
    } else {
      slope<double>(slopes, saved[1].contiguous(), gradients[0].contiguous());
    }
    return {slopes, at::Tensor()};
  }

 private:
  /// In place: probabilities, less 1 at the label, times the row's gradient.
  template <typename Number>
  static void slope(const at::Tensor& probabilities, const at::Tensor& labels, const at::Tensor& by_row) {
    const std::int64_t classes = probabilities.size(1);
    auto* row = probabilities.data_ptr<Number>();
    for (std::int64_t i = 0; i < probabilities.size(0); ++i, row += classes) {
      row[labels.data_ptr<std::int64_t>()[i]] -= Number{1};
      for (std::int64_t c = 0; c < classes; ++c) row[c] *= by_row.data_ptr<Number>()[i];
    }
  }
};

/// Weights have no gradient.
class WeightedMean : public torch::autograd::Function<WeightedMean> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& rows, const at::Tensor& weights) {
    const at::Tensor shares = weights / weights.sum();
    context->save_for_backward({shares});
    return (rows * shares).sum();
  }
  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    return {gradients[0] * context->get_saved_variables()[0], at::Tensor()};
  }
};

/// Entropy of each row of probabilities [N, C]; 0 log 0 is 0.
at::Tensor entropy(const at::Tensor& targets) { return -at::xlogy(targets, targets).sum(1); }

at::Tensor smoothed(const at::Tensor& targets, double smoothing, double towards) {
  return smoothing > 0.0 ? targets * (1.0 - smoothing) + smoothing * towards : targets;
}

/// Cross-entropy of log probabilities [N, C] under targets [N, C], less the targets' entropy.
at::Tensor divergence(const at::Tensor& log_probabilities, const at::Tensor& targets) {
  return -(targets * log_probabilities).sum(1) - entropy(targets);
}

}  // namespace

at::Tensor squared_error(const at::Tensor& outputs, const at::Tensor& labels) {
  const at::Tensor difference = outputs.squeeze(1) - labels;
  return difference * difference;
}

at::Tensor cross_entropy(const at::Tensor& outputs, const at::Tensor& labels, double smoothing) {
  if (smoothing <= 0.0) return HardCrossEntropy::apply(outputs, labels);
  const at::Tensor log_probabilities = at::log_softmax(outputs, 1);
  const at::Tensor right = -log_probabilities.gather(1, labels.unsqueeze(1)).squeeze(1);
  return (1.0 - smoothing) * right - smoothing * log_probabilities.mean(1);
}

at::Tensor binary_loss(const at::Tensor& outputs, const at::Tensor& labels, double smoothing) {
  const at::Tensor logits = outputs.squeeze(1);
  return at::softplus(logits) - smoothed(labels, smoothing, 0.5) * logits;
}

at::Tensor bradley_terry(const at::Tensor& difference, const at::Tensor& p_a, double smoothing) {
  const at::Tensor target = smoothed(p_a, smoothing, 0.5);
  // -p log s(d) - (1-p) log s(-d) = softplus(d) - p d
  return at::softplus(difference) - target * difference - entropy(at::stack({target, 1.0 - target}, 1));
}

at::Tensor outcome_targets(const at::Tensor& p_a, double smoothing) {
  const at::Tensor lead = 2.0 * p_a - 1.0;
  const at::Tensor hard = at::stack({at::relu(lead), at::relu(-lead), 1.0 - lead.abs()}, 1);
  return smoothed(hard, smoothing, 1.0 / 3.0);
}

at::Tensor davidson(const at::Tensor& difference, const at::Tensor& p_a, const at::Tensor& log_width,
                    double smoothing) {
  const at::Tensor half = 0.5 * difference;
  const at::Tensor logits = at::stack({half, -half, log_width.expand_as(half)}, 1);
  return divergence(at::log_softmax(logits, 1), outcome_targets(p_a, smoothing));
}

at::Tensor rao_kupper(const at::Tensor& difference, const at::Tensor& p_a, const at::Tensor& raw_width,
                      double smoothing) {
  const at::Tensor width = at::softplus(raw_width);
  const at::Tensor a = at::log_sigmoid(difference - width);
  const at::Tensor b = at::log_sigmoid(-difference - width);
  // p(tie) = (e^(2w) - 1) p(a) p(b)
  const at::Tensor tie = 2.0 * width + at::log(-at::expm1(-2.0 * width)) + a + b;
  return divergence(at::stack({a, b, tie}, 1), outcome_targets(p_a, smoothing));
}

at::Tensor plackett_luce(const at::Tensor& utilities, const at::Tensor& levels, double smoothing) {
  const double hidden = -1e30;  // its exponential is 0, and unlike infinity it makes no NaN in a list that is over
  at::Tensor total = at::zeros({utilities.size(0)}, utilities.options());
  const at::Tensor ordered = levels.masked_fill(levels.ge(kUnordered), -1.0);
  const auto stages = static_cast<std::int64_t>(ordered.max().item<double>()) + 1;
  for (std::int64_t stage = 0; stage < stages; ++stage) {
    const auto level = static_cast<double>(stage);
    const at::Tensor chosen = levels.eq(level).to(utilities.scalar_type());
    const at::Tensor open = levels.ge(level).logical_and(levels.lt(kNoImage)).to(utilities.scalar_type());
    const at::Tensor chosen_count = chosen.sum(1, /*keepdim=*/true);
    const at::Tensor open_count = open.sum(1, /*keepdim=*/true);
    const at::Tensor target =
        smoothed(chosen / chosen_count.clamp_min(1.0), smoothing, 0.0) + smoothing * open / open_count.clamp_min(1.0);
    const at::Tensor log_shares = at::log_softmax(utilities.masked_fill(open.eq(0.0), hidden), 1);
    const at::Tensor loss = divergence(log_shares.masked_fill(open.eq(0.0), 0.0), target);
    total = total + at::where(chosen_count.squeeze(1).gt(0.0), loss, at::zeros_like(loss));
  }
  return total;
}

at::Tensor prompt_classification(const at::Tensor& right, const at::Tensor& wrong, const at::Tensor& known,
                                 double temperature) {
  const at::Tensor others = (wrong / temperature).masked_fill(known.eq(0.0), -1e30);
  const at::Tensor logits = at::cat({(right / temperature).unsqueeze(1), others}, 1);
  return -at::log_softmax(logits, 1).select(1, 0);
}

double prompt_classification_floor(double range, double temperature, std::size_t wrong_count) noexcept {
  return std::log1p(static_cast<double>(wrong_count) * std::exp(-range / temperature));
}

at::Tensor weighted_mean(const at::Tensor& rows, const at::Tensor& weights) {
  return WeightedMean::apply(rows, weights);
}

}  // namespace imagerank::reward
