#include "clip/untrained.h"

#include <algorithm>
#include <cmath>

namespace imagerank::clip {
namespace {

/// Largest singular value over that of random numbers of the same spread, by power iteration. @param weight  [M, N]
double edge_ratio(const torch::Tensor& weight) {
  const torch::Tensor matrix = weight.to(torch::kFloat32);
  const auto rows = static_cast<double>(matrix.size(0));
  const auto columns = static_cast<double>(matrix.size(1));
  const auto spread = matrix.std().item<double>();
  if (spread == 0.0) return 1.0;
  // A fixed start: the answer must not change from run to run.
  torch::Tensor direction = torch::linspace(-1.0, 1.0, matrix.size(1)).cos();
  direction = direction / direction.norm();
  double largest = 0.0;
  constexpr int kIterations = 30;
  for (int i = 0; i < kIterations; ++i) {
    const torch::Tensor image = matrix.mv(direction);
    direction = matrix.t().mv(image);
    const auto norm = direction.norm().item<double>();
    if (norm == 0.0) return 1.0;
    direction = direction / norm;
    largest = std::sqrt(norm);
  }
  return largest / (spread * (std::sqrt(rows) + std::sqrt(columns)));
}

}  // namespace

bool weights_look_random(const ClipModel& model) {
  const torch::InferenceMode guard;
  constexpr double kEdge = 1.12;  // what random matrices of a tiny tower's size reach by chance is below 1.05
  const auto random = [&](const std::vector<TransformerLayer>& layers) {
    return std::ranges::none_of(layers, [](const TransformerLayer& layer) {
      return edge_ratio(layer->fc1_weight) > kEdge || edge_ratio(layer->fc2_weight) > kEdge;
    });
  };
  return random(model->vision->layers) && random(model->text->layers);
}

}  // namespace imagerank::clip
