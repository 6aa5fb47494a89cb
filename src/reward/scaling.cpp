#include "reward/scaling.h"

#include <cmath>
#include <utility>

namespace imagerank::reward {
namespace {

/// Mean and inverse standard deviation of one table's columns, to offset.. of the outputs.
void column_statistics(std::size_t dim, std::span<const float> values, std::span<const double> counts,
                       std::size_t offset, std::vector<float>& mean, std::vector<float>& inverse) {
  std::vector<double> sum(dim, 0.0);
  std::vector<double> squares(dim, 0.0);
  double total = 0.0;
  for (std::size_t row = 0; row < counts.size(); ++row) {
    if (counts[row] <= 0.0) continue;
    total += counts[row];
    for (std::size_t i = 0; i < dim; ++i) sum[i] += counts[row] * values[row * dim + i];
  }
  if (total <= 0.0) return;
  for (double& value : sum) value /= total;
  for (std::size_t row = 0; row < counts.size(); ++row) {
    if (counts[row] <= 0.0) continue;
    for (std::size_t i = 0; i < dim; ++i) {
      const double difference = values[row * dim + i] - sum[i];
      squares[i] += counts[row] * difference * difference;
    }
  }
  double mean_deviation = 0.0;
  for (double& value : squares) {
    value = std::sqrt(value / total);
    mean_deviation += value / static_cast<double>(dim);
  }
  for (std::size_t i = 0; i < dim; ++i) {
    mean[offset + i] = static_cast<float>(sum[i]);
    const bool varies = squares[i] > 1e-4 * mean_deviation;
    inverse[offset + i] = varies ? static_cast<float>(1.0 / squares[i]) : 0.0F;
  }
}

}  // namespace

Scaler Scaler::unit_length(std::size_t dim) {
  Scaler scaler;
  scaler.dim_ = dim;
  return scaler;
}

Scaler Scaler::standardise(std::vector<float> mean, std::vector<float> inverse_deviation) {
  Scaler scaler;
  scaler.dim_ = mean.size() / 2;
  scaler.kind_ = InputScaling::kStandardise;
  scaler.mean_ = std::move(mean);
  scaler.inverse_deviation_ = std::move(inverse_deviation);
  return scaler;
}

Scaler Scaler::fit(std::size_t dim, std::span<const float> images, std::span<const double> image_counts,
                   std::span<const float> texts, std::span<const double> text_counts) {
  std::vector<float> mean(2 * dim, 0.0F);
  std::vector<float> inverse(2 * dim, 0.0F);
  column_statistics(dim, images, image_counts, 0, mean, inverse);
  column_statistics(dim, texts, text_counts, dim, mean, inverse);
  return standardise(std::move(mean), std::move(inverse));
}

void Scaler::prepare(std::span<const float> row, std::span<float> out, std::size_t offset) const {
  if (kind_ == InputScaling::kStandardise) {
    for (std::size_t i = 0; i < dim_; ++i) out[i] = (row[i] - mean_[offset + i]) * inverse_deviation_[offset + i];
    return;
  }
  double squares = 0.0;
  for (const float value : row) squares += static_cast<double>(value) * value;
  const auto inverse = static_cast<float>(squares > 0.0 ? 1.0 / std::sqrt(squares) : 0.0);
  for (std::size_t i = 0; i < dim_; ++i) out[i] = row[i] * inverse;
}

void Scaler::prepare_image(std::span<const float> row, std::span<float> out) const { prepare(row, out, 0); }
void Scaler::prepare_text(std::span<const float> row, std::span<float> out) const { prepare(row, out, dim_); }

}  // namespace imagerank::reward
