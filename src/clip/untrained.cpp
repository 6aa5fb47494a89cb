#include "clip/untrained.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include <cmath>
#include <string>
#include <vector>

namespace imagerank::clip {
namespace {

/// Largest singular value over that of random numbers of the same spread, by power iteration.
double edge_ratio(std::vector<float> weight, std::int64_t matrix_rows, std::int64_t matrix_columns) {
  const torch::Tensor matrix = torch::from_blob(weight.data(), {matrix_rows, matrix_columns});
  const auto rows = static_cast<double>(matrix_rows);
  const auto columns = static_cast<double>(matrix_columns);
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

bool weights_look_random(const ParameterReader& read, const TowerConfig& vision, const TowerConfig& text) {
  const torch::InferenceMode guard;
  constexpr double kEdge = 1.12;  // what random matrices of a tiny tower's size reach by chance is below 1.05
  const auto random = [&](const std::string& tower, const TowerConfig& config) {
    for (std::int64_t i = 0; i < config.layers; ++i) {
      const std::string layer = fmt::format("{}.layer{}.", tower, i);
      if (edge_ratio(read(layer + "fc1_weight"), config.mlp_width, config.width) > kEdge ||
          edge_ratio(read(layer + "fc2_weight"), config.width, config.mlp_width) > kEdge) {
        return false;
      }
    }
    return true;
  };
  return random("vision", vision) && random("text", text);
}

bool weights_look_random(const WeightReader& weights) {
  return weights_look_random([&](const std::string& parameter) { return weights.read(parameter); },
                             weights.config().vision, weights.config().text);
}

}  // namespace imagerank::clip
