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

/// What a reward says of N (image, prompt) pairs.
struct Scores {
  std::vector<float> score;          ///< [N] regression: the number; classifier: the expected label; else: the utility
  std::vector<float> probabilities;  ///< [N, class_count] for classifiers, else empty
  /// [N] standard deviation of the heads' scores of an ensemble, else empty. Utilities, whose zero means nothing, are
  /// compared after each head's validation mean was taken off.
  std::vector<float> deviation;
};

struct StoredTensor;

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

/// A trained reward, as reward.safetensors + reward.json keep it: one head, or an ensemble whose answers are averaged;
/// or a published head (reward/published_head.h).
/// Inference; batch-invariant. Not thread-safe.
class Reward {
 public:
  /// @param folder  as `train` wrote it; or a published head's file.
  /// @throws Error kNotFound, kCorruptData.
  static Reward load(const std::filesystem::path& folder);
  /// One that is not saved yet. @param where  for messages. @throws Error kCorruptData.
  static Reward from_tensors(nlohmann::json record, const std::map<std::string, StoredTensor>& tensors,
                             const std::string& where);
  Reward(Reward&&) noexcept;
  Reward& operator=(Reward&&) noexcept;
  ~Reward();

  /// @param images, texts  float32 [N, dim]; both are rounded through float16 first, as the cache does, but for a
  /// published head, which takes vectors as they are. Texts may be empty unless reads_text().
  [[nodiscard]] Scores score(std::span<const float> images, std::span<const float> texts, std::size_t count) const;

  /// @throws Error kUnavailable for an ensemble or a published head.
  [[nodiscard]] RewardParts parts() const;
  [[nodiscard]] std::size_t dim() const noexcept;
  [[nodiscard]] int ensemble() const noexcept;             ///< heads, 1 or more
  [[nodiscard]] const std::string& head() const noexcept;  ///< "mlp"; "published"
  [[nodiscard]] const std::string& loss() const noexcept;  ///< "mse"; "" for a published head
  [[nodiscard]] bool is_classifier() const noexcept;
  /// Scores order images, but their scale is not the labels': of pair losses and published heads.
  [[nodiscard]] bool is_utility() const noexcept;
  [[nodiscard]] bool reads_text() const noexcept;  ///< false: the prompt does not matter
  [[nodiscard]] std::int32_t class_count() const noexcept;
  [[nodiscard]] const std::string& encoder() const noexcept;    ///< Encoder::name(); "": not known
  [[nodiscard]] const std::string& model() const noexcept;      ///< what --model was
  [[nodiscard]] const nlohmann::json& record() const noexcept;  ///< all of reward.json: history, options, data

 private:
  struct State;
  explicit Reward(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace imagerank::reward
