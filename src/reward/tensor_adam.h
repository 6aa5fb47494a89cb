#pragma once

#include <torch/types.h>

#include "reward/optimizer.h"

namespace imagerank::reward {

/// adam_update for tensors of one shape, float32 and contiguous, wherever they are: in one pass on the CPU, by
/// libtorch's operations on a device.
void adam_update(const AdamStep& settings, torch::Tensor& parameter, torch::Tensor& first_moment,
                 torch::Tensor& second_moment, const torch::Tensor& gradient);
/// The latter, on any device. Agrees with the former but for rounding.
void adam_update_by_operations(const AdamStep& settings, torch::Tensor& parameter, torch::Tensor& first_moment,
                               torch::Tensor& second_moment, const torch::Tensor& gradient);

}  // namespace imagerank::reward
