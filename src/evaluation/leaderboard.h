#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "evaluation/bootstrap.h"

namespace imagerank::evaluation {

/// One way to divide a benchmark's prompts: by style, category or challenge.
struct Grouping {
  std::string name;                      ///< "style"
  std::vector<std::string> groups;       ///< in the order in which they appear
  std::vector<std::uint32_t> of_prompt;  ///< [prompts], an index of groups
};

/// What one reward says of one generator's images: a number a prompt, the mean over its images; NaN without one.
using PromptScores = std::vector<double>;

/// Of one group's prompts.
struct GroupScore {
  Estimate mean;
  std::size_t prompts = 0;  ///< with a score
  /// Standard deviation of the means of successive batches of prompts, as HPSv2's runner gives it; null for fewer than
  /// two whole batches.
  std::optional<double> batch_deviation;
};

/// One generator's row.
struct LeaderboardRow {
  std::size_t generator = 0;
  std::size_t prompts = 0;  ///< with a score
  Estimate mean;            ///< over prompts
  Estimate mean_of_groups;  ///< of the first grouping, each group counting alike; null if one has no score
  Estimate to_leader;       ///< this one less the leader, over prompts that both have; null for the leader
  std::vector<std::vector<GroupScore>> groups;  ///< [groupings][groups]
};

/// @param scores  [generators]. @param bootstrap  its groups are the prompts. @param batch  prompts a batch, as HPSv2
/// has
/// 80. @return best mean first; those without any score last, in their order. Deterministic.
[[nodiscard]] std::vector<LeaderboardRow> make_leaderboard(std::span<const PromptScores> scores,
                                                           std::span<const Grouping> groupings,
                                                           const Bootstrap& bootstrap, std::size_t batch = 80);

/// Whether two rewards order things alike.
struct RewardAgreement {
  std::optional<double> spearman_images;     ///< over all prompts and generators that both have scored
  std::optional<double> kendall_generators;  ///< tau-b of the generators' means
};
[[nodiscard]] RewardAgreement compare_rewards(std::span<const PromptScores> first,
                                              std::span<const PromptScores> second);

}  // namespace imagerank::evaluation
