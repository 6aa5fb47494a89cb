#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "cli/evaluation_inputs.h"
#include "core/progress.h"
#include "embeddings/embedding_cache.h"
#include "evaluation/slices.h"

namespace imagerank::cli {

/// What one encoder has of some images and prompts, row by row.
struct BlockRows {
  std::vector<float> images, texts, pairs;
  [[nodiscard]] reward::VectorBlock block() const { return {images, texts, pairs}; }
};

/// The cached vectors or scores of a reward's encoders, by image uid and prompt.
class CachedVectors {
 public:
  /// @param place  the reward's, for messages. @param beside_inputs  without the first one's vectors, which
  /// EvaluationInputs holds; a cross-encoder's scores are here in any case. @throws Error as encoder_for.
  CachedVectors(const workspace::Workspace& workspace, const reward::Reward& reward, const std::filesystem::path& place,
                bool beside_inputs);
  [[nodiscard]] std::size_t size() const noexcept { return caches_.size(); }
  /// Whether each encoder has both.
  [[nodiscard]] bool has(const std::string& image_uid, const std::string& prompt) const;
  /// Appends what an encoder has of one image and prompt; the last of size() is the last of the reward's.
  /// @throws Error kNotFound naming what has none.
  void append(std::size_t index, const std::string& image_uid, const std::string& prompt, BlockRows& rows) const;

 private:
  /// Images and texts, or pairs.
  struct Cache {
    std::string encoder;
    std::optional<embeddings::EmbeddingCache> images, texts, pairs;
  };
  std::vector<Cache> caches_;
};

/// What one head says of a workspace's images and prompts; each (image, prompt) is scored once.
class HeadScores {
 public:
  /// Scores all that `inputs` asks about. @throws Error kInvalidArgument where reward and vectors or labels do not fit,
  /// kCorruptData for an answer that is not finite, naming image and prompt.
  /// @param further  of this reward and this workspace, beside the inputs; read here only.
  HeadScores(const reward::Reward& reward, const EvaluationInputs& inputs, const CachedVectors& further,
             const RunContext& context);

  [[nodiscard]] double score(std::uint32_t image, std::uint32_t text) const;
  /// Of each (image, prompt) that the measured split or validation asks about, once.
  [[nodiscard]] std::span<const float> values() const noexcept { return scores_; }
  /// Utilities for pairs and rankings; classes, probabilities and values for points, as far as the head gives them.
  [[nodiscard]] evaluation::Predictions predict(const evaluation::SplitData& data) const;

 private:
  void collect(const evaluation::SplitRows& rows);
  /// @param answers  of `asked_` from `first` on, one or more each.
  void check_finite(std::span<const float> answers, std::size_t first, const EvaluationInputs& inputs) const;
  void add_point_answers(const evaluation::SplitData& data, evaluation::Predictions& predictions) const;

  bool classifier_ = false;
  bool utility_only_ = false;  // a pair loss: not on the scale of the labels
  evaluation::PairCalibration calibration_;
  std::unordered_map<std::uint64_t, std::size_t> places_;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> asked_;  // (image, text) by place
  std::vector<float> scores_;
  std::vector<float> probabilities_;
  std::size_t class_count_ = 0;
};

/// What several rewards on one encoder's vectors share.
struct EvaluationBasis {
  EvaluationInputs inputs;
  evaluation::Bootstrap bootstrap;
  evaluation::BaselineResults baselines;
};
/// @param draws  of the bootstrap, 0..10000. @throws Error kInvalidArgument; as load_evaluation_inputs.
[[nodiscard]] EvaluationBasis load_evaluation_basis(const workspace::Workspace& workspace, const std::string& encoder,
                                                    const std::string& split, std::uint64_t draws,
                                                    const RunContext& context);

/// What training has recorded of how differences become probabilities; nullopt for a reward without it.
[[nodiscard]] std::optional<evaluation::PairCalibration> recorded_calibration(const reward::Reward& reward);

struct EvaluatedReward {
  evaluation::EvaluationReport report;  ///< without pictures
  evaluation::Predictions predictions;
  evaluation::Estimate validation;  ///< strict micro pair accuracy on validation
};
[[nodiscard]] EvaluatedReward evaluate_reward(const std::string& name, const reward::Reward& reward,
                                              const EvaluationBasis& basis, const HeadScores& scores);

/// The split's pairs by prompt length, truncation, ties, conflict, what train has seen, generator and user. Truncation
/// is left out where the encoder's tokenizer is not to be found, generators where none is known.
[[nodiscard]] std::vector<evaluation::Slice> make_slices(const EvaluationInputs& inputs, const reward::Reward& reward);

/// A few prompts of the split, drawn at random for a fixed seed, each with its best and worst images by score.
/// An image that cannot be read is shown as such, with the reason.
[[nodiscard]] std::vector<evaluation::PromptPictures> pick_pictures(const workspace::Workspace& workspace,
                                                                    const EvaluationInputs& inputs,
                                                                    const HeadScores& scores);
/// The highest and lowest scores; the pairs on which the head contradicts people most surely; the images that people
/// are most divided about; the pairs that the head tells apart least. A few each, of as many prompts; without any, left
/// out.
[[nodiscard]] std::vector<evaluation::Gallery> pick_galleries(const workspace::Workspace& workspace,
                                                              const EvaluationInputs& inputs, const HeadScores& scores);

struct ProbeOptions {
  std::uint64_t images = 0;  ///< to probe; fewer if the split has fewer
  reward::EncoderPlace encoder;
  std::size_t draws = 0;  ///< of the bootstrap
  std::uint64_t seed = 1;
};
/// Changes images and prompts of the split and scores them again, with the reward in `folder`. Images whose shorter
/// edge is above 512 pixels are shrunk to it first. An image that cannot be read is counted, and no other takes its
/// place.
/// @throws Error as Scorer::load.
[[nodiscard]] evaluation::ProbeReport run_probes(const workspace::Workspace& workspace, const EvaluationInputs& inputs,
                                                 const std::filesystem::path& folder, const ProbeOptions& options,
                                                 const RunContext& context);

/// Writes reports/<name>/report.html and report.json, whose "report" is the page's path, added to `json`.
/// @return the page's path.
std::filesystem::path write_report(const workspace::Workspace& workspace, const std::string& name,
                                   const std::string& page, nlohmann::ordered_json& json);

/// The name that a reward goes by in tables and folders: its folder's.
[[nodiscard]] std::string reward_name(const std::filesystem::path& folder);

}  // namespace imagerank::cli
