#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace imagerank::evaluation {

/// Labelled rows of a vector table: row indices and their labels, both [N].
struct LabelledRows {
  std::vector<std::uint32_t> rows;
  std::vector<std::int32_t> labels;
};

/// A linear classifier in closed form: what one side alone (the image, or the prompt) says of the label.
struct RidgeModel {
  std::size_t dim = 0;
  std::int32_t class_count = 0;
  double penalty = 0.0;         ///< relative to the mean variance of a coordinate; as chosen
  std::vector<double> weights;  ///< [class_count, dim]
  std::vector<double> bias;     ///< [class_count]

  /// @param vector  [dim], as the encoder gave it. @return [class_count], sums to 1, not clipped to 0..1.
  [[nodiscard]] std::vector<double> scores(std::span<const float> vector) const;
};

/// Least squares from L2-normalised vectors to one-hot labels, with an intercept that is not penalised. Of the
/// penalties 10^-3 ... 10^3 the one with the least squared error on validation is taken; 1 where validation is empty.
/// The sum over c of c * scores[c] is ridge regression on the label itself.
/// @param vectors  float32 [V, dim]. Rows that repeat cost nothing more.
/// @throws Error kInvalidArgument without training rows, or for a row or label out of range.
/// Source: Hoerl and Kennard 1970.
[[nodiscard]] RidgeModel fit_ridge(std::span<const float> vectors, std::size_t dim, std::int32_t class_count,
                                   const LabelledRows& train, const LabelledRows& validation);

}  // namespace imagerank::evaluation
