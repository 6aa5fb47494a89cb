#include "reward/tensor_adam.h"

#include <gtest/gtest.h>

#include <array>

namespace imagerank::reward {
namespace {

/// Parameter and both moments after twenty steps.
std::array<torch::Tensor, 3> after_steps(AdamStep settings, bool by_operations) {
  torch::manual_seed(1);
  std::array<torch::Tensor, 3> state = {torch::randn({7, 5}), torch::zeros({7, 5}), torch::zeros({7, 5})};
  for (settings.step = 1; settings.step <= 20; ++settings.step) {
    const torch::Tensor gradient = torch::randn({7, 5});
    const auto update =
        by_operations ? &adam_update_by_operations : static_cast<decltype(&adam_update_by_operations)>(&adam_update);
    update(settings, state[0], state[1], state[2], gradient);
  }
  return state;
}

TEST(TensorAdam, OperationsDoWhatOnePassDoes) {
  for (const bool decoupled : {true, false}) {
    const AdamStep settings{.learning_rate = 1e-2, .weight_decay = 0.1, .decoupled = decoupled, .gradient_factor = 0.5};
    const auto one_pass = after_steps(settings, false);
    const auto operations = after_steps(settings, true);
    for (std::size_t i = 0; i < one_pass.size(); ++i) {
      EXPECT_TRUE(torch::allclose(one_pass[i], operations[i], 1e-5, 1e-6)) << i << (decoupled ? " AdamW" : " Adam");
      EXPECT_GT(one_pass[i].abs().sum().item<float>(), 0.0F);
    }
  }
}

}  // namespace
}  // namespace imagerank::reward
