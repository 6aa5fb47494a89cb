#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "images/preprocess.h"

namespace imagerank::blip {

/// A prompt as a cross-encoder reads it.
struct CrossPrompt {
  std::vector<std::int64_t> tokens;  ///< [CLS] ... [SEP], 35 at most
  bool truncated = false;            ///< what stood behind is not seen
};

/// Where a cross-encoder's parts are.
struct CrossPlace {
  std::filesystem::path weights;     ///< ImageReward.pt
  std::filesystem::path vocabulary;  ///< BERT's vocab.txt
  bool operator==(const CrossPlace&) const = default;
};

/// An image and a prompt as one number: a text encoder whose tokens look at the image's patches (cross-attention), so
/// that neither side has a vector of its own. ImageReward (Xu et al. 2023): BLIP's ViT and BERT, a head on the state of
/// [CLS], minus 0.167..., over 1.033...; on our kernels, in float32.
/// A score does not depend, in any bit, on other images, prompts, their order, or threads. Thread-safe; a call runs on
/// its calling thread.
/// Source: THUDM/ImageReward, ImageReward/ImageReward.py; salesforce/BLIP, models/med.py.
class CrossEncoder {
 public:
  /// @throws Error kNotFound, kIo, kCorruptData (all missing tensors by name; a vocabulary of another size),
  /// kUnavailable on a CPU without AVX2.
  static CrossEncoder load(const CrossPlace& place);
  CrossEncoder(CrossEncoder&&) noexcept;
  CrossEncoder& operator=(CrossEncoder&&) noexcept;
  ~CrossEncoder();

  [[nodiscard]] CrossPrompt read_prompt(std::string_view prompt) const;
  /// @param pixels  float32 [3, S, S], preprocessed, of one image. @param scores  one for each prompt, written. The
  /// image is looked at once. @throws Error kInvalidArgument.
  void score(std::span<const float> pixels, std::span<const CrossPrompt* const> prompts, std::span<float> scores) const;

  [[nodiscard]] const images::PreprocessOptions& preprocessing() const noexcept;
  /// Slug of the file and a hash of weights, vocabulary and preprocessing: "imagereward-fp32-1a2b3c4d".
  [[nodiscard]] const std::string& name() const noexcept;
  [[nodiscard]] const CrossPlace& place() const noexcept;
  /// Weights that cannot be told from random numbers (clip/untrained.h).
  [[nodiscard]] bool untrained() const noexcept;

 private:
  struct State;
  explicit CrossEncoder(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// What CrossEncoder::name() would be, without loading it. @throws Error as CrossEncoder::load.
[[nodiscard]] std::string cross_encoder_name(const CrossPlace& place);

}  // namespace imagerank::blip
