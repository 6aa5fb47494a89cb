#include "reward/validation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include "reward/batch.h"
#include "reward/inference.h"

namespace imagerank::reward {
namespace {

constexpr auto kValidation = static_cast<std::size_t>(Split::kValidation);

/// What is being measured.
struct Subject {
  const Head& head;
  const Objective& objective;
  const Examples& examples;
  const TrainingSet& set;

  [[nodiscard]] Loss loss() const { return objective.options().loss; }
  [[nodiscard]] std::size_t width() const {
    return static_cast<std::size_t>(output_count(loss(), examples.class_count));
  }
  /// The head's numbers, [rows, width()].
  [[nodiscard]] std::vector<float> outputs(std::span<const std::uint32_t> images,
                                           std::span<const std::uint32_t> texts) const {
    return run_head(head, set.scaler.dim(), width(), images.size(),
                    [&](std::size_t begin, std::size_t end, float* out) {
                      set.gather(images.subspan(begin, end - begin), texts.subspan(begin, end - begin), out);
                    });
  }
};

std::int32_t predicted_class(Loss loss, std::int32_t classes, std::span<const float> outputs) {
  if (loss == Loss::kBce) return outputs[0] > 0.0F ? 1 : 0;
  if (loss == Loss::kMse) {
    const float nearest = std::round(std::clamp(outputs[0], 0.0F, static_cast<float>(classes - 1)));
    return static_cast<std::int32_t>(nearest);
  }
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

/// The objective over all units at once. @param outputs  of the batch's own rows.
double mean_loss(const Subject& subject, const Batch& batch, const std::vector<float>& outputs) {
  const at::NoGradGuard guard;
  at::Tensor numbers =
      at::empty({static_cast<std::int64_t>(batch.own_rows), static_cast<std::int64_t>(subject.width())}, at::kFloat);
  std::ranges::copy(outputs, numbers.data_ptr<float>());
  const at::Tensor losses = subject.objective.unit_losses(numbers.to(at::kDouble), batch);
  double total = 0.0;
  double weights = 0.0;
  for (std::size_t i = 0; i < batch.unit_count(); ++i) {
    total += batch.weights[i] * losses.data_ptr<double>()[i];
    weights += batch.weights[i];
  }
  return total / weights;
}

void measure_points(const Subject& subject, const std::vector<float>& outputs, Validation& out) {
  const Loss loss = subject.loss();
  const std::vector<LabelledPoint>& points = subject.set.validation.points;
  const std::size_t width = subject.width();
  double right = 0.0;
  double squares = 0.0;
  std::vector<std::size_t> predicted(static_cast<std::size_t>(subject.examples.class_count), 0);
  std::vector<double> numbers;
  std::vector<double> labels;
  for (std::size_t i = 0; i < points.size(); ++i) {
    const auto row = std::span(outputs).subspan(i * width, width);
    const std::int32_t guess = predicted_class(loss, subject.examples.class_count, row);
    right += guess == points[i].label ? 1.0 : 0.0;
    ++predicted[static_cast<std::size_t>(guess)];
    numbers.push_back(row[0]);
    labels.push_back(points[i].label);
    squares += (numbers.back() - labels.back()) * (numbers.back() - labels.back());
  }
  const auto count = static_cast<double>(points.size());
  out.metrics["accuracy"] = right / count;
  const double label_variance = moments(labels).second;
  if (loss == Loss::kMse) {
    if (label_variance > 0.0) out.metrics["r2"] = 1.0 - squares / count / label_variance;
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

/// Strict pair accuracy, whatever the loss reads.
void measure_pairs(const Subject& subject, Validation& out) {
  const std::vector<PreferencePair>& pairs = subject.examples.pairs[kValidation];
  std::vector<std::uint32_t> images;
  std::vector<std::uint32_t> texts;
  std::vector<bool> a_is_better;
  for (const PreferencePair& pair : pairs) {
    const bool strict = pair.p_a < 0.5F || pair.p_a > 0.5F;
    if (!strict) continue;
    images.insert(images.end(), {pair.image_a, pair.image_b});
    texts.insert(texts.end(), {pair.text, pair.text});
    a_is_better.push_back(pair.p_a > 0.5F);
  }
  if (a_is_better.empty()) return;
  const std::vector<float> scores =
      scores_from_outputs(subject.loss(), subject.examples.class_count, subject.outputs(images, texts)).score;
  double right = 0.0;
  bool all_equal = true;
  for (std::size_t i = 0; i < a_is_better.size(); ++i) {
    const float difference = scores[2 * i] - scores[2 * i + 1];
    all_equal = all_equal && std::abs(difference) < 1e-9F;
    right += (a_is_better[i] ? difference > 0.0F : difference < 0.0F) ? 1.0 : 0.0;
  }
  out.metrics["pair_accuracy_strict"] = right / static_cast<double>(a_is_better.size());
  if (gives_utility(subject.loss()) && all_equal) {
    out.collapse =
        fmt::format("the head gives both images of all {} strict validation pairs one score", a_is_better.size());
  }
}

}  // namespace

Validation validate(const Head& head, const Objective& objective, const Examples& examples, const TrainingSet& set) {
  Validation result;
  result.metrics = {{"loss", nullptr}, {"accuracy", nullptr}, {"r2", nullptr}, {"pair_accuracy_strict", nullptr}};
  const Subject subject{head, objective, examples, set};
  if (set.validation.size() > 0) {
    std::vector<std::uint32_t> order(set.validation.size());
    std::iota(order.begin(), order.end(), 0U);
    const Batch batch = make_batch(examples, set.validation, order);
    const std::vector<float> outputs = subject.outputs(batch.images, batch.texts);
    result.loss = mean_loss(subject, batch, outputs);
    if (!set.validation.points.empty()) measure_points(subject, outputs, result);
  }
  measure_pairs(subject, result);
  if (result.loss) result.metrics["loss"] = *result.loss;
  return result;
}

}  // namespace imagerank::reward
