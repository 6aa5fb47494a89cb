#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "reward/head_kinds.h"

namespace imagerank::reward {

/// What a head says of N (image, prompt) pairs.
struct Scores {
  std::vector<float> score;  ///< [N] regression: the number; classifier: the expected label; pair loss: the utility
  std::vector<float> probabilities;  ///< [N, class_count] for classifiers, else empty
};

/// A trained reward as its numbers, for writers of other programs' formats.
struct RewardParts {
  std::string head;  ///< a HeadKind's name
  Loss loss = Loss::kMse;
  std::int32_t class_count = 0;
  std::int64_t dim = 0, outputs = 0, hidden = 0, rank = 0;  ///< as in HeadShape
  InputScaling scaling = InputScaling::kStandardise;
  std::vector<float> mean, inverse_deviation;        ///< [2 * dim]; empty for kUnitLength
  std::map<std::string, std::vector<float>> values;  ///< the head's parameters, by their names in heads.cpp
};

/// A trained reward, as reward.safetensors + reward.json keep it. Inference; batch-invariant. Not thread-safe.
class Reward {
 public:
  /// @throws Error kNotFound, kCorruptData.
  static Reward load(const std::filesystem::path& folder);
  Reward(Reward&&) noexcept;
  Reward& operator=(Reward&&) noexcept;
  ~Reward();

  /// @param images, texts  float32 [N, dim]; both are rounded through float16 first, as the cache does.
  [[nodiscard]] Scores score(std::span<const float> images, std::span<const float> texts, std::size_t count) const;

  [[nodiscard]] RewardParts parts() const;
  [[nodiscard]] std::size_t dim() const noexcept;
  [[nodiscard]] const std::string& head() const noexcept;  ///< "mlp"
  [[nodiscard]] const std::string& loss() const noexcept;  ///< "mse"
  [[nodiscard]] bool is_classifier() const noexcept;
  [[nodiscard]] std::int32_t class_count() const noexcept;
  [[nodiscard]] const std::string& encoder() const noexcept;    ///< Encoder::name()
  [[nodiscard]] const std::string& model() const noexcept;      ///< what --model was
  [[nodiscard]] const nlohmann::json& record() const noexcept;  ///< all of reward.json: history, options, data

 private:
  struct State;
  explicit Reward(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace imagerank::reward
