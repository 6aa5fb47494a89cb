#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "clip/encoder.h"
#include "reward/head_kinds.h"
#include "reward/published_head.h"

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

/// Where a reward's encoder is, if not where the reward says; empty: as it says.
struct EncoderPlace {
  std::string model;      ///< a name, a folder or a file of weights
  std::string tokenizer;  ///< folder of its tokenizer
  /// Of HPSv2 and v2.1: whether resizing antialiases. They were published without (see docs/models.md).
  std::optional<bool> hps_antialias = std::nullopt;
  bool operator==(const EncoderPlace&) const = default;
};

/// What an encoder makes of images and prompts.
enum class EncoderKind {
  kTowers,  ///< clip::Encoder: a vector of each side
  kCross,   ///< blip::CrossEncoder: one number of both together, and no vectors
};

/// An encoder that a reward stands on.
struct EncoderNeed {
  std::string encoder;  ///< Encoder::name(); "": not known
  std::string model;    ///< where it is, as --model has it; "": not known. Of kCross a file.
  clip::EncoderOptions options;
  std::size_t dim = 0;     ///< numbers in a vector; of kCross 0
  bool reads_text = true;  ///< false: its texts are not asked for
  std::string scorer;      ///< a published scorer's name, where it has a tokenizer to find; or ""
  EncoderKind kind = EncoderKind::kTowers;
};

/// What one encoder makes of N (image, prompt) pairs, float32: vectors [N, dim] each, where texts may be empty unless
/// they are read; or, of a cross-encoder, a number [N] of each pair.
struct VectorBlock {
  std::span<const float> images, texts;
  std::span<const float> pairs = {};
};

/// A trained head as its numbers, for writers of other programs' formats.
struct HeadParts {
  std::string head;  ///< a HeadKind's name
  Loss loss = Loss::kMse;
  std::int32_t class_count = 0;
  std::int64_t dim = 0, outputs = 0, hidden = 0, rank = 0, layers = 0;  ///< as in HeadShape
  InputScaling scaling = InputScaling::kStandardise;
  std::vector<float> mean, inverse_deviation;        ///< [2 * dim]; empty for kUnitLength
  std::map<std::string, std::vector<float>> values;  ///< the head's parameters, by their names in heads.cpp
  double centre = 0.0;  ///< of an ensemble's: what is taken off its score before deviation is taken
};

/// scale cos(image, text), or scale max(cos, 0), of vectors rounded as the cache rounds them.
struct CosineRule {
  double scale = 1.0;
  bool positive = false;
};

/// What makes a reward's scores: the heads of a trained one, of which an ensemble has several; or a published one's.
using RewardParts = std::variant<std::vector<HeadParts>, PublishedHead, CosineRule>;

/// What makes scores of vectors: a trained reward, as reward.safetensors + reward.json keep it (one head, or an
/// ensemble whose answers are averaged); a published head (reward/published_head.h) or scorer
/// (reward/published_scorers.h), of which a cross-encoder's number is the score itself; or a mixture of others
/// (reward/mixture.h), which may stand on several encoders.
/// Inference; batch-invariant. Not thread-safe.
class Reward {
 public:
  /// @param place  a folder as `train` or `mix` wrote it; a published head's file; or a published scorer's name.
  /// @throws Error kNotFound, kCorruptData, kInvalidArgument for an `encoder` that does not go with it.
  static Reward load(const std::filesystem::path& place, const EncoderPlace& encoder = {});
  /// One that is not saved yet. @param where  for messages. @throws Error kCorruptData.
  static Reward from_tensors(nlohmann::json record, const std::map<std::string, StoredTensor>& tensors,
                             const std::string& where, const EncoderPlace& encoder = {});
  Reward(Reward&&) noexcept;
  Reward& operator=(Reward&&) noexcept;
  ~Reward();

  /// @param blocks  one for each of needs(). Vectors are rounded through float16 first, as the cache does, but for a
  /// published head, which takes them as they are. @throws Error kInvalidArgument if a size is another.
  [[nodiscard]] Scores score(std::span<const VectorBlock> blocks, std::size_t count) const;
  /// The same for a reward of one encoder. @throws Error kInvalidArgument, for one of several and for a cross-encoder's
  /// too.
  [[nodiscard]] Scores score(std::span<const float> images, std::span<const float> texts, std::size_t count) const;
  /// The encoders that it stands on, one or more.
  [[nodiscard]] std::span<const EncoderNeed> needs() const noexcept;
  /// Why it cannot score vectors of one encoder, for messages: "it judges an image and its prompt together, ..."; "" if
  /// it can.
  [[nodiscard]] std::string vectors_problem() const;

  /// @throws Error kUnavailable for a mixture and a cross-encoder.
  [[nodiscard]] RewardParts parts() const;
  [[nodiscard]] std::size_t dim() const noexcept;          ///< of the first encoder's vectors
  [[nodiscard]] int ensemble() const noexcept;             ///< heads, 1 or more
  [[nodiscard]] const std::string& head() const noexcept;  ///< "mlp"; "published", "cosine", "cross", "mixture"
  [[nodiscard]] const std::string& loss() const noexcept;  ///< "mse"; "" for one that was not trained here
  [[nodiscard]] bool is_classifier() const noexcept;
  /// Scores order images, but their scale is not the labels': of pair losses, and of what was not
  /// trained here.
  [[nodiscard]] bool is_utility() const noexcept;
  [[nodiscard]] bool reads_text() const noexcept;  ///< false: the prompt does not matter
  [[nodiscard]] std::int32_t class_count() const noexcept;
  [[nodiscard]] const std::string& encoder() const noexcept;    ///< the first one's Encoder::name(); "": not known
  [[nodiscard]] const std::string& model() const noexcept;      ///< what --model was
  [[nodiscard]] const nlohmann::json& record() const noexcept;  ///< all of reward.json: history, options, data
  /// The one vector that a published head was folded into; nullptr for others.
  [[nodiscard]] const PublishedHead* published_head() const noexcept;

 private:
  struct State;
  explicit Reward(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace imagerank::reward
