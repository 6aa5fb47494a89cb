#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "cli/evaluation_results.h"
#include "cli/model_commands.h"
#include "core/fail.h"
#include "reward/reward.h"

namespace imagerank::cli {
namespace {

using Pair = std::pair<std::string, std::string>;  // image, prompt

/// What the table asks about, each once.
std::set<Pair> asked(const workspace::Workspace& workspace, const std::string& table, const std::string& split) {
  std::set<Pair> pairs;
  const auto wanted = [&](const std::string& row) { return split.empty() || row == split; };
  if (table == "points") {
    for (const workspace::Point& point : workspace.load_points()) {
      if (wanted(point.split)) pairs.emplace(point.image_uid, point.prompt);
    }
  } else if (table == "pairs") {
    for (const workspace::Pair& pair : workspace.load_pairs()) {
      if (!wanted(pair.split)) continue;
      pairs.emplace(pair.image_a, pair.prompt);
      pairs.emplace(pair.image_b, pair.prompt);
    }
  } else {
    fail(ErrorCode::kInvalidArgument, "--table: expected points or pairs, found '{}'", table);
  }
  return pairs;
}

}  // namespace

std::vector<exports::ScoredPrompt> score_for_export(const ExportOptions& options, const std::string& table,
                                                    const workspace::Workspace& workspace, const RunContext& context) {
  const auto place = find_reward_folder(workspace, options.reward);
  const auto reward = reward::Reward::load(place, {.model = options.model, .tokenizer = options.tokenizer});
  const CachedVectors vectors(workspace, reward, place, /*beside_inputs=*/false);
  std::vector<exports::ScoredPrompt> scored;
  for (const auto& [image, prompt] : asked(workspace, table, options.split)) {
    if (vectors.has(image, prompt)) scored.push_back({image, prompt, 0.0});
  }
  constexpr std::size_t kBatch = 4096;
  for (std::size_t begin = 0; begin < scored.size(); begin += kBatch) {
    context.check_stop();
    const std::size_t end = std::min(begin + kBatch, scored.size());
    std::vector<BlockRows> rows(vectors.size());
    std::vector<reward::VectorBlock> blocks;
    for (std::size_t k = 0; k < vectors.size(); ++k) {
      for (std::size_t i = begin; i < end; ++i) vectors.append(k, scored[i].image_uid, scored[i].prompt, rows[k]);
      blocks.push_back(rows[k].block());
    }
    const reward::Scores said = reward.score(blocks, end - begin);
    for (std::size_t i = begin; i < end; ++i) scored[i].score = double{said.score[i - begin]};
    context.report({"score", end, scored.size(), ""});
  }
  std::erase_if(scored, [](const exports::ScoredPrompt& row) { return !std::isfinite(row.score); });
  return scored;
}

}  // namespace imagerank::cli
