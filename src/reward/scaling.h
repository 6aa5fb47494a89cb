#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "reward/examples.h"
#include "reward/head_kinds.h"

namespace imagerank::reward {

/// The fixed transform between an encoder's vectors and a head's input row [image | text], each `dim` long.
/// Every row is prepared by itself, in one order of operations: what else is in a batch cannot change it.
class Scaler {
 public:
  /// Divides each half by its length.
  static Scaler unit_length(std::size_t dim);
  /// @param mean, inverse_deviation  float32 [2 * dim].
  static Scaler standardise(std::vector<float> mean, std::vector<float> inverse_deviation);
  /// Statistics of tables of which row i counts image_counts[i] (text_counts[i]) times. A component that does not
  /// vary is dropped (its inverse deviation is 0): nothing is known of what a change in it would mean.
  static Scaler fit(const VectorTable& images, std::span<const double> image_counts, const VectorTable& texts,
                    std::span<const double> text_counts);

  [[nodiscard]] std::size_t dim() const noexcept { return dim_; }
  [[nodiscard]] InputScaling kind() const noexcept { return kind_; }
  /// [2 * dim]; empty for kUnitLength.
  [[nodiscard]] const std::vector<float>& mean() const noexcept { return mean_; }
  [[nodiscard]] const std::vector<float>& inverse_deviation() const noexcept { return inverse_deviation_; }

  /// @param row  [dim]. @param out  [dim]; may be row itself.
  void prepare_image(std::span<const float> row, std::span<float> out) const;
  void prepare_text(std::span<const float> row, std::span<float> out) const;

 private:
  void prepare(std::span<const float> row, std::span<float> out, std::size_t offset) const;

  std::size_t dim_ = 0;
  InputScaling kind_ = InputScaling::kUnitLength;
  std::vector<float> mean_;
  std::vector<float> inverse_deviation_;
};

}  // namespace imagerank::reward
