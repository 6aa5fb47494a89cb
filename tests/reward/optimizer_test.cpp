#include "reward/optimizer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace imagerank::reward {
namespace {

TEST(AdamW, FirstStepByHand) {
  // m = 0.1 g, v = 0.001 g^2; corrected both are g and g^2: the step is lr * sign(g), after the decay of 1 - lr * wd.
  std::vector<float> parameter = {1.0F, -2.0F};
  std::vector<float> first(2, 0.0F);
  std::vector<float> second(2, 0.0F);
  const std::vector<float> gradient = {0.5F, -4.0F};
  adam_update({.learning_rate = 0.1, .weight_decay = 0.2, .step = 1}, parameter, first, second, gradient);
  EXPECT_NEAR(parameter[0], 1.0 * 0.98 - 0.1, 1e-6);
  EXPECT_NEAR(parameter[1], -2.0 * 0.98 + 0.1, 1e-6);
  EXPECT_NEAR(first[0], 0.05, 1e-7);
  EXPECT_NEAR(second[1], 0.016, 1e-7);
}

TEST(AdamW, AgreesWithTheFormulaInDoubleOverSteps) {
  constexpr std::size_t kCount = 37;  // no multiple of any vector width
  std::vector<float> parameter(kCount);
  std::vector<double> exact(kCount);
  for (std::size_t i = 0; i < kCount; ++i)
    exact[i] = parameter[i] = static_cast<float>(std::sin(1.0 + static_cast<double>(i)));
  std::vector<float> first(kCount, 0.0F);
  std::vector<float> second(kCount, 0.0F);
  std::vector<double> m(kCount, 0.0);
  std::vector<double> v(kCount, 0.0);
  for (int step = 1; step <= 20; ++step) {
    std::vector<float> gradient(kCount);
    for (std::size_t i = 0; i < kCount; ++i) {
      gradient[i] = static_cast<float>(std::cos(0.3 * step + static_cast<double>(i)));
      const double g = gradient[i];
      m[i] = 0.9 * m[i] + 0.1 * g;
      v[i] = 0.999 * v[i] + 0.001 * g * g;
      const double m_hat = m[i] / (1.0 - std::pow(0.9, step));
      const double v_hat = v[i] / (1.0 - std::pow(0.999, step));
      exact[i] = exact[i] * (1.0 - 1e-3) - 1e-2 * m_hat / (std::sqrt(v_hat) + 1e-8);
    }
    adam_update({.learning_rate = 1e-2, .weight_decay = 0.1, .step = step}, parameter, first, second, gradient);
  }
  for (std::size_t i = 0; i < kCount; ++i) EXPECT_NEAR(parameter[i], exact[i], 2e-6) << i;
}

TEST(Adam, DecayIsPartOfTheGradientAndClippingScalesIt) {
  // g = 0.5 * 4 + 0.2 * 1 = 2.2 and 0.5 * -4 + 0.2 * -2 = -2.4: the first step is lr * sign(g), the moments show g.
  std::vector<float> parameter = {1.0F, -2.0F};
  std::vector<float> first(2, 0.0F);
  std::vector<float> second(2, 0.0F);
  const std::vector<float> gradient = {4.0F, -4.0F};
  adam_update({.learning_rate = 0.1, .weight_decay = 0.2, .decoupled = false, .gradient_factor = 0.5, .step = 1},
              parameter, first, second, gradient);
  EXPECT_NEAR(parameter[0], 0.9, 1e-6);
  EXPECT_NEAR(parameter[1], -1.9, 1e-6);
  EXPECT_NEAR(first[0], 0.22, 1e-6);
  EXPECT_NEAR(second[1], 0.001 * 2.4 * 2.4, 1e-7);
}

}  // namespace
}  // namespace imagerank::reward
