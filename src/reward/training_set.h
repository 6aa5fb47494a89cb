#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "reward/examples.h"
#include "reward/head_kinds.h"
#include "reward/scaling.h"

namespace imagerank::reward {

/// How much a row counts.
struct Weighting {
  std::vector<double> class_weights = {};  ///< one a label, for losses that read points; empty: all 1
  bool balanced = false;                   ///< class weights from the train split: rows / (classes * rows of the class)
  bool per_prompt = false;  ///< divided by the number of the split's rows of the same prompt, as PickScore does
};

/// What a loss reads of a split, of one kind: points, pairs or lists.
struct Units {
  std::vector<LabelledPoint> points;
  std::vector<PreferencePair> pairs;
  std::vector<PreferenceList> lists;
  std::vector<float> weights;  ///< one a unit, > 0

  [[nodiscard]] std::size_t size() const noexcept { return weights.size(); }
};

/// The rows to train on and to choose the epoch by, and the transform of the vectors.
struct TrainingSet {
  const Examples* examples = nullptr;
  Scaler scaler;
  Units train;
  Units validation;
  std::vector<double> class_weights;  ///< as used; empty: all 1
  std::vector<std::string> warnings;  ///< what is odd about the split, one line each

  /// Rows [image | text], prepared. @param out  [image_rows.size(), 2 * dim].
  void gather(std::span<const std::uint32_t> image_rows, std::span<const std::uint32_t> text_rows, float* out) const;
};

/// "points", "pairs" or "rankings".
[[nodiscard]] const char* unit_name(Loss loss) noexcept;

/// @param examples  outlives the result. @param limit  first N of a seeded shuffle of the train split (nested: a larger
/// N holds a smaller one); 0: all. Statistics for the scaler come from the rows kept, never from validation or test.
/// Units of weight 0 are left out.
/// @throws Error kNotFound if nothing is left to train on, or nothing to tell apart (points of one label, pairs that
/// are all ties); kInvalidArgument for class weights that do not fit; kCorruptData for indices, labels or vectors out
/// of range, naming the row.
[[nodiscard]] TrainingSet make_training_set(const Examples& examples, InputScaling scaling, Loss loss,
                                            const Weighting& weighting, std::uint64_t limit, std::uint64_t seed);

/// SHA-256 over everything that training reads: the vectors in use, train and validation rows, wrong prompts.
[[nodiscard]] std::string fingerprint(const Examples& examples);

}  // namespace imagerank::reward
