#pragma once

#include <cstdint>
#include <span>

namespace imagerank::reward {

/// One step's settings; `step` counts from 1.
struct AdamStep {
  double learning_rate = 1e-3;
  double weight_decay = 0.0;
  bool decoupled = true;         ///< AdamW: decay acts on the parameter; false, Adam: it is added to the gradient
  double gradient_factor = 1.0;  ///< what the gradient is multiplied with first: clipping
  std::int64_t step = 1;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
};

/// Adam or AdamW in one pass over memory: parameter, both moments [N] are updated in place from the gradient [N].
/// Element by element, no sum over elements: the result does not depend on threads.
/// Source: Kingma, Ba 2015; Loshchilov, Hutter 2019 (decoupled decay). Agrees with torch::optim::Adam and AdamW.
void adam_update(const AdamStep& settings, std::span<float> parameter, std::span<float> first_moment,
                 std::span<float> second_moment, std::span<const float> gradient);

}  // namespace imagerank::reward
