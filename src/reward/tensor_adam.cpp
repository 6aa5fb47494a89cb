#include "reward/tensor_adam.h"

#include <cmath>
#include <span>

namespace imagerank::reward {
namespace {

std::span<float> numbers(const torch::Tensor& tensor) {
  return {tensor.data_ptr<float>(), static_cast<std::size_t>(tensor.numel())};
}

}  // namespace

void adam_update(const AdamStep& settings, torch::Tensor& parameter, torch::Tensor& first_moment,
                 torch::Tensor& second_moment, const torch::Tensor& gradient) {
  if (parameter.is_cpu()) {
    adam_update(settings, numbers(parameter), numbers(first_moment), numbers(second_moment), numbers(gradient));
  } else {
    adam_update_by_operations(settings, parameter, first_moment, second_moment, gradient);
  }
}

void adam_update_by_operations(const AdamStep& settings, torch::Tensor& parameter, torch::Tensor& first_moment,
                               torch::Tensor& second_moment, const torch::Tensor& gradient) {
  const torch::NoGradGuard guard;
  const auto step = static_cast<double>(settings.step);
  torch::Tensor scaled = gradient * settings.gradient_factor;
  if (!settings.decoupled) scaled.add_(parameter, settings.weight_decay);
  first_moment.mul_(settings.beta1).add_(scaled, 1.0 - settings.beta1);
  second_moment.mul_(settings.beta2).addcmul_(scaled, scaled, 1.0 - settings.beta2);
  const torch::Tensor root =
      second_moment.sqrt().mul_(1.0 / std::sqrt(1.0 - std::pow(settings.beta2, step))).add_(settings.epsilon);
  if (settings.decoupled) parameter.mul_(1.0 - settings.learning_rate * settings.weight_decay);
  parameter.addcdiv_(first_moment, root, -settings.learning_rate / (1.0 - std::pow(settings.beta1, step)));
}

}  // namespace imagerank::reward
