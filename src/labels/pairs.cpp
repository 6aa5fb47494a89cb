#include "labels/pairs.h"

#include <array>
#include <string_view>

namespace imagerank::labels {
namespace {

using workspace::ParquetType;

constexpr std::array<double, 3> kPreferences = {0.0, 0.5, 1.0};

std::vector<workspace::ParquetColumn> columns_of_pairs() {
  return {{"ranking_id", ParquetType::kText}, {"user_id", ParquetType::kText}, {"prompt", ParquetType::kText},
          {"image_a", ParquetType::kText},    {"image_b", ParquetType::kText}, {"p_a", ParquetType::kDouble},
          {"weight", ParquetType::kDouble},   {"split", ParquetType::kText}};
}

/// Twice the preference that two ranks say: 0, 1 (as good) or 2.
std::uint32_t twice_p(std::int32_t a, std::int32_t b) {
  if (a == b || a == PlacedRanking::kNoRank || b == PlacedRanking::kNoRank) return 1;
  return a < b ? 2 : 0;
}

void add_value(workspace::ColumnRows& column, const std::optional<std::string_view>& value) {
  column.definition.push_back(value ? 1 : 0);
  if (value) column.values.push_back(*value);
}

}  // namespace

Pairs::Pairs(AtomicFile& file, const PromptTexts& prompts, bool tie_pairs)
    : prompts_(prompts), tie_pairs_(tie_pairs), parquet_(file, columns_of_pairs()) {}

Pairs::~Pairs() = default;

Pairs::Writer& Pairs::writer() {
  return writers_.get([&] { return std::make_unique<Writer>(*this); });
}

void Pairs::finish(LabelCounts& counts) {
  writers_.for_each([&](Writer& writer) {
    writer.rows_.flush();
    counts.strict_pairs += writer.counts_.strict_pairs;
    counts.tied_pairs += writer.counts_.tied_pairs;
    for (std::size_t i = 0; i < counts.pair_splits.size(); ++i) counts.pair_splits[i] += writer.counts_.pair_splits[i];
  });
  parquet_.finish();
}

Pairs::Writer::Writer(Pairs& pairs) : pairs_(pairs), rows_(pairs.parquet_) {}

void Pairs::Writer::add(const PlacedRanking& ranking) {
  const std::size_t count = ranking.images.size();
  const std::size_t best = ranking.best - 1;
  for (std::size_t a = 0; a < count; ++a) {
    for (std::size_t b = a + 1; b < count; ++b) {
      if (ranking.ranks) {
        add_pair(ranking, a, b, twice_p((*ranking.ranks)[a], (*ranking.ranks)[b]));
      } else if (ranking.best == 0) {
        add_pair(ranking, a, b, 1);
      } else if (a == best || b == best) {
        add_pair(ranking, a, b, a == best ? 2 : 0);
      }
    }
  }
}

void Pairs::Writer::add_pair(const PlacedRanking& ranking, std::size_t a, std::size_t b, std::uint32_t twice_p) {
  static constexpr std::array<std::string_view, 3> kSplits = {"test", "validation", "train"};
  const bool tie = twice_p == 1;
  ++(tie ? counts_.tied_pairs : counts_.strict_pairs);
  if (ranking.held == kNowhere || (tie && !pairs_.tie_pairs_)) return;
  ++counts_.pair_splits[kTrain - ranking.held];
  auto& [ids, users, prompts, images_a, images_b, preferences, weights, splits] = columns_;
  add_value(ids, ranking.ranking_id);
  add_value(users, ranking.user_id);
  add_value(prompts, pairs_.prompts_.text(ranking.prompt));
  prompts.numbers.push_back(ranking.prompt);
  add_value(images_a, ranking.images[a]);
  add_value(images_b, ranking.images[b]);
  add_value(preferences, std::string_view(reinterpret_cast<const char*>(&kPreferences[twice_p]), sizeof(double)));
  preferences.numbers.push_back(twice_p);
  add_value(weights, ranking.weight.empty() ? std::nullopt : std::optional(ranking.weight));
  add_value(splits, kSplits[ranking.held]);
  splits.numbers.push_back(ranking.held);
}

void Pairs::Writer::pass_on() {
  rows_.add(columns_, columns_[0].definition.size());
  for (workspace::ColumnRows& column : columns_) column.clear();
}

}  // namespace imagerank::labels
