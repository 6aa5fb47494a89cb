#include "evaluation/metrics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace imagerank::evaluation {
namespace {

double weight_of(std::span<const std::uint16_t> group_weight, std::uint32_t group) {
  return group_weight.empty() ? 1.0 : static_cast<double>(group_weight[group]);
}

/// Scores are copied from one source, so equality is meant exactly.
bool same(double a, double b) { return !(a < b) && !(b < a); }

bool all_same(std::span<const double> values) {
  return std::ranges::all_of(values, [&](double value) { return same(value, values.front()); });
}

/// Places 1..n, equal values sharing their mean place.
std::vector<double> mid_ranks(std::span<const double> values) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, [&](std::size_t a, std::size_t b) { return values[a] < values[b]; });
  std::vector<double> ranks(values.size());
  for (std::size_t begin = 0; begin < order.size();) {
    std::size_t end = begin + 1;
    while (end < order.size() && same(values[order[end]], values[order[begin]])) ++end;
    for (std::size_t i = begin; i < end; ++i) ranks[order[i]] = (static_cast<double>(begin + end) + 1.0) / 2.0;
    begin = end;
  }
  return ranks;
}

int sign(double value) {
  if (value > 0.0) return 1;
  return value < 0.0 ? -1 : 0;
}

}  // namespace

std::string_view metric_definition(Metric metric) noexcept {
  switch (metric) {
    case Metric::kAccuracy:
      return "Share of test rows whose label is predicted: the likeliest class, or a regression's number rounded to "
             "the "
             "nearest label. Read it beside the majority's share.";
    case Metric::kBalancedAccuracy:
      return "Mean recall over the classes that occur; any constant gets one over their number.";
    case Metric::kMacroF1:
      return "Mean F1 over the classes that occur in truth or prediction; a class never hit counts 0.";
    case Metric::kAuc:
      return "Chance that a row of the class scores above one that is not, ties half; with three classes the mean of "
             "one against the rest (a regression's score for class c is its closeness to c).";
    case Metric::kR2:
      return "1 - squared error / squared error of the test mean, of the number or of the expected label; 0 is the "
             "mean.";
    case Metric::kPairStrictMicro:
      return "Share of pairs with a winner in which the winner scores strictly higher; equal scores are wrong, ties in "
             "the votes are left out (ImageReward's convention).";
    case Metric::kPairStrictMacro:
      return "Share of a prompt's pairs with a winner in which the winner scores strictly higher, then the mean over "
             "prompts; equal scores are wrong, ties in the votes are left out.";
    case Metric::kPairPickscore:
      return "All pairs, ties too: a tie is predicted within a threshold chosen on validation; half a credit where "
             "exactly one of vote and prediction is a tie (PickScore's convention).";
    case Metric::kPairHpsInversion:
      return "1 - inverted pairs / all pairs of a ranking, tied votes counting as right and tied scores as half, mean "
             "over a prompt's rankings, then over prompts (HPSv2's convention).";
    case Metric::kPairImageReward:
      return "Share of all pairs within rankings that the votes decide in which the better image scores strictly "
             "higher, over all rankings together; ties in the votes are left out (ImageReward's convention).";
    case Metric::kKendallTauB:
      return "Kendall's tau-b of votes and scores within a ranking, mean over rankings with a winner; with one best of "
             "four its ceiling is 0.707.";
    case Metric::kSpearman:
      return "Spearman's rank correlation within a ranking, mean over rankings with a winner.";
    case Metric::kNdcgAt4:
      return "Discounted cumulative gain of the four highest scores over the best possible, linear gain, mean over "
             "rankings with a winner.";
    case Metric::kRecallAt1:
      return "Share of rankings with a winner whose highest score is a best image; tied scores share the credit.";
    case Metric::kRecallAt2:
      return "Share of rankings with a winner that have a best image among the two highest scores; rankings in which "
             "any order has one are left out.";
    case Metric::kRecallAt4:
      return "Share of rankings with a winner that have a best image among the four highest scores; rankings in which "
             "any order has one, such as those of four images, are left out.";
    case Metric::kFilterAt1:
      return "Share of rankings with a winner whose lowest score is a worst image; tied scores share the credit. With "
             "one best of four, three of four images are worst: read it beside the random baseline.";
    case Metric::kFilterAt2:
      return "Share of rankings with a winner that have a worst image among the two lowest scores; rankings in which "
             "any order has one, such as those with one best of four, are left out.";
    case Metric::kFilterAt4:
      return "Share of rankings with a winner that have a worst image among the four lowest scores; rankings in which "
             "any order has one are left out.";
    case Metric::kBestOfNLift:
      return "How many times as often the highest score of a ranking is a best image as one taken at random is; 1 is "
             "chance, and with one best of four 4 is the most.";
    case Metric::kBrier:
      return "Squared error of the probabilities that it states: of label 1 with two labels, summed over labels with "
             "three; of the winner for a pair loss. Lower is better.";
    case Metric::kLogLoss:
      return "Mean -ln of the probability that it states for what came true: the label, or a pair's winner for a pair "
             "loss. Lower is better.";
    case Metric::kEce:
      return "Expected calibration error of the probability that it states for its own answer (a label, or a pair's "
             "winner for a pair loss), over 15 equal-mass bins. Lower is better.";
  }
  return "";
}

bool is_share(Metric metric) noexcept {
  switch (metric) {
    case Metric::kAccuracy:
    case Metric::kBalancedAccuracy:
    case Metric::kPairStrictMicro:
    case Metric::kPairStrictMacro:
    case Metric::kPairPickscore:
    case Metric::kPairHpsInversion:
    case Metric::kPairImageReward:
    case Metric::kRecallAt1:
    case Metric::kRecallAt2:
    case Metric::kRecallAt4:
    case Metric::kFilterAt1:
    case Metric::kFilterAt2:
    case Metric::kFilterAt4:
      return true;
    default:
      return false;
  }
}

std::optional<double> accuracy(std::span<const double> confusion, std::size_t classes) {
  double hit = 0.0;
  for (std::size_t c = 0; c < classes; ++c) hit += confusion[c * classes + c];
  const double total = std::accumulate(confusion.begin(), confusion.end(), 0.0);
  if (total <= 0.0) return std::nullopt;
  return hit / total;
}

std::optional<double> balanced_accuracy(std::span<const double> confusion, std::size_t classes) {
  double recalls = 0.0;
  int present = 0;
  for (std::size_t truth = 0; truth < classes; ++truth) {
    const auto row = confusion.subspan(truth * classes, classes);
    const double rows = std::accumulate(row.begin(), row.end(), 0.0);
    if (rows <= 0.0) continue;
    recalls += row[truth] / rows;
    ++present;
  }
  if (present == 0) return std::nullopt;
  return recalls / present;
}

std::optional<double> macro_f1(std::span<const double> confusion, std::size_t classes) {
  double sum = 0.0;
  int present = 0;
  for (std::size_t c = 0; c < classes; ++c) {
    double truth = 0.0;
    double predicted = 0.0;
    for (std::size_t other = 0; other < classes; ++other) {
      truth += confusion[c * classes + other];
      predicted += confusion[other * classes + c];
    }
    if (truth + predicted <= 0.0) continue;
    sum += 2.0 * confusion[c * classes + c] / (truth + predicted);
    ++present;
  }
  if (present == 0) return std::nullopt;
  return sum / present;
}

std::optional<double> r2(double count, double sum, double sum_of_squares, double squared_error) {
  if (count <= 0.0) return std::nullopt;
  const double total = sum_of_squares - sum * sum / count;
  if (total <= 1e-9 * std::max(1.0, sum_of_squares)) return std::nullopt;
  return 1.0 - squared_error / total;
}

std::optional<double> auc(std::span<const ScoredRow> sorted, std::span<const std::uint16_t> group_weight) {
  double negatives = 0.0;
  double positives = 0.0;
  double above = 0.0;
  for (std::size_t begin = 0; begin < sorted.size();) {
    double tied_positives = 0.0;
    double tied_negatives = 0.0;
    std::size_t end = begin;
    for (; end < sorted.size() && same(sorted[end].score, sorted[begin].score); ++end) {
      const double weight = weight_of(group_weight, sorted[end].group);
      (sorted[end].positive ? tied_positives : tied_negatives) += weight;
    }
    above += tied_positives * (negatives + 0.5 * tied_negatives);
    positives += tied_positives;
    negatives += tied_negatives;
    begin = end;
  }
  if (positives <= 0.0 || negatives <= 0.0) return std::nullopt;
  return above / (positives * negatives);
}

double brier_row(std::span<const double> probabilities, std::int32_t label) {
  if (probabilities.size() == 2) return std::pow(probabilities[1] - (label == 1 ? 1.0 : 0.0), 2);
  double sum = 0.0;
  for (std::size_t c = 0; c < probabilities.size(); ++c) {
    sum += std::pow(probabilities[c] - (static_cast<std::int32_t>(c) == label ? 1.0 : 0.0), 2);
  }
  return sum;
}

double log_loss_row(std::span<const double> probabilities, std::int32_t label) {
  constexpr auto kSmallest = static_cast<double>(std::numeric_limits<float>::epsilon());
  return -std::log(std::clamp(probabilities[static_cast<std::size_t>(label)], kSmallest, 1.0));
}

std::vector<ReliabilityBin> reliability(std::span<const ConfidentRow> sorted,
                                        std::span<const std::uint16_t> group_weight) {
  double total = 0.0;
  for (const auto& row : sorted) total += weight_of(group_weight, row.group);
  std::vector<ReliabilityBin> bins;
  if (total <= 0.0) return bins;
  double seen = 0.0;
  std::size_t open_bin = kCalibrationBins;
  for (std::size_t begin = 0; begin < sorted.size();) {
    // The mass before a row says which bin it opens; rows that cannot be told apart go together.
    const auto place = static_cast<std::size_t>(seen * kCalibrationBins / total * (1.0 + 1e-12));
    if (place != open_bin) bins.emplace_back();
    open_bin = place;
    auto& bin = bins.back();
    std::size_t end = begin;
    for (; end < sorted.size() && same(sorted[end].confidence, sorted[begin].confidence); ++end) {
      const double weight = weight_of(group_weight, sorted[end].group);
      seen += weight;
      bin.weight += weight;
      bin.mean_confidence += weight * sorted[end].confidence;
      bin.accuracy += weight * sorted[end].correct;
    }
    begin = end;
  }
  std::erase_if(bins, [](const ReliabilityBin& bin) { return bin.weight <= 0.0; });
  for (auto& bin : bins) bin = {bin.weight / total, bin.mean_confidence / bin.weight, bin.accuracy / bin.weight};
  return bins;
}

std::optional<double> ece(std::span<const ReliabilityBin> bins) {
  if (bins.empty()) return std::nullopt;
  double sum = 0.0;
  for (const auto& bin : bins) sum += bin.weight * std::abs(bin.accuracy - bin.mean_confidence);
  return sum;
}

double strict_credit(double p_a, double score_a, double score_b) noexcept {
  return (p_a > 0.5 ? score_a > score_b : score_b > score_a) ? 1.0 : 0.0;
}

double pair_probability(double score_a, double score_b, const PairCalibration& calibration) noexcept {
  return 1.0 / (1.0 + std::exp((score_b - score_a) / calibration.temperature));
}

double pickscore_credit(double p_a, double score_a, double score_b, double threshold) noexcept {
  const double margin = std::tanh((score_a - score_b) / 2.0);  // p - (1 - p)
  const int predicted = std::abs(margin) <= threshold ? 0 : sign(margin);
  const int truth = sign(p_a - 0.5);
  if (predicted == truth) return 1.0;
  return (predicted == 0) != (truth == 0) ? 0.5 : 0.0;
}

double choose_pickscore_threshold(std::span<const double> p_a, std::span<const double> score_a,
                                  std::span<const double> score_b) {
  double best = 0.0;
  double best_credit = -1.0;
  for (int step = 0; step <= 10; ++step) {
    const double threshold = step / 10.0;
    double credit = 0.0;
    for (std::size_t i = 0; i < p_a.size(); ++i) {
      credit += pickscore_credit(p_a[i], score_a[i], score_b[i], threshold);
    }
    if (credit > best_credit) {
      best_credit = credit;
      best = threshold;
    }
  }
  return best;
}

std::optional<double> hps_inversion(std::span<const double> relevance, std::span<const double> scores) {
  const std::size_t n = relevance.size();
  if (n < 2) return std::nullopt;
  double inversions = 0.0;
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = i + 1; j < n; ++j) {
      const int truth = sign(relevance[i] - relevance[j]);
      if (truth == 0) continue;
      const int predicted = sign(scores[i] - scores[j]);
      inversions += predicted == 0 ? 0.5 : (predicted == truth ? 0.0 : 1.0);
    }
  }
  return 1.0 - inversions / (static_cast<double>(n) * static_cast<double>(n - 1) / 2.0);
}

std::optional<double> kendall_tau_b(std::span<const double> relevance, std::span<const double> scores) {
  if (relevance.empty() || all_same(relevance)) return std::nullopt;
  double balance = 0.0;
  double strict_truth = 0.0;
  double strict_scores = 0.0;
  for (std::size_t i = 0; i < relevance.size(); ++i) {
    for (std::size_t j = i + 1; j < relevance.size(); ++j) {
      const int truth = sign(relevance[i] - relevance[j]);
      const int predicted = sign(scores[i] - scores[j]);
      balance += truth * predicted;
      if (truth != 0) strict_truth += 1.0;
      if (predicted != 0) strict_scores += 1.0;
    }
  }
  return strict_scores > 0.0 ? balance / std::sqrt(strict_truth * strict_scores) : 0.0;
}

std::optional<double> spearman(std::span<const double> relevance, std::span<const double> scores) {
  if (relevance.empty() || all_same(relevance)) return std::nullopt;
  const auto truth = mid_ranks(relevance);
  const auto predicted = mid_ranks(scores);
  const double mean = (static_cast<double>(truth.size()) + 1.0) / 2.0;
  double covariance = 0.0;
  double truth_variance = 0.0;
  double predicted_variance = 0.0;
  for (std::size_t i = 0; i < truth.size(); ++i) {
    covariance += (truth[i] - mean) * (predicted[i] - mean);
    truth_variance += (truth[i] - mean) * (truth[i] - mean);
    predicted_variance += (predicted[i] - mean) * (predicted[i] - mean);
  }
  return predicted_variance > 0.0 ? covariance / std::sqrt(truth_variance * predicted_variance) : 0.0;
}

std::optional<double> ndcg_at(std::span<const double> relevance, std::span<const double> scores, std::size_t k) {
  if (relevance.empty() || all_same(relevance)) return std::nullopt;
  const std::size_t n = relevance.size();
  const auto discount = [&](std::size_t place) {
    return place < k ? 1.0 / std::log2(static_cast<double>(place) + 2.0) : 0.0;
  };
  std::vector<double> ideal(relevance.begin(), relevance.end());
  std::ranges::sort(ideal, std::greater<>());
  std::vector<std::size_t> order(n);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, [&](std::size_t a, std::size_t b) { return scores[a] > scores[b]; });
  double gain = 0.0;
  double best = 0.0;
  for (std::size_t i = 0; i < n; ++i) best += ideal[i] * discount(i);
  for (std::size_t begin = 0; begin < n;) {
    double sum = 0.0;
    double discounts = 0.0;
    std::size_t end = begin;
    for (; end < n && same(scores[order[end]], scores[order[begin]]); ++end) {
      sum += relevance[order[end]];
      discounts += discount(end);
    }
    gain += sum / static_cast<double>(end - begin) * discounts;
    begin = end;
  }
  return gain / best;
}

DecidedPairs decided_pairs(std::span<const double> relevance, std::span<const double> scores) {
  DecidedPairs result;
  for (std::size_t i = 0; i < relevance.size(); ++i) {
    for (std::size_t j = i + 1; j < relevance.size(); ++j) {
      const int truth = sign(relevance[i] - relevance[j]);
      if (truth == 0) continue;
      result.count += 1.0;
      if (sign(scores[i] - scores[j]) == truth) result.right += 1.0;
    }
  }
  return result;
}

std::optional<double> recall_at(std::span<const double> relevance, std::span<const double> scores, std::size_t k) {
  if (relevance.empty() || all_same(relevance)) return std::nullopt;
  const double best = *std::ranges::max_element(relevance);
  const auto best_images =
      static_cast<std::size_t>(std::ranges::count_if(relevance, [&](double value) { return same(value, best); }));
  if (best_images + k > relevance.size()) return std::nullopt;
  std::vector<double> ordered(scores.begin(), scores.end());
  std::ranges::nth_element(ordered, ordered.begin() + static_cast<std::ptrdiff_t>(k - 1), std::greater<>());
  const double last = ordered[k - 1];  // the k-th highest score; images that share it take the places that are left
  std::size_t places = k;
  std::size_t tied = 0;
  std::size_t tied_best = 0;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    if (scores[i] < last) continue;
    const bool is_best = same(relevance[i], best);
    if (scores[i] > last) {
      if (is_best) return 1.0;
      --places;
    } else {
      ++tied;
      if (is_best) ++tied_best;
    }
  }
  double none = 1.0;  // the chance that no best image is drawn into the places
  for (std::size_t place = 0; place < places; ++place) {
    const std::size_t left = tied - place;
    none *= tied_best >= left ? 0.0 : static_cast<double>(left - tied_best) / static_cast<double>(left);
  }
  return 1.0 - none;
}

std::optional<double> filter_at(std::span<const double> relevance, std::span<const double> scores, std::size_t k) {
  // A worst image among the lowest is a best one among the highest, upside down.
  const auto negated = [](std::span<const double> values) {
    std::vector<double> result;
    for (const double value : values) result.push_back(-value);
    return result;
  };
  return recall_at(negated(relevance), negated(scores), k);
}

std::optional<double> share_of_best(std::span<const double> relevance) {
  if (relevance.empty() || all_same(relevance)) return std::nullopt;
  const double best = *std::ranges::max_element(relevance);
  const auto count = std::ranges::count_if(relevance, [&](double value) { return same(value, best); });
  return static_cast<double>(count) / static_cast<double>(relevance.size());
}

}  // namespace imagerank::evaluation
