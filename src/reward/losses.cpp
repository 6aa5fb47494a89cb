#include "reward/losses.h"

namespace imagerank::reward {

at::Tensor squared_error(const at::Tensor& outputs, const at::Tensor& labels) {
  const at::Tensor difference = outputs.squeeze(1) - labels;
  return (difference * difference).mean();
}

at::Tensor cross_entropy(const at::Tensor& outputs, const at::Tensor& labels) {
  return at::nll_loss(at::log_softmax(outputs, 1), labels);
}

at::Tensor binary_loss(const at::Tensor& outputs, const at::Tensor& labels) {
  return at::binary_cross_entropy_with_logits(outputs.squeeze(1), labels);
}

at::Tensor bradley_terry(const at::Tensor& utility_a, const at::Tensor& utility_b, const at::Tensor& p_a,
                         const at::Tensor& weights) {
  const at::Tensor difference = (utility_a - utility_b).squeeze(1);
  // -p log s(d) - (1-p) log s(-d) = softplus(d) - p d
  return (weights * (at::softplus(difference) - p_a * difference)).sum() / weights.sum();
}

}  // namespace imagerank::reward
