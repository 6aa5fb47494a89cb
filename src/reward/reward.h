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

namespace imagerank::reward {

/// What a reward says of N (image, prompt) pairs.
struct Scores {
  std::vector<float>
      score;  ///< [N] regression: the number; classifier: the expected label; utility losses: the utility
  std::vector<float> probabilities;  ///< [N, class_count] for classifiers, else empty
  /// [N] standard deviation of the heads' scores of an ensemble, else empty. Utilities, whose zero means nothing, are
  /// compared after each head's validation mean was taken off.
  std::vector<float> deviation;
};

struct StoredTensor;

/// A trained reward, as reward.safetensors + reward.json keep it: one head, or an ensemble whose answers are averaged.
/// Inference; batch-invariant. Not thread-safe.
class Reward {
 public:
  /// @throws Error kNotFound, kCorruptData.
  static Reward load(const std::filesystem::path& folder);
  /// One that is not saved yet. @param where  for messages. @throws Error kCorruptData.
  static Reward from_tensors(nlohmann::json record, const std::map<std::string, StoredTensor>& tensors,
                             const std::string& where);
  Reward(Reward&&) noexcept;
  Reward& operator=(Reward&&) noexcept;
  ~Reward();

  /// @param images, texts  float32 [N, dim]; both are rounded through float16 first, as the cache does.
  [[nodiscard]] Scores score(std::span<const float> images, std::span<const float> texts, std::size_t count) const;

  [[nodiscard]] std::size_t dim() const noexcept;
  [[nodiscard]] int ensemble() const noexcept;             ///< heads, 1 or more
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
