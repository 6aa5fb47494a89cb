#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace imagerank::reward {

enum class Split : std::uint8_t { kTrain, kValidation, kTest };
inline constexpr std::size_t kSplitCount = 3;

/// Vectors as the encoder's cache keeps them: rounded through float16, not normalised.
struct VectorTable {
  std::size_t dim = 0;
  std::vector<float> values;  ///< [rows, dim]
};

/// Indices are rows of Examples::images and Examples::texts.
struct LabelledPoint {
  std::uint32_t image = 0;
  std::uint32_t text = 0;
  std::int32_t label = 0;  ///< 0..2, or 0..1 for the binary variants
};

struct PreferencePair {
  std::uint32_t image_a = 0;
  std::uint32_t image_b = 0;
  std::uint32_t text = 0;
  float p_a = 0.5F;  ///< probability that a is preferred
  float weight = 1.0F;
};

/// What a head is trained and measured on.
struct Examples {
  VectorTable images;
  VectorTable texts;
  std::array<std::vector<LabelledPoint>, kSplitCount> points;
  std::array<std::vector<PreferencePair>, kSplitCount> pairs;
  std::int32_t class_count = 3;
};

}  // namespace imagerank::reward
