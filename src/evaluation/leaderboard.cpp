#include "evaluation/leaderboard.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "evaluation/metrics.h"

namespace imagerank::evaluation {
namespace {

using Chosen = std::function<bool(std::size_t prompt)>;

/// Mean over the chosen prompts that have a value, and its interval.
Estimate mean_of(const PromptScores& values, const Bootstrap& bootstrap, const Chosen& chosen) {
  std::vector<double> sums(2 * values.size());  // value and count
  double sum = 0.0;
  double count = 0.0;
  std::vector<double> sizes(values.size());
  for (std::size_t prompt = 0; prompt < values.size(); ++prompt) {
    if (!std::isfinite(values[prompt]) || !chosen(prompt)) continue;
    sums[2 * prompt] = values[prompt];
    sums[2 * prompt + 1] = sizes[prompt] = 1.0;
    sum += values[prompt];
    count += 1.0;
  }
  if (count == 0.0) return {};
  const std::vector<double> drawn = bootstrap.resampled_sums(sums, 2);
  return bootstrap.estimate(
      sum / count,
      [&](std::size_t draw) -> std::optional<double> {
        if (drawn[2 * draw + 1] == 0.0) return std::nullopt;
        return drawn[2 * draw] / drawn[2 * draw + 1];
      },
      Scale::kReal, effective_groups(sizes));
}

Estimate mean_of_groups(const PromptScores& values, const Grouping& grouping, const Bootstrap& bootstrap) {
  const std::size_t columns = 2 * grouping.groups.size();
  std::vector<double> sums(values.size() * columns);
  std::vector<double> total(columns);
  for (std::size_t prompt = 0; prompt < values.size(); ++prompt) {
    if (!std::isfinite(values[prompt])) continue;
    const std::size_t column = 2 * std::size_t{grouping.of_prompt[prompt]};
    sums[prompt * columns + column] = values[prompt];
    sums[prompt * columns + column + 1] = 1.0;
    total[column] += values[prompt];
    total[column + 1] += 1.0;
  }
  const auto mean = [&](std::span<const double> row) -> std::optional<double> {
    double result = 0.0;
    for (std::size_t column = 0; column < columns; column += 2) {
      if (row[column + 1] == 0.0) return std::nullopt;
      result += row[column] / row[column + 1];
    }
    return result / static_cast<double>(grouping.groups.size());
  };
  const std::optional<double> value = mean(total);
  if (!value) return {};
  const std::vector<double> drawn = bootstrap.resampled_sums(sums, columns);
  return bootstrap.estimate(value,
                            [&](std::size_t draw) { return mean(std::span(drawn).subspan(draw * columns, columns)); });
}

std::optional<double> batch_deviation(const PromptScores& values, const Grouping& grouping, std::uint32_t group,
                                      std::size_t batch) {
  std::vector<double> inside;
  for (std::size_t prompt = 0; prompt < values.size(); ++prompt) {
    if (grouping.of_prompt[prompt] == group && std::isfinite(values[prompt])) inside.push_back(values[prompt]);
  }
  std::vector<double> means;
  for (std::size_t first = 0; batch > 0 && first + batch <= inside.size(); first += batch) {
    const auto begin = inside.begin() + static_cast<std::ptrdiff_t>(first);
    means.push_back(std::accumulate(begin, begin + static_cast<std::ptrdiff_t>(batch), 0.0) /
                    static_cast<double>(batch));
  }
  if (means.size() < 2) return std::nullopt;
  const auto count = static_cast<double>(means.size());
  const double mean = std::accumulate(means.begin(), means.end(), 0.0) / count;
  double squares = 0.0;
  for (const double value : means) squares += (value - mean) * (value - mean);
  return std::sqrt(squares / count);
}

LeaderboardRow make_row(std::size_t generator, const PromptScores& values, std::span<const Grouping> groupings,
                        const Bootstrap& bootstrap, std::size_t batch) {
  LeaderboardRow row;
  row.generator = generator;
  const auto finite = [](double value) { return std::isfinite(value); };
  row.prompts = static_cast<std::size_t>(std::ranges::count_if(values, finite));
  row.mean = mean_of(values, bootstrap, [](std::size_t) { return true; });
  if (!groupings.empty()) row.mean_of_groups = mean_of_groups(values, groupings.front(), bootstrap);
  for (const Grouping& grouping : groupings) {
    std::vector<GroupScore>& groups = row.groups.emplace_back();
    for (std::uint32_t group = 0; group < grouping.groups.size(); ++group) {
      const auto inside = [&](std::size_t prompt) { return grouping.of_prompt[prompt] == group; };
      GroupScore score;
      score.mean = mean_of(values, bootstrap, inside);
      for (std::size_t prompt = 0; prompt < values.size(); ++prompt) {
        score.prompts += inside(prompt) && finite(values[prompt]) ? 1 : 0;
      }
      score.batch_deviation = batch_deviation(values, grouping, group, batch);
      groups.push_back(score);
    }
  }
  return row;
}

}  // namespace

std::vector<LeaderboardRow> make_leaderboard(std::span<const PromptScores> scores, std::span<const Grouping> groupings,
                                             const Bootstrap& bootstrap, std::size_t batch) {
  std::vector<LeaderboardRow> rows;
  for (std::size_t generator = 0; generator < scores.size(); ++generator) {
    rows.push_back(make_row(generator, scores[generator], groupings, bootstrap, batch));
  }
  std::ranges::stable_sort(rows, [](const LeaderboardRow& a, const LeaderboardRow& b) {
    if (a.mean.value.has_value() != b.mean.value.has_value()) return a.mean.value.has_value();
    return a.mean.value && *a.mean.value > *b.mean.value;
  });
  for (std::size_t i = 1; i < rows.size(); ++i) {
    PromptScores difference = scores[rows[i].generator];
    const PromptScores& leader = scores[rows.front().generator];
    for (std::size_t prompt = 0; prompt < difference.size(); ++prompt) difference[prompt] -= leader[prompt];
    rows[i].to_leader = mean_of(difference, bootstrap, [](std::size_t) { return true; });
  }
  return rows;
}

RewardAgreement compare_rewards(std::span<const PromptScores> first, std::span<const PromptScores> second) {
  std::vector<double> a, b, mean_a, mean_b;
  for (std::size_t generator = 0; generator < first.size(); ++generator) {
    double sum_a = 0.0, sum_b = 0.0, count = 0.0;
    for (std::size_t prompt = 0; prompt < first[generator].size(); ++prompt) {
      const double left = first[generator][prompt], right = second[generator][prompt];
      if (!std::isfinite(left) || !std::isfinite(right)) continue;
      a.push_back(left);
      b.push_back(right);
      sum_a += left;
      sum_b += right;
      count += 1.0;
    }
    if (count == 0.0) continue;
    mean_a.push_back(sum_a / count);
    mean_b.push_back(sum_b / count);
  }
  return {spearman(a, b), kendall_tau_b(mean_a, mean_b)};
}

}  // namespace imagerank::evaluation
