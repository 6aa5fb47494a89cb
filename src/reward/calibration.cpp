#include "reward/calibration.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

namespace imagerank::reward {
namespace {

constexpr auto kValidation = static_cast<std::size_t>(Split::kValidation);

double softplus(double value) { return std::max(value, 0.0) + std::log1p(std::exp(-std::abs(value))); }
double sigmoid(double value) { return 1.0 / (1.0 + std::exp(-value)); }

/// A pair on the scale of the differences' root mean square.
struct Outcome {
  double difference = 0.0;
  double a = 0.0, b = 0.0, tie = 0.0;  ///< shares, times the weight
};

/// A convex function of one number, and its first two derivatives.
struct Expansion {
  double value = 0.0, slope = 0.0, curvature = 0.0;
};

/// Newton's method with halved steps.
template <typename Expand>
double minimise(double at, const Expand& expand) {
  Expansion here = expand(at);
  for (int round = 0; round < 200 && here.curvature > 0.0; ++round) {
    const double step = here.slope / here.curvature;
    double share = 1.0;
    Expansion there = expand(at - step);
    while (!(there.value <= here.value) && share > 1e-12) {
      share *= 0.5;
      there = expand(at - share * step);
    }
    if (share <= 1e-12) break;
    at -= share * step;
    const double gain = here.value - there.value;
    here = there;
    if (gain <= 1e-14 * (1.0 + std::abs(here.value))) break;
  }
  return at;
}

/// Negative log likelihood of the winners, where there is one, by 1 / temperature.
Expansion expand_winners(const std::vector<Outcome>& outcomes, double inverse) {
  Expansion sum;
  for (const Outcome& outcome : outcomes) {
    const double x = inverse * outcome.difference;
    const double p = sigmoid(x);
    sum.value += outcome.a * softplus(-x) + outcome.b * softplus(x);
    sum.slope += outcome.difference * (outcome.b * p - outcome.a * (1.0 - p));
    sum.curvature += outcome.difference * outcome.difference * (outcome.a + outcome.b) * p * (1.0 - p);
  }
  return sum;
}

/// That of ties against winners, by half the width.
Expansion expand_ties(const std::vector<Outcome>& outcomes, double inverse, double half_width) {
  Expansion sum;
  for (const Outcome& outcome : outcomes) {
    const double x = 0.5 * std::abs(inverse * outcome.difference);
    const double log_winners = x + std::log1p(std::exp(-2.0 * x));
    const double p = sigmoid(half_width - log_winners);
    const double strict = outcome.a + outcome.b;
    sum.value += outcome.tie * softplus(log_winners - half_width) + strict * softplus(half_width - log_winners);
    sum.slope += strict * p - outcome.tie * (1.0 - p);
    sum.curvature += (strict + outcome.tie) * p * (1.0 - p);
  }
  return sum;
}

}  // namespace

std::optional<PairCalibration> calibrate_pairs(std::span<const double> differences, std::span<const float> p_a,
                                               std::span<const float> weights) {
  double squares = 0.0;
  double total = 0.0;
  double ties = 0.0;
  for (std::size_t i = 0; i < differences.size(); ++i) {
    squares += weights[i] * differences[i] * differences[i];
    total += weights[i];
    ties += weights[i] * (1.0 - std::abs(2.0 * p_a[i] - 1.0));
  }
  if (!(total > ties) || !(squares > 0.0)) return std::nullopt;
  const double scale = std::sqrt(squares / total);
  std::vector<Outcome> outcomes;
  for (std::size_t i = 0; i < differences.size(); ++i) {
    const double lead = 2.0 * p_a[i] - 1.0;
    const double weight = weights[i];
    outcomes.push_back({differences[i] / scale, weight * std::max(lead, 0.0), weight * std::max(-lead, 0.0),
                        weight * (1.0 - std::abs(lead))});
  }
  outcomes.push_back({1.0, 0.5, 0.5, 0.0});
  const double inverse = minimise(1.0, [&](double value) { return expand_winners(outcomes, value); });
  if (!(inverse > 1e-4)) return std::nullopt;
  outcomes.pop_back();
  PairCalibration fitted{scale / inverse, std::nullopt, expand_winners(outcomes, inverse).value / total};
  if (!(ties > 0.0)) return fitted;
  const double half = minimise(0.0, [&](double value) { return expand_ties(outcomes, inverse, value); });
  fitted.tie_width = 2.0 * half;
  fitted.log_loss += expand_ties(outcomes, inverse, half).value / total;
  return fitted;
}

nlohmann::json calibrate(const Examples& examples, const ScoreRows& score) {
  const std::vector<PreferencePair>& pairs = examples.pairs[kValidation];
  nlohmann::json record = {{"temperature", nullptr},
                           {"tie_width", nullptr},
                           {"log_loss", nullptr},
                           {"pairs", pairs.size()},
                           {"mean", nullptr},
                           {"standard_deviation", nullptr},
                           {"rows", 0}};
  std::set<std::pair<std::uint32_t, std::uint32_t>> rows;
  for (const LabelledPoint& point : examples.points[kValidation]) rows.emplace(point.text, point.image);
  std::vector<std::uint32_t> images;
  std::vector<std::uint32_t> texts;
  for (const PreferencePair& pair : pairs) {
    images.insert(images.end(), {pair.image_a, pair.image_b});
    texts.insert(texts.end(), {pair.text, pair.text});
    rows.emplace(pair.text, pair.image_a);
    rows.emplace(pair.text, pair.image_b);
  }
  if (!pairs.empty()) {
    const std::vector<float> scores = score(images, texts);
    std::vector<double> differences;
    std::vector<float> p_a;
    std::vector<float> weights;
    for (std::size_t i = 0; i < pairs.size(); ++i) {
      differences.push_back(static_cast<double>(scores[2 * i]) - scores[2 * i + 1]);
      p_a.push_back(pairs[i].p_a);
      weights.push_back(pairs[i].weight);
    }
    if (const auto fitted = calibrate_pairs(differences, p_a, weights)) {
      record["temperature"] = fitted->temperature;
      if (fitted->tie_width) record["tie_width"] = *fitted->tie_width;
      record["log_loss"] = fitted->log_loss;
    }
  }
  if (rows.empty()) return record;
  images.clear();
  texts.clear();
  for (const auto& [text, image] : rows) {
    images.push_back(image);
    texts.push_back(text);
  }
  const std::vector<float> scores = score(images, texts);
  const auto count = static_cast<double>(scores.size());
  double mean = 0.0;
  for (const float value : scores) mean += value / count;
  double variance = 0.0;
  for (const float value : scores) variance += (value - mean) * (value - mean) / count;
  record["mean"] = mean;
  record["standard_deviation"] = std::sqrt(variance);
  record["rows"] = scores.size();
  return record;
}

}  // namespace imagerank::reward
