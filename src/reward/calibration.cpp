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

struct Point {
  double slope = 1.0;  ///< 1 / temperature
  double width = 0.0;
};

/// Value, gradient and Hessian of the negative log likelihood.
struct Expansion {
  double value = 0.0;
  double by_slope = 0.0, by_width = 0.0;
  double slope_slope = 0.0, slope_width = 0.0, width_width = 0.0;
};

Expansion expand(const std::vector<Outcome>& outcomes, const Point& point, bool has_ties) {
  Expansion sum;
  // Of log(e^(2w) - 1), which belongs to each tie.
  const double shrink = has_ties ? -std::expm1(-2.0 * point.width) : 1.0;
  const double log_ties = has_ties ? 2.0 * point.width + std::log(shrink) : 0.0;
  for (const Outcome& outcome : outcomes) {
    const double d = outcome.difference;
    const double not_b = outcome.a + outcome.tie;
    const double not_a = outcome.b + outcome.tie;
    const double of_a = point.slope * d - point.width;
    const double of_b = -point.slope * d - point.width;
    const double p_a = sigmoid(of_a);
    const double p_b = sigmoid(of_b);
    sum.value += not_b * softplus(-of_a) + not_a * softplus(-of_b) - outcome.tie * log_ties;
    sum.by_slope += d * (not_a * (1.0 - p_b) - not_b * (1.0 - p_a));
    sum.by_width += not_b * (1.0 - p_a) + not_a * (1.0 - p_b) - outcome.tie * 2.0 / shrink;
    const double curve_a = not_b * p_a * (1.0 - p_a);
    const double curve_b = not_a * p_b * (1.0 - p_b);
    sum.slope_slope += d * d * (curve_a + curve_b);
    sum.slope_width += d * (curve_b - curve_a);
    sum.width_width += curve_a + curve_b + outcome.tie * 4.0 * std::exp(-2.0 * point.width) / (shrink * shrink);
  }
  return sum;
}

Point newton(const std::vector<Outcome>& outcomes, bool has_ties) {
  Point point{1.0, has_ties ? 0.5 : 0.0};
  Expansion here = expand(outcomes, point, has_ties);
  for (int round = 0; round < 200; ++round) {
    Point step;
    if (has_ties) {
      const double determinant = here.slope_slope * here.width_width - here.slope_width * here.slope_width;
      if (!(determinant > 0.0)) break;
      step.slope = (here.width_width * here.by_slope - here.slope_width * here.by_width) / determinant;
      step.width = (here.slope_slope * here.by_width - here.slope_width * here.by_slope) / determinant;
    } else {
      step = {here.by_slope / here.slope_slope, 0.0};
    }
    double share = 1.0;
    Point next;
    Expansion there;
    for (; share > 1e-12; share *= 0.5) {
      next = {point.slope - share * step.slope, point.width - share * step.width};
      if (has_ties && next.width <= 0.0) continue;
      there = expand(outcomes, next, has_ties);
      if (there.value <= here.value) break;
    }
    const double gain = here.value - there.value;
    if (share <= 1e-12) break;
    point = next;
    here = there;
    if (gain <= 1e-14 * (1.0 + std::abs(here.value))) break;
  }
  return point;
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
  const bool has_ties = ties > 0.0;
  const Point best = newton(outcomes, has_ties);
  if (!(best.slope > 1e-4)) return std::nullopt;
  outcomes.pop_back();
  return PairCalibration{scale / best.slope, best.width, expand(outcomes, best, has_ties).value / total};
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
      record["tie_width"] = fitted->tie_width;
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
