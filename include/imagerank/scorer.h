#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "imagerank/error.h"

namespace imagerank {

struct ScorerOptions {
  std::string model;      ///< where the encoder is, if not where the reward recorded it: a name or a folder
  std::string tokenizer;  ///< folder of the encoder's tokenizer, likewise
  int threads = 0;        ///< 0: all cores
  /// Of HPSv2 and v2.1: whether resizing antialiases; not set: as published, without.
  std::optional<bool> hps_antialias = std::nullopt;
  std::size_t batch = 0;  ///< images a call of the vision tower, 1..4096; 0: what suits the encoder
};

/// An image file and the prompt that it is judged for.
struct ImagePrompt {
  std::filesystem::path image;
  std::string prompt;  ///< UTF-8
};

/// What became of one image: a score, or why there is none.
struct ScoredImage {
  float score = 0.0F;      ///< higher is better; NaN if the image could not be scored
  std::string reason;      ///< "" for a score; else short and countable: "missing", "corrupt", "too_large", "io"
  std::string detail;      ///< one line for a person
  float deviation = 0.0F;  ///< standard deviation of an ensemble's heads; 0 for a reward of one head
  bool truncated = false;  ///< the prompt did not fit the context of an encoder, and was cut
  [[nodiscard]] bool ok() const noexcept { return reason.empty(); }
};

/// A reward joined with the encoders that it stands on: image files and prompts in, scores out.
/// A score is the head's number: the regression's value, a classifier's expected label, or a pair loss's utility.
/// Only scores of one reward compare. Vectors are rounded through float16 before the head, as cached ones are.
/// Movable. Not thread-safe: one Scorer a thread, or a lock around it.
class Scorer {
 public:
  /// @param reward  a folder with reward.json, as `imagerank train` and `mix` write it; the file of a published linear
  ///   head (.pth), for which options.model is needed; or a published scorer's name ("pickscore").
  /// @throws Error kNotFound (reward or model missing), kCorruptData, kInvalidArgument (an option out of range),
  ///   kRefused if the model found is not the one that the reward was trained on, naming both.
  static Scorer load(const std::filesystem::path& reward, const ScorerOptions& options = {});
  Scorer(Scorer&&) noexcept;
  Scorer& operator=(Scorer&&) noexcept;
  ~Scorer();

  /// One result per image, in order. A broken image is a result with a reason, never an exception.
  [[nodiscard]] std::vector<ScoredImage> score(const std::string& prompt,
                                               std::span<const std::filesystem::path> images) const;
  /// Each image a whole JPEG, PNG, WebP or GIF file in memory.
  [[nodiscard]] std::vector<ScoredImage> score(const std::string& prompt,
                                               std::span<const std::span<const std::byte>> images) const;
  /// Pairs of their own; equal prompts are encoded once.
  [[nodiscard]] std::vector<ScoredImage> score(std::span<const ImagePrompt> items) const;
  /// @param images, texts  float32 [count, dim()], row-major, as the encoder gives them, not normalised.
  ///   For a published head, which reads no prompt, texts may be empty.
  /// @return [count]. @throws Error kInvalidArgument if the sizes disagree, for a mixture on several encoders, and for
  /// a
  ///   scorer that judges image and prompt together ("imagereward") and has no vectors.
  [[nodiscard]] std::vector<float> score_embeddings(std::span<const float> images, std::span<const float> texts,
                                                    std::size_t count) const;

  [[nodiscard]] std::size_t dim() const noexcept;  ///< numbers in a vector; 0 where there are none
  /// Heads of the reward: more than one is an ensemble, whose mean a score is.
  [[nodiscard]] int ensemble() const noexcept;
  [[nodiscard]] const std::string& head() const noexcept;  ///< "mlp"; "published", "cosine", "cross", "mixture"
  [[nodiscard]] const std::string& loss() const noexcept;  ///< "mse"; "" for what was not trained here
  /// "sample-fp32-1a2b3c4d": what the reward was trained on; of a published head, what it was given.
  [[nodiscard]] const std::string& encoder() const noexcept;
  /// True if the encoder was never trained: its scores say nothing about images.
  [[nodiscard]] bool untrained() const noexcept;

 private:
  struct State;
  explicit Scorer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace imagerank
