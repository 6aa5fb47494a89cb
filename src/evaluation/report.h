#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "evaluation/baselines.h"
#include "evaluation/paired.h"
#include "evaluation/probes.h"
#include "evaluation/slices.h"
#include "evaluation/warnings.h"

namespace imagerank::evaluation {

/// Which reward was measured.
struct RewardFacts {
  std::string name;
  std::string head;         ///< "mlp"
  std::string loss;         ///< "mse"
  std::string encoder;      ///< the cache its vectors came from
  std::string model;        ///< what --model was
  std::uint64_t used = 0;   ///< rows it was trained on
  std::string unit;         ///< of `used`: "points" or "pairs"
  std::uint64_t limit = 0;  ///< the --limit it was trained with; 0: none
  std::uint64_t seed = 0;
  int best_epoch = 0;
};

/// One epoch of a training, as reward.json records it; empty fields were not measured.
struct EpochFacts {
  int epoch = 0;
  std::optional<double> loss, validation_loss, validation_accuracy, validation_pair_accuracy;
};

/// What it was measured on.
struct DataFacts {
  std::string workspace;                                                             ///< the folder's name
  std::string split;                                                                 ///< "test"
  std::uint64_t prompts = 0, points = 0, pairs = 0, strict_pairs = 0, rankings = 0;  ///< of the split
  std::array<std::uint64_t, 3> points_by_split = {};                                 ///< train, validation, test
  std::array<std::uint64_t, 3> pairs_by_split = {};
  std::vector<double> labels;        ///< rows of the split by label
  std::vector<double> train_labels;  ///< rows of train by label
  double prompt_overlap = 0.0;       ///< as ResultFacts
  double image_overlap = 0.0;
  std::uint64_t all_rankings = 0, all_ties = 0;  ///< of the workspace
  std::uint64_t conflicts = 0;                   ///< (image, prompt) that got different labels in different rankings
  std::uint64_t winners = 0, winners_that_lost = 0;
  std::uint64_t images = 0, images_gone = 0;  ///< of the split; those whose file is not there any more
  std::uint64_t points_without_vectors = 0, pairs_without_vectors = 0, rankings_without_vectors = 0;
};

/// One image of a prompt, with what the head and the people said.
struct Picture {
  std::string uid;
  std::string data_uri;  ///< "" where there is no picture
  std::string missing;   ///< why not
  double score = 0.0;
  std::uint64_t won = 0, lost = 0, tied = 0;  ///< rankings of the split in which it was the best, was not, and had none
};
struct PromptPictures {
  std::string prompt;
  std::vector<Picture> pictures;  ///< highest score first
  std::uint64_t left_out = 0;     ///< images between the best and the worst that are not shown
};
/// Images, or pairs of them, that have something in common.
struct Gallery {
  std::string name;   ///< "best", as report.json has it
  std::string title;  ///< "Highest scores"
  std::string hint;   ///< how they were picked, one sentence
  std::vector<PromptPictures> items;
};

/// All that is known of one reward.
struct EvaluationReport {
  RewardFacts reward;
  DataFacts data;
  std::vector<std::string> warnings;
  Verdict verdict;
  Measurement metrics;
  std::array<Measurement, kBaselineCount> baselines;
  std::optional<double> way_to_oracle;
  std::vector<double> confusion;  ///< [classes, classes], rows the truth; or empty
  std::vector<ReliabilityBin> reliability;
  Subject subject = Subject::kNothing;         ///< what brier, log_loss, ece and `reliability` are about
  std::optional<PairCalibration> calibration;  ///< behind a pair loss's probabilities, where training recorded one
  double pickscore_threshold = 0.0;
  std::size_t bootstrap_draws = 0;
  std::vector<EpochFacts> epochs;
  std::vector<SliceResult> slices;
  std::optional<ProbeReport> probes;     ///< where they were asked for
  std::vector<PromptPictures> pictures;  ///< whole prompts, drawn at random
  std::vector<Gallery> galleries;        ///< picked: best, worst, disputed, divided, uncertain
};

/// Several rewards side by side.
struct ComparisonReport {
  struct Entry {
    EvaluationReport report;  ///< without pictures
    Estimate validation;      ///< strict micro pair accuracy on validation, by which the head is chosen
    /// Strict micro pair accuracy on the split less the chosen one's; null for the chosen one, and for a reward on
    /// another encoder whose pairs are not the same.
    PairedTest to_chosen;
  };
  /// Two entries on the same pairs, tested.
  struct Difference {
    std::size_t first = 0, second = 0;  ///< entries
    PairedTest test;
    double p_holm = 1.0;  ///< adjusted for all of `differences`
  };
  std::vector<Entry> entries;
  std::vector<Difference> differences;  ///< every two entries, as far as they can be paired
  std::optional<std::size_t> chosen;    ///< empty where validation holds no strict pairs
};

/// What one head and loss reached with different amounts of data.
struct LearningCurve {
  struct Point {
    std::string reward;
    std::uint64_t used = 0;  ///< rows it was trained on
    Estimate accuracy;       ///< strict micro pair accuracy
  };
  std::string head, loss;
  std::vector<Point> points;  ///< by amount
};
/// A curve for each head and loss that stands in `report` with two amounts or more.
[[nodiscard]] std::vector<LearningCurve> learning_curves(const ComparisonReport& report);

/// The entry with the highest validation accuracy, the first of equals; empty where none has one.
[[nodiscard]] std::optional<std::size_t> choose_on_validation(const std::vector<ComparisonReport::Entry>& entries);

/// {"value", "low", "high"} by metric name, null where there is none.
[[nodiscard]] nlohmann::ordered_json measurement_json(const Measurement& measurement);
/// report.json of `eval`: warnings and verdict first, then the numbers.
[[nodiscard]] nlohmann::ordered_json report_json(const EvaluationReport& report);
/// report.json of `compare`.
[[nodiscard]] nlohmann::ordered_json report_json(const ComparisonReport& report);
/// Each warning once: those that all rewards share as they are, the others with the reward's name before them.
[[nodiscard]] std::vector<std::string> shared_warnings(const ComparisonReport& report);

/// One self-contained page (see Page): nothing is fetched, every text is escaped.
[[nodiscard]] std::string report_html(const EvaluationReport& report);
[[nodiscard]] std::string report_html(const ComparisonReport& report);

}  // namespace imagerank::evaluation
