#include "evaluation/baselines.h"

#include <algorithm>
#include <cmath>

namespace imagerank::evaluation {
namespace {

std::vector<double> label_counts(const SplitTruth& truth) {
  std::vector<double> counts(static_cast<std::size_t>(truth.class_count));
  for (const auto label : truth.point_label) counts[static_cast<std::size_t>(label)] += 1.0;
  return counts;
}

double expected_label(std::span<const double> row) {
  double sum = 0.0;
  for (std::size_t c = 0; c < row.size(); ++c) sum += static_cast<double>(c) * row[c];
  return sum;
}

/// The same answer for everything: scores `shares` for the classes.
Predictions constant_predictions(const SplitTruth& truth, std::span<const double> shares) {
  Predictions result;
  result.pair_a.assign(truth.pairs(), 0.0);
  result.pair_b = result.pair_a;
  result.candidates.assign(truth.relevance.size(), 0.0);
  if (shares.empty()) return result;
  for (std::size_t i = 0; i < truth.points(); ++i) {
    result.class_scores.insert(result.class_scores.end(), shares.begin(), shares.end());
  }
  result.values.assign(truth.points(), expected_label(shares));
  result.classes = likeliest_classes(result.class_scores, truth.class_count);
  return result;
}

Predictions majority_predictions(const SplitTruth& train, const SplitTruth& measured) {
  if (train.points() == 0) return constant_predictions(measured, {});
  auto shares = label_counts(train);
  for (auto& share : shares) share /= static_cast<double>(train.points());
  auto result = constant_predictions(measured, shares);
  result.probabilities = result.class_scores;
  return result;
}

/// With three labels a tie has a label of its own, 1; with two nobody knows what a tie would be.
Predictions tie_predictions(const SplitTruth& measured) {
  if (measured.class_count != 3) return constant_predictions(measured, {});
  return constant_predictions(measured, std::array{0.0, 1.0, 0.0});
}

/// A ridge model of one side's vectors, with its scores of every row it is asked about.
class OneSide {
 public:
  OneSide(std::span<const float> vectors, std::size_t dim, RidgeModel model)
      : vectors_(vectors), dim_(dim), model_(std::move(model)) {}

  [[nodiscard]] std::vector<double> scores(std::uint32_t row) const {
    return model_.scores(vectors_.subspan(std::size_t{row} * dim_, dim_));
  }
  [[nodiscard]] double utility(std::uint32_t row) {
    if (utilities_.empty()) utilities_.resize(vectors_.size() / dim_);
    auto& known = utilities_[row];
    if (!known) known = expected_label(scores(row));
    return *known;
  }
  void predict_points(const SplitTruth& truth, std::span<const std::uint32_t> rows, Predictions& out) const {
    for (const auto row : rows) {
      const auto answer = scores(row);
      out.class_scores.insert(out.class_scores.end(), answer.begin(), answer.end());
      out.values.push_back(expected_label(answer));
    }
    out.classes = likeliest_classes(out.class_scores, truth.class_count);
  }

 private:
  std::span<const float> vectors_;
  std::size_t dim_;
  RidgeModel model_;
  std::vector<std::optional<double>> utilities_;
};

double cosine(std::span<const float> a, std::span<const float> b) {
  double dot = 0.0;
  double a_squared = 0.0;
  double b_squared = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    dot += double{a[i]} * double{b[i]};
    a_squared += double{a[i]} * double{a[i]};
    b_squared += double{b[i]} * double{b[i]};
  }
  return a_squared > 0.0 && b_squared > 0.0 ? dot / std::sqrt(a_squared * b_squared) : 0.0;
}

BaselineResult finish(Predictions predictions, double threshold, const SplitTruth& truth, const Bootstrap& bootstrap) {
  BaselineResult result;
  result.measurement = measure(truth, predictions, threshold, bootstrap);
  result.predictions = std::move(predictions);
  result.pickscore_threshold = threshold;
  return result;
}

enum class Side { kImage, kText };

BaselineResult measure_one_side(Side side, const Vectors& vectors, const SplitData& train, const SplitData& validation,
                                const SplitData& measured, const Bootstrap& bootstrap) {
  if (train.truth.points() == 0 || vectors.dim == 0) return {};
  const auto point_rows = [side](const SplitData& data) {
    return side == Side::kImage ? data.rows.point_image : data.rows.point_text;
  };
  const auto table = side == Side::kImage ? vectors.images : vectors.texts;
  OneSide model(table, vectors.dim,
                fit_ridge(table, vectors.dim, train.truth.class_count, {point_rows(train), train.truth.point_label},
                          {point_rows(validation), validation.truth.point_label}));
  const UtilityFunction utility = [&](std::uint32_t image, std::uint32_t text) {
    return model.utility(side == Side::kImage ? image : text);
  };
  const double threshold = threshold_from_validation(validation.truth, predict_preferences(validation, utility));
  auto predictions = predict_preferences(measured, utility);
  model.predict_points(measured.truth, point_rows(measured), predictions);
  return finish(std::move(predictions), threshold, measured.truth, bootstrap);
}

BaselineResult measure_cosine(const Vectors& vectors, const SplitData& validation, const SplitData& measured,
                              const Bootstrap& bootstrap) {
  if (vectors.dim == 0) return {};
  // CLIP's own scale, 100, as PickScore has it, so that its threshold on probabilities means the same.
  const UtilityFunction utility = [&](std::uint32_t image, std::uint32_t text) {
    return 100.0 * cosine(vectors.images.subspan(std::size_t{image} * vectors.dim, vectors.dim),
                          vectors.texts.subspan(std::size_t{text} * vectors.dim, vectors.dim));
  };
  const double threshold = threshold_from_validation(validation.truth, predict_preferences(validation, utility));
  auto predictions = predict_preferences(measured, utility);
  if (measured.truth.class_count == 2) {
    std::vector<double> values;
    values.reserve(measured.truth.points());
    for (std::size_t i = 0; i < measured.truth.points(); ++i) {
      values.push_back(utility(measured.rows.point_image[i], measured.rows.point_text[i]));
    }
    predictions.class_scores = closeness_scores(values, 2);
  }
  return finish(std::move(predictions), threshold, measured.truth, bootstrap);
}

/// Labels drawn uniformly, in expectation.
void add_random_labels(const SplitTruth& truth, Measurement& result) {
  const auto classes = static_cast<std::size_t>(truth.class_count);
  const double share = 1.0 / static_cast<double>(classes);
  const auto counts = label_counts(truth);
  std::vector<double> confusion;
  double sum = 0.0;
  double squares = 0.0;
  double error = 0.0;
  int present = 0;
  for (std::size_t label = 0; label < classes; ++label) {
    const auto y = static_cast<double>(label);
    confusion.insert(confusion.end(), classes, counts[label] * share);
    sum += counts[label] * y;
    squares += counts[label] * y * y;
    for (std::size_t guess = 0; guess < classes; ++guess) {
      error += counts[label] * share * std::pow(y - static_cast<double>(guess), 2);
    }
    if (counts[label] > 0.0) ++present;
  }
  at(result, Metric::kAccuracy).value = accuracy(confusion, classes);
  at(result, Metric::kBalancedAccuracy).value = balanced_accuracy(confusion, classes);
  at(result, Metric::kMacroF1).value = macro_f1(confusion, classes);
  at(result, Metric::kR2).value = r2(static_cast<double>(truth.points()), sum, squares, error);
  if (present > 1) at(result, Metric::kAuc).value = 0.5;
  const std::vector<double> uniform(classes, share);
  at(result, Metric::kBrier).value = brier_row(uniform, 0);
  at(result, Metric::kLogLoss).value = log_loss_row(uniform, 0);
  at(result, Metric::kEce).value = 0.0;  // confidence 1 / classes, and right as often
}

}  // namespace

std::string_view baseline_definition(Baseline baseline) noexcept {
  switch (baseline) {
    case Baseline::kMajority:
      return "Answers the commonest training label, with the training shares as probabilities; one utility for all, so "
             "every pair is a wrong tie.";
    case Baseline::kRandom:
      return "Answers at random; expected value, so without an interval.";
    case Baseline::kAlwaysTie:
      return "Calls every pair a tie; with three labels, label 1 for every row.";
    case Baseline::kPromptOnly:
      return "Ridge regression on the prompt's vector alone; cannot tell the images of a prompt apart.";
    case Baseline::kImageOnly:
      return "Ridge regression on the image's vector alone; does not know the prompt.";
    case Baseline::kClipCosine:
      return "Cosine of the encoder's two vectors, without any training on preferences.";
    case Baseline::kOracle:
      return "The true utility of a simulated world: the best that any judge of these noisy votes can do.";
  }
  return "";
}

Predictions predict_preferences(const SplitData& data, const UtilityFunction& utility) {
  Predictions result;
  const auto& rows = data.rows;
  for (std::size_t i = 0; i < rows.pair_text.size(); ++i) {
    result.pair_a.push_back(utility(rows.pair_image_a[i], rows.pair_text[i]));
    result.pair_b.push_back(utility(rows.pair_image_b[i], rows.pair_text[i]));
  }
  for (std::size_t i = 0; i < rows.candidate_text.size(); ++i) {
    result.candidates.push_back(utility(rows.candidate_image[i], rows.candidate_text[i]));
  }
  return result;
}

BaselineResults measure_baselines(const Vectors& vectors, const SplitData& train, const SplitData& validation,
                                  const SplitData& measured, const UtilityFunction& oracle,
                                  const Bootstrap& bootstrap) {
  BaselineResults results;
  const auto result = [&](Baseline baseline) -> BaselineResult& { return results[static_cast<std::size_t>(baseline)]; };
  result(Baseline::kMajority) =
      finish(majority_predictions(train.truth, measured.truth), 0.0, measured.truth, bootstrap);
  result(Baseline::kRandom).measurement = random_measurement(measured.truth);
  result(Baseline::kAlwaysTie) = finish(tie_predictions(measured.truth), 0.0, measured.truth, bootstrap);
  result(Baseline::kPromptOnly) = measure_one_side(Side::kText, vectors, train, validation, measured, bootstrap);
  result(Baseline::kImageOnly) = measure_one_side(Side::kImage, vectors, train, validation, measured, bootstrap);
  result(Baseline::kClipCosine) = measure_cosine(vectors, validation, measured, bootstrap);
  if (oracle) {
    const double threshold = threshold_from_validation(validation.truth, predict_preferences(validation, oracle));
    result(Baseline::kOracle) = finish(predict_preferences(measured, oracle), threshold, measured.truth, bootstrap);
  }
  return results;
}

Measurement measurement_on_pairs(Baseline baseline, const BaselineResult& result, const SplitTruth& truth,
                                 const Bootstrap& bootstrap) {
  std::vector<double> stated;
  switch (baseline) {
    case Baseline::kMajority:
    case Baseline::kRandom:
    case Baseline::kAlwaysTie:
      stated.assign(truth.pairs(), 0.5);
      break;
    case Baseline::kClipCosine:
      for (std::size_t i = 0; i < result.predictions.pair_a.size(); ++i) {
        stated.push_back(pair_probability(result.predictions.pair_a[i], result.predictions.pair_b[i]));
      }
      break;
    case Baseline::kPromptOnly:
    case Baseline::kImageOnly:
    case Baseline::kOracle:
      break;
  }
  const auto of_pairs = measure_pair_probabilities(truth, stated, bootstrap);
  auto measurement = result.measurement;
  for (const auto metric : {Metric::kBrier, Metric::kLogLoss, Metric::kEce}) {
    at(measurement, metric) = at(of_pairs, metric);
  }
  return measurement;
}

Measurement random_measurement(const SplitTruth& truth) {
  Measurement result;
  // The metrics of rankings break tied scores in expectation, so a constant is a random order; its correlation is 0.
  const auto constant = measure(truth, constant_predictions(truth, {}), 0.0, Bootstrap(truth.prompt_count, 0));
  if (truth.points() > 0) add_random_labels(truth, result);
  if (truth.pairs() > 0) at(result, Metric::kPairPickscore).value = 0.5;
  if (truth.strict_pairs() > 0) {
    at(result, Metric::kPairStrictMicro).value = 0.5;
    at(result, Metric::kPairStrictMacro).value = 0.5;
  }
  if (at(constant, Metric::kPairImageReward).value) at(result, Metric::kPairImageReward).value = 0.5;
  for (const auto metric : {Metric::kPairHpsInversion, Metric::kKendallTauB, Metric::kSpearman, Metric::kNdcgAt4,
                            Metric::kRecallAt1, Metric::kRecallAt2, Metric::kRecallAt4, Metric::kFilterAt1,
                            Metric::kFilterAt2, Metric::kFilterAt4, Metric::kBestOfNLift}) {
    at(result, metric).value = at(constant, metric).value;
  }
  return result;
}

double threshold_from_validation(const SplitTruth& validation, const Predictions& predictions) {
  if (predictions.pair_a.empty()) return 0.0;
  return choose_pickscore_threshold(validation.pair_p_a, predictions.pair_a, predictions.pair_b);
}

}  // namespace imagerank::evaluation
