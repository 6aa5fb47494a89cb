#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "cli/dataset.h"
#include "evaluation/baselines.h"
#include "evaluation/report.h"
#include "reward/examples.h"
#include "reward/reward.h"
#include "workspace/workspace.h"

namespace imagerank::cli {

/// How often people chose an image for a prompt, over the rankings of a split.
struct VoteCounts {
  std::uint64_t won = 0, lost = 0, tied = 0;
};
/// Votes by row of Dataset::image_uids.
using PromptVotes = std::unordered_map<std::uint32_t, VoteCounts>;

/// A workspace's labels, rankings and truth, joined with one encoder's vectors as evaluation takes them.
struct EvaluationInputs {
  Dataset dataset;
  reward::Split split = reward::Split::kTest;
  evaluation::SplitData train;                           ///< points only
  evaluation::SplitData validation;                      ///< points and pairs
  evaluation::SplitData measured;                        ///< points, pairs and rankings of `split`
  std::unordered_map<std::uint64_t, double> truth;       ///< by pair_key; empty unless all of `measured` is known
  std::unordered_map<std::uint32_t, PromptVotes> votes;  ///< by row of Dataset::prompts, over the rankings of `split`
  std::unordered_set<std::uint64_t> conflicts;           ///< pair_keys that rankings gave different labels
  /// Rows of the images table, parallel to Dataset::image_uids; image_uid is "" where the table has none.
  std::vector<workspace::Image> images;
  evaluation::DataFacts facts;

  [[nodiscard]] evaluation::Vectors vectors() const;
  /// Empty where the truth is not known.
  [[nodiscard]] evaluation::UtilityFunction oracle() const;
};

/// One key for an image's and a text's row.
[[nodiscard]] constexpr std::uint64_t pair_key(std::uint32_t image, std::uint32_t text) noexcept {
  return std::uint64_t{image} << 32U | text;
}

/// @param split  "train", "validation" or "test".
/// @throws Error kInvalidArgument for another split, kNotFound where the workspace lacks something (naming the command
///   that makes it) or the split is empty, kCorruptData for a label out of range or a vector that is not finite.
[[nodiscard]] EvaluationInputs load_evaluation_inputs(const workspace::Workspace& workspace, const std::string& encoder,
                                                      const std::string& split);

/// The folder of a reward: <workspace>/rewards/<name>, or a folder of that name; or a published head's file; or a
/// published scorer's name.
/// @throws Error kNotFound, naming the rewards that there are.
[[nodiscard]] std::filesystem::path find_reward_folder(const workspace::Workspace& workspace,
                                                       const std::string& name_or_path);

/// The encoder whose cached vectors a reward is measured on: its own; of a published scorer the one that `encode
/// --reward` makes; for a published head, which does not name it, the only one of its dimension.
/// @param place  the reward's, for messages. @throws Error kNotFound if there is none, or more than one.
[[nodiscard]] std::string encoder_for(const workspace::Workspace& workspace, const reward::EncoderNeed& need,
                                      const std::filesystem::path& place);

}  // namespace imagerank::cli
