#include "reward/validation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <span>
#include <utility>
#include <vector>

#include "reward/inference.h"

namespace imagerank::reward {
namespace {

constexpr auto kValidation = static_cast<std::size_t>(Split::kValidation);

std::vector<float> outputs_of(const Head& head, Loss loss, std::int32_t classes, const TrainingSet& set,
                              const std::vector<std::uint32_t>& images, const std::vector<std::uint32_t>& texts) {
  return run_head(head, set.scaler.dim(), static_cast<std::size_t>(output_count(loss, classes)), images.size(),
                  [&](std::size_t begin, std::size_t end, float* out) {
                    gather_rows(set, std::span(images).subspan(begin, end - begin),
                                std::span(texts).subspan(begin, end - begin), out);
                  });
}

double softplus(double value) { return std::max(value, 0.0) + std::log1p(std::exp(-std::abs(value))); }

/// The loss's value for one labelled row, in double. @param outputs  of the row.
double row_loss(Loss loss, std::span<const float> outputs, std::int32_t label) {
  if (loss == Loss::kMse) return (outputs[0] - static_cast<float>(label)) * (outputs[0] - static_cast<float>(label));
  if (loss == Loss::kBce) return softplus(outputs[0]) - label * static_cast<double>(outputs[0]);
  const double largest = *std::ranges::max_element(outputs);
  double sum = 0.0;
  for (const float value : outputs) sum += std::exp(value - largest);
  return std::log(sum) + largest - outputs[static_cast<std::size_t>(label)];
}

std::int32_t predicted_class(Loss loss, std::int32_t classes, std::span<const float> outputs) {
  if (loss == Loss::kBce) return outputs[0] > 0.0F ? 1 : 0;
  if (loss == Loss::kMse) return std::clamp(static_cast<std::int32_t>(std::lround(outputs[0])), 0, classes - 1);
  return static_cast<std::int32_t>(std::ranges::max_element(outputs) - outputs.begin());
}

/// Mean and variance.
std::pair<double, double> moments(const std::vector<double>& values) {
  double mean = 0.0;
  for (const double value : values) mean += value / static_cast<double>(values.size());
  double variance = 0.0;
  for (const double value : values) variance += (value - mean) * (value - mean) / static_cast<double>(values.size());
  return {mean, variance};
}

void validate_points(const Head& head, Loss loss, const Examples& examples, const TrainingSet& set, Validation& out) {
  const std::vector<LabelledPoint>& points = examples.points[kValidation];
  if (points.empty() || uses_pairs(loss)) return;
  std::vector<std::uint32_t> images;
  std::vector<std::uint32_t> texts;
  std::vector<double> labels;
  for (const LabelledPoint& point : points) {
    images.push_back(point.image);
    texts.push_back(point.text);
    labels.push_back(point.label);
  }
  const std::vector<float> outputs = outputs_of(head, loss, examples.class_count, set, images, texts);
  const std::size_t width = outputs.size() / points.size();
  double total = 0.0;
  double right = 0.0;
  std::vector<std::size_t> predicted(static_cast<std::size_t>(examples.class_count), 0);
  std::vector<double> numbers;
  for (std::size_t i = 0; i < points.size(); ++i) {
    const auto row = std::span(outputs).subspan(i * width, width);
    total += row_loss(loss, row, points[i].label);
    const std::int32_t guess = predicted_class(loss, examples.class_count, row);
    right += guess == points[i].label ? 1.0 : 0.0;
    ++predicted[static_cast<std::size_t>(guess)];
    numbers.push_back(row[0]);
  }
  const auto count = static_cast<double>(points.size());
  out.loss = total / count;
  out.metrics["accuracy"] = right / count;
  const double label_variance = moments(labels).second;
  if (loss == Loss::kMse) {
    if (label_variance > 0.0) out.metrics["r2"] = 1.0 - *out.loss / label_variance;
    if (label_variance > 0.0 && moments(numbers).second < 1e-6 * label_variance) {
      out.collapse = fmt::format("the head gives one number for all {} validation points", points.size());
    }
    return;
  }
  const auto common = std::ranges::max_element(predicted);
  if (label_variance > 0.0 && *common == points.size()) {
    out.collapse = fmt::format(
        "the head predicts one class ({}) for all {} validation points: its accuracy is that of the class's share",
        common - predicted.begin(), points.size());
  }
}

void validate_pairs(const Head& head, Loss loss, const Examples& examples, const TrainingSet& set, Validation& out) {
  const std::vector<PreferencePair>& pairs = examples.pairs[kValidation];
  if (pairs.empty()) return;
  std::vector<std::uint32_t> images;
  std::vector<std::uint32_t> texts;
  for (const PreferencePair& pair : pairs) {
    images.insert(images.end(), {pair.image_a, pair.image_b});
    texts.insert(texts.end(), {pair.text, pair.text});
  }
  const std::vector<float> scores =
      scores_from_outputs(loss, examples.class_count, outputs_of(head, loss, examples.class_count, set, images, texts))
          .score;
  double total = 0.0;
  double weights = 0.0;
  double strict = 0.0;
  double right = 0.0;
  bool all_equal = true;
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    const double difference = static_cast<double>(scores[2 * i]) - scores[2 * i + 1];
    const double p = pairs[i].p_a;
    total += pairs[i].weight * (softplus(difference) - p * difference);
    weights += pairs[i].weight;
    all_equal = all_equal && std::abs(difference) < 1e-9;
    if (pairs[i].p_a < 0.5F || pairs[i].p_a > 0.5F) {
      strict += 1.0;
      right += (p > 0.5 ? difference > 0.0 : difference < 0.0) ? 1.0 : 0.0;
    }
  }
  if (strict > 0.0) out.metrics["pair_accuracy_strict"] = right / strict;
  if (!uses_pairs(loss)) return;
  if (weights > 0.0) out.loss = total / weights;
  if (all_equal)
    out.collapse = fmt::format("the head gives both images of all {} validation pairs one score", pairs.size());
}

}  // namespace

Validation validate(const Head& head, Loss loss, const Examples& examples, const TrainingSet& set) {
  Validation result;
  result.metrics = {{"loss", nullptr}, {"accuracy", nullptr}, {"r2", nullptr}, {"pair_accuracy_strict", nullptr}};
  validate_points(head, loss, examples, set, result);
  validate_pairs(head, loss, examples, set, result);
  if (result.loss) result.metrics["loss"] = *result.loss;
  return result;
}

}  // namespace imagerank::reward
