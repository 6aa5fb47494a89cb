#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "reward/examples.h"
#include "reward/head_kinds.h"
#include "reward/scaling.h"

namespace imagerank::reward {

/// Prepared tables (what heads read) and the rows of them to train on.
struct TrainingSet {
  Scaler scaler;
  std::vector<float> images;          ///< [rows, dim], prepared
  std::vector<float> texts;           ///< [rows, dim], prepared
  std::vector<LabelledPoint> points;  ///< train points; empty for a pair loss
  std::vector<PreferencePair> pairs;  ///< train pairs; empty for a point loss

  [[nodiscard]] std::size_t size() const noexcept { return points.empty() ? pairs.size() : points.size(); }
};

/// @param limit  first N of a seeded shuffle of the train split (nested: a larger N holds a smaller one); 0: all.
/// Statistics for the scaler come from the rows kept, never from validation or test.
/// @throws Error kNotFound if nothing is left to train on, kCorruptData for indices, labels or vectors out of range.
[[nodiscard]] TrainingSet make_training_set(const Examples& examples, InputScaling scaling, Loss loss,
                                            std::uint64_t limit, std::uint64_t seed);

/// SHA-256 over everything that training reads: vectors, train and validation points and pairs.
[[nodiscard]] std::string fingerprint(const Examples& examples);

/// Copies rows [image | text] of prepared tables. @param out  [image_rows.size(), 2 * dim].
void gather_rows(const TrainingSet& set, std::span<const std::uint32_t> image_rows,
                 std::span<const std::uint32_t> text_rows, float* out);

}  // namespace imagerank::reward
