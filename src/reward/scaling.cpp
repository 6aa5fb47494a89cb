#include "reward/scaling.h"

#include <array>
#include <cmath>
#include <numeric>
#include <utility>

namespace imagerank::reward {
namespace {

/// Mean and inverse standard deviation of one table's columns, to offset.. of the outputs.
void column_statistics(const VectorTable& table, std::span<const double> counts, std::size_t offset,
                       std::vector<float>& mean, std::vector<float>& inverse) {
  const std::size_t dim = table.dim;
  std::vector<float> values(dim);
  std::vector<double> sum(dim, 0.0);
  std::vector<double> squares(dim, 0.0);
  double total = 0.0;
  for (std::size_t row = 0; row < counts.size(); ++row) {
    if (counts[row] <= 0.0) continue;
    total += counts[row];
    table.copy_row(row, values);
    for (std::size_t i = 0; i < dim; ++i) sum[i] += counts[row] * values[i];
  }
  if (total <= 0.0) return;
  for (double& value : sum) value /= total;
  for (std::size_t row = 0; row < counts.size(); ++row) {
    if (counts[row] <= 0.0) continue;
    table.copy_row(row, values);
    for (std::size_t i = 0; i < dim; ++i) {
      const double difference = values[i] - sum[i];
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

Scaler Scaler::fit(const VectorTable& images, std::span<const double> image_counts, const VectorTable& texts,
                   std::span<const double> text_counts) {
  std::vector<float> mean(2 * images.dim, 0.0F);
  std::vector<float> inverse(2 * images.dim, 0.0F);
  column_statistics(images, image_counts, 0, mean, inverse);
  column_statistics(texts, text_counts, images.dim, mean, inverse);
  return standardise(std::move(mean), std::move(inverse));
}

void Scaler::prepare(std::span<const float> row, std::span<float> out, std::size_t offset) const {
  if (kind_ == InputScaling::kStandardise) {
    for (std::size_t i = 0; i < dim_; ++i) out[i] = (row[i] - mean_[offset + i]) * inverse_deviation_[offset + i];
    return;
  }
  // Eight sums side by side, always in this order: a single one would wait for itself.
  std::array<double, 8> partial = {};
  std::size_t at = 0;
  for (; at + 8 <= dim_; at += 8) {
    for (std::size_t i = 0; i < 8; ++i) partial[i] += static_cast<double>(row[at + i]) * row[at + i];
  }
  for (; at < dim_; ++at) partial[0] += static_cast<double>(row[at]) * row[at];
  const double squares = std::accumulate(partial.begin(), partial.end(), 0.0);
  const auto inverse = static_cast<float>(squares > 0.0 ? 1.0 / std::sqrt(squares) : 0.0);
  for (std::size_t i = 0; i < dim_; ++i) out[i] = row[i] * inverse;
}

void Scaler::prepare_image(std::span<const float> row, std::span<float> out) const { prepare(row, out, 0); }
void Scaler::prepare_text(std::span<const float> row, std::span<float> out) const { prepare(row, out, dim_); }

}  // namespace imagerank::reward
