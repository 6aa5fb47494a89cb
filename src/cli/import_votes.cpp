#include "cli/import_votes.h"

#include <array>
#include <ctime>
#include <string>
#include <utility>

#include "core/fail.h"
#include "votes/vote_store.h"

namespace imagerank::cli {
namespace {

/// "2026-01-31 13:05:09.123", UTC.
std::string time_text(std::int64_t ms) {
  const auto seconds = static_cast<std::time_t>(ms / 1000);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  std::array<char, 32> text{};
  const std::size_t size = std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S", &parts);
  return fmt::format("{}.{:03}", std::string(text.data(), size), ms % 1000);
}

}  // namespace

preferences::ImportCounts import_votes(const std::vector<std::filesystem::path>& urls,
                                       const std::filesystem::path& data, const preferences::ImportOptions& options,
                                       Terminal& terminal) {
  if (!options.columns.empty())
    fail(ErrorCode::kInvalidArgument, "--columns: expected csv, jsonl or parquet, found votes");
  const std::string dataset = options.dataset.empty() ? "votes" : options.dataset;
  std::vector<workspace::Ranking> rankings;
  std::map<std::string, std::int64_t> skipped;
  for (const std::filesystem::path& url : urls) {
    votes::VoteStore store(votes::parse_database_url(url.string()), votes::VoteStore::Mode::kReadOnly);
    for (votes::StoredVote& vote : store.votes()) {
      if (vote.skipped) {
        ++skipped["skipped_by_voter"];
        continue;
      }
      workspace::Ranking ranking;
      ranking.ranking_id = std::move(vote.set.id);
      ranking.dataset = dataset;
      ranking.created_at = time_text(vote.voted_at_ms);
      ranking.user_id = std::move(vote.user_hash);
      ranking.prompt = std::move(vote.set.prompt);
      ranking.image_uids = std::move(vote.set.images);
      ranking.best_image_uid = std::move(vote.choice);
      rankings.push_back(std::move(ranking));
    }
  }
  const auto workspace = workspace::Workspace::create(data);
  return preferences::import_rankings(workspace, rankings, skipped, terminal.context());
}

}  // namespace imagerank::cli
