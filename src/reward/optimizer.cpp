#include "reward/optimizer.h"

#include <cmath>
#include <cstddef>

namespace imagerank::reward {
namespace {

struct Constants {
  float decay, coupled_decay, gradient_factor, beta1, beta2, rest1, rest2, step_size, inverse_root_correction2, epsilon;
};

__attribute__((always_inline)) inline void update(const Constants& c, std::size_t count, float* __restrict parameter,
                                                  float* __restrict first, float* __restrict second,
                                                  const float* __restrict gradient) {
  for (std::size_t i = 0; i < count; ++i) {
    const float g = gradient[i] * c.gradient_factor + c.coupled_decay * parameter[i];
    const float m = c.beta1 * first[i] + c.rest1 * g;
    const float v = c.beta2 * second[i] + c.rest2 * g * g;
    first[i] = m;
    second[i] = v;
    parameter[i] = parameter[i] * c.decay - c.step_size * m / (std::sqrt(v) * c.inverse_root_correction2 + c.epsilon);
  }
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) void update_avx2(const Constants& c, std::size_t count, float* parameter, float* first,
                                                 float* second, const float* gradient) {
  update(c, count, parameter, first, second, gradient);
}

__attribute__((target("avx512f,prefer-vector-width=512"))) void update_avx512(const Constants& c, std::size_t count,
                                                                              float* parameter, float* first,
                                                                              float* second, const float* gradient) {
  update(c, count, parameter, first, second, gradient);
}
#endif

void update_plain(const Constants& c, std::size_t count, float* parameter, float* first, float* second,
                  const float* gradient) {
  update(c, count, parameter, first, second, gradient);
}

}  // namespace

void adam_update(const AdamStep& settings, std::span<float> parameter, std::span<float> first_moment,
                 std::span<float> second_moment, std::span<const float> gradient) {
  const auto step = static_cast<double>(settings.step);
  const double correction1 = 1.0 - std::pow(settings.beta1, step);
  const double correction2 = 1.0 - std::pow(settings.beta2, step);
  const Constants constants{
      .decay = static_cast<float>(settings.decoupled ? 1.0 - settings.learning_rate * settings.weight_decay : 1.0),
      .coupled_decay = static_cast<float>(settings.decoupled ? 0.0 : settings.weight_decay),
      .gradient_factor = static_cast<float>(settings.gradient_factor),
      .beta1 = static_cast<float>(settings.beta1),
      .beta2 = static_cast<float>(settings.beta2),
      .rest1 = static_cast<float>(1.0 - settings.beta1),
      .rest2 = static_cast<float>(1.0 - settings.beta2),
      .step_size = static_cast<float>(settings.learning_rate / correction1),
      .inverse_root_correction2 = static_cast<float>(1.0 / std::sqrt(correction2)),
      .epsilon = static_cast<float>(settings.epsilon),
  };
  float* const values = parameter.data();
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) {
    update_avx512(constants, parameter.size(), values, first_moment.data(), second_moment.data(), gradient.data());
    return;
  }
  if (__builtin_cpu_supports("avx2")) {
    update_avx2(constants, parameter.size(), values, first_moment.data(), second_moment.data(), gradient.data());
    return;
  }
#endif
  update_plain(constants, parameter.size(), values, first_moment.data(), second_moment.data(), gradient.data());
}

}  // namespace imagerank::reward
