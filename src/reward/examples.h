#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace imagerank::reward {

enum class Split : std::uint8_t { kTrain, kValidation, kTest };
inline constexpr std::size_t kSplitCount = 3;

/// Vectors as the encoder's cache keeps them: rounded through float16, not normalised. They stand in memory as float32,
/// or as float16 where `owner` keeps them, such as a mapped file.
struct VectorTable {
  std::size_t dim = 0;
  std::vector<float> values = {};              ///< [rows, dim], or empty if `halves` has them
  std::span<const std::uint16_t> halves = {};  ///< [rows, dim]
  std::shared_ptr<const void> owner = {};      ///< of `halves`

  [[nodiscard]] std::size_t row_count() const noexcept {
    return dim == 0 ? 0 : (values.empty() ? halves.size() : values.size()) / dim;
  }
  /// @param out  float32 [dim].
  void copy_row(std::size_t row, std::span<float> out) const;
  /// Of a mapped file: rows will be read here and there, so reading on behind each would be for nothing.
  void expect_scattered_reads() const noexcept;
  /// Whether the system has all rows in memory: nothing to prefetch.
  [[nodiscard]] bool is_resident() const;
  /// Lets the system read a row of a mapped file ahead of its use.
  void prefetch(std::size_t row) const noexcept;
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

/// An image's place in a ranking: 0 the best; equal levels are a tie.
struct RankedImage {
  static constexpr std::uint32_t kUnordered = 1000000;  ///< below the others, in no known order
  std::uint32_t image = 0;
  std::uint32_t level = 0;
};

/// Two or more images ranked for one prompt.
struct PreferenceList {
  std::uint32_t text = 0;
  std::uint32_t begin = 0;  ///< of its images in Examples::ranked
  std::uint32_t count = 0;
  float weight = 1.0F;
};

/// What a head is trained and measured on.
struct Examples {
  VectorTable images;
  VectorTable texts;
  std::array<std::vector<LabelledPoint>, kSplitCount> points;
  std::array<std::vector<PreferencePair>, kSplitCount> pairs;
  std::array<std::vector<PreferenceList>, kSplitCount> lists;  ///< empty unless a loss reads them
  std::vector<RankedImage> ranked;
  std::int32_t class_count = 3;
  std::vector<std::uint32_t> wrong_begin;  ///< [texts + 1] into wrong_texts, or empty: no wrong prompts known
  std::vector<std::uint32_t> wrong_texts;  ///< rows of `texts`: the wrong prompts of each text
  /// For messages: what an image or text row is called; empty: by its number.
  std::function<std::string(std::uint32_t)> image_name, text_name;
};

}  // namespace imagerank::reward
