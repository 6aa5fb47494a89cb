#pragma once

#include <cstdint>
#include <filesystem>
#include <unordered_map>
#include <vector>

#include "cli/evaluation_inputs.h"
#include "core/progress.h"

namespace imagerank::cli {

/// What one head says of a workspace's images and prompts; each (image, prompt) is scored once.
class HeadScores {
 public:
  /// Scores all that `inputs` asks about. @throws Error kInvalidArgument where reward and vectors or labels do not fit.
  HeadScores(const reward::Reward& reward, const EvaluationInputs& inputs, const RunContext& context);

  [[nodiscard]] double score(std::uint32_t image, std::uint32_t text) const;
  /// Utilities for pairs and rankings; classes, probabilities and values for points, as far as the head gives them.
  [[nodiscard]] evaluation::Predictions predict(const evaluation::SplitData& data) const;

 private:
  void collect(const evaluation::SplitRows& rows);
  void add_point_answers(const evaluation::SplitData& data, evaluation::Predictions& predictions) const;

  bool classifier_ = false;
  bool utility_only_ = false;  // a pair loss: not on the scale of the labels
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

struct EvaluatedReward {
  evaluation::EvaluationReport report;  ///< without pictures
  evaluation::Predictions predictions;
  evaluation::Estimate validation;  ///< strict micro pair accuracy on validation
};
[[nodiscard]] EvaluatedReward evaluate_reward(const std::string& name, const reward::Reward& reward,
                                              const EvaluationBasis& basis, const HeadScores& scores);

/// A few prompts of the split, drawn at random for a fixed seed, each with its best and worst images by score.
/// An image that cannot be read is shown as such, with the reason.
[[nodiscard]] std::vector<evaluation::PromptPictures> pick_pictures(const workspace::Workspace& workspace,
                                                                    const EvaluationInputs& inputs,
                                                                    const HeadScores& scores);

/// Writes reports/<name>/report.html and report.json, whose "report" is the page's path, added to `json`.
/// @return the page's path.
std::filesystem::path write_report(const workspace::Workspace& workspace, const std::string& name,
                                   const std::string& page, nlohmann::ordered_json& json);

/// The name that a reward goes by in tables and folders: its folder's.
[[nodiscard]] std::string reward_name(const std::filesystem::path& folder);

}  // namespace imagerank::cli
