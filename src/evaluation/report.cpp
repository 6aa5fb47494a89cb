#include "evaluation/report.h"

#include <algorithm>
#include <iterator>

namespace imagerank::evaluation {
namespace {

using Json = nlohmann::ordered_json;

Json optional_json(const std::optional<double>& value) { return value ? Json(*value) : Json(nullptr); }

Json estimate_json(const Estimate& estimate) {
  return {{"value", optional_json(estimate.value)},
          {"low", optional_json(estimate.low)},
          {"high", optional_json(estimate.high)}};
}

Json test_json(const PairedTest& test) {
  Json result = estimate_json(test.difference);
  result["p"] = optional_json(test.p);
  return result;
}

Json subject_json(Subject subject) {
  if (subject == Subject::kNothing) return nullptr;
  return subject == Subject::kLabels ? "labels" : "pairs";
}

Json calibration_json(const std::optional<PairCalibration>& calibration) {
  if (!calibration) return nullptr;
  return {{"temperature", calibration->temperature},
          {"tie_width", calibration->tie_width ? Json(*calibration->tie_width) : Json(nullptr)}};
}

Json by_split(const std::array<std::uint64_t, 3>& counts) {
  return {{"train", counts[0]}, {"validation", counts[1]}, {"test", counts[2]}};
}

Json by_label(const std::vector<double>& counts) {
  Json result = Json::object();
  for (std::size_t label = 0; label < counts.size(); ++label) {
    result[std::to_string(label)] = static_cast<std::uint64_t>(counts[label]);
  }
  return result;
}

Json reward_json(const RewardFacts& reward) {
  return {{"name", reward.name},   {"head", reward.head},
          {"loss", reward.loss},   {"encoder", reward.encoder},
          {"model", reward.model}, {"data", {{"used", reward.used}, {"unit", reward.unit}, {"limit", reward.limit}}},
          {"seed", reward.seed},   {"best_epoch", reward.best_epoch}};
}

Json data_json(const DataFacts& data) {
  return {{"workspace", data.workspace},
          {"split", data.split},
          {"counts",
           {{"prompts", data.prompts},
            {"points", data.points},
            {"pairs", data.pairs},
            {"strict_pairs", data.strict_pairs},
            {"tied_pairs", data.pairs - data.strict_pairs},
            {"rankings", data.rankings}}},
          {"points", by_split(data.points_by_split)},
          {"pairs", by_split(data.pairs_by_split)},
          {"labels", by_label(data.labels)},
          {"train_labels", by_label(data.train_labels)},
          {"leak", {{"prompt_overlap", data.prompt_overlap}, {"image_overlap", data.image_overlap}}},
          {"rankings", {{"all", data.all_rankings}, {"ties", data.all_ties}}},
          {"conflicts", data.conflicts},
          {"winners", data.winners},
          {"winners_that_lost", data.winners_that_lost},
          {"images", {{"measured", data.images}, {"gone", data.images_gone}}},
          {"without_vectors",
           {{"points", data.points_without_vectors},
            {"pairs", data.pairs_without_vectors},
            {"rankings", data.rankings_without_vectors}}}};
}

Json baselines_json(const std::array<Measurement, kBaselineCount>& baselines) {
  Json result = Json::object();
  for (std::size_t i = 0; i < kBaselineCount; ++i) {
    result[std::string(kBaselineNames[i])] = measurement_json(baselines[i]);
  }
  return result;
}

Json confusion_json(const std::vector<double>& confusion, std::size_t classes) {
  if (confusion.empty()) return nullptr;
  Json rows = Json::array();
  for (std::size_t truth = 0; truth < classes; ++truth) {
    Json row = Json::array();
    for (std::size_t c = 0; c < classes; ++c) {
      row.push_back(static_cast<std::uint64_t>(confusion[truth * classes + c]));
    }
    rows.push_back(row);
  }
  return {{"rows", "truth"}, {"columns", "prediction"}, {"matrix", rows}};
}

Json epochs_json(const std::vector<EpochFacts>& epochs) {
  Json result = Json::array();
  for (const auto& epoch : epochs) {
    result.push_back({{"epoch", epoch.epoch},
                      {"loss", optional_json(epoch.loss)},
                      {"validation",
                       {{"loss", optional_json(epoch.validation_loss)},
                        {"accuracy", optional_json(epoch.validation_accuracy)},
                        {"pair_accuracy_strict", optional_json(epoch.validation_pair_accuracy)}}}});
  }
  return result;
}

Json pictures_json(const std::vector<PromptPictures>& prompts) {
  Json result = Json::array();
  for (const auto& prompt : prompts) {
    Json images = Json::array();
    for (const auto& picture : prompt.pictures) {
      images.push_back({{"image", picture.uid},
                        {"score", picture.score},
                        {"won", picture.won},
                        {"lost", picture.lost},
                        {"tied", picture.tied}});
    }
    result.push_back({{"prompt", prompt.prompt}, {"images", images}, {"left_out", prompt.left_out}});
  }
  return result;
}

Json slices_json(const std::vector<SliceResult>& slices) {
  Json result = Json::array();
  for (const auto& slice : slices) {
    Json baselines;
    for (std::size_t i = 0; i < kBaselineCount; ++i) {
      const auto& value = slice.baselines[i];
      baselines[std::string(kBaselineNames[i])] = value ? Json(*value) : Json(nullptr);
    }
    result.push_back({{"dimension", slice.dimension},
                      {"name", slice.name},
                      {"prompts", slice.prompts},
                      {"pairs", slice.pairs},
                      {"strict_pairs", slice.strict_pairs},
                      {"pair_accuracy_strict_micro", estimate_json(slice.strict)},
                      {"pair_accuracy_pickscore", estimate_json(slice.pickscore)},
                      {"baselines", std::move(baselines)}});
  }
  return result;
}

Json probes_json(const std::optional<ProbeReport>& probes) {
  if (!probes) return nullptr;
  Json results = Json::array();
  for (const auto& probe : probes->results) {
    results.push_back({{"name", probe.name},
                       {"what", probe.what},
                       {"should", expectation_name(probe.expectation)},
                       {"n", probe.n},
                       {"mean_change", estimate_json(probe.mean_change)},
                       {"share_rising", estimate_json(probe.share_rising)},
                       {"verdict", probe_verdict_name(probe.verdict)}});
  }
  Json failed = Json::object();
  for (const auto& [reason, count] : probes->failed) failed[reason] = count;
  return {{"images", probes->items},
          {"prompts", probes->prompts},
          {"failed", failed},
          {"score_deviation", probes->deviation},
          {"results", results}};
}

/// What eval and compare say of one reward alike.
Json result_json(const EvaluationReport& report) {
  return {{"reward", reward_json(report.reward)},
          {"warnings", report.warnings},
          {"verdict", report.verdict.sentence},
          {"metrics", measurement_json(report.metrics)},
          {"probabilities_of", subject_json(report.subject)},
          {"calibration", calibration_json(report.calibration)},
          {"way_to_oracle", optional_json(report.way_to_oracle)},
          {"confusion", confusion_json(report.confusion, report.data.labels.size())},
          {"pickscore_threshold", report.pickscore_threshold},
          {"slices", slices_json(report.slices)}};
}

}  // namespace

nlohmann::ordered_json measurement_json(const Measurement& measurement) {
  Json result = Json::object();
  for (std::size_t i = 0; i < kMetricCount; ++i) result[std::string(kMetricNames[i])] = estimate_json(measurement[i]);
  return result;
}

nlohmann::ordered_json report_json(const EvaluationReport& report) {
  Json result = {{"warnings", report.warnings},
                 {"verdict", report.verdict.sentence},
                 {"n", report.data.points},
                 {"split", report.data.split}};
  result.update(result_json(report));
  result["baselines"] = baselines_json(report.baselines);
  result["data"] = data_json(report.data);
  result["bootstrap"] = {{"draws", report.bootstrap_draws}, {"by", "prompt"}, {"level", 0.95}};
  Json bins = Json::array();
  for (const auto& bin : report.reliability) {
    bins.push_back({{"share", bin.weight}, {"confidence", bin.mean_confidence}, {"accuracy", bin.accuracy}});
  }
  result["reliability"] = bins;
  result["probes"] = probes_json(report.probes);
  result["epochs"] = epochs_json(report.epochs);
  result["examples"] = pictures_json(report.pictures);
  Json galleries = Json::object();
  for (const auto& gallery : report.galleries) galleries[gallery.name] = pictures_json(gallery.items);
  result["galleries"] = galleries;
  return result;
}

std::vector<LearningCurve> learning_curves(const ComparisonReport& report) {
  std::vector<LearningCurve> curves;
  for (const auto& entry : report.entries) {
    const auto& reward = entry.report.reward;
    const auto& accuracy = at(entry.report.metrics, Metric::kPairStrictMicro);
    if (!accuracy.value || reward.used == 0) continue;
    auto curve = std::ranges::find_if(
        curves, [&](const LearningCurve& other) { return other.head == reward.head && other.loss == reward.loss; });
    if (curve == curves.end()) curve = curves.insert(curves.end(), {reward.head, reward.loss, {}});
    curve->points.push_back({reward.name, reward.used, accuracy});
  }
  for (auto& curve : curves) {
    std::ranges::stable_sort(curve.points, {}, &LearningCurve::Point::used);
  }
  std::erase_if(curves,
                [](const LearningCurve& curve) { return curve.points.front().used == curve.points.back().used; });
  return curves;
}

std::optional<std::size_t> choose_on_validation(const std::vector<ComparisonReport::Entry>& entries) {
  std::optional<std::size_t> best;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (!entries[i].validation.value) continue;
    if (!best || *entries[i].validation.value > *entries[*best].validation.value) best = i;
  }
  return best;
}

std::vector<std::string> shared_warnings(const ComparisonReport& report) {
  std::vector<std::string> shared;
  std::vector<std::string> own;
  for (const auto& entry : report.entries) {
    for (const auto& warning : entry.report.warnings) {
      const bool everywhere = std::ranges::all_of(report.entries, [&](const auto& other) {
        const auto& warnings = other.report.warnings;
        return std::ranges::find(warnings, warning) != warnings.end();
      });
      if (!everywhere) {
        own.push_back(entry.report.reward.name + ": " + warning);
      } else if (std::ranges::find(shared, warning) == shared.end()) {
        shared.push_back(warning);
      }
    }
  }
  std::ranges::move(own, std::back_inserter(shared));
  return shared;
}

nlohmann::ordered_json report_json(const ComparisonReport& report) {
  const auto& first = report.entries[report.chosen.value_or(0)].report;
  Json result = {{"warnings", shared_warnings(report)},
                 {"verdict", first.verdict.sentence},
                 {"n", first.data.points},
                 {"split", first.data.split}};
  result["chosen"] = report.chosen ? Json(first.reward.name) : Json(nullptr);
  result["chosen_on"] = "pair_accuracy_strict_micro of validation";
  Json rewards = Json::array();
  Json encoders = Json::object();
  for (const auto& entry : report.entries) {
    Json row = {{"name", entry.report.reward.name}, {"n", entry.report.data.points}};
    row.update(result_json(entry.report));
    row["validation"] = {{"pair_accuracy_strict_micro", estimate_json(entry.validation)}};
    row["difference_to_chosen"] = test_json(entry.to_chosen);
    rewards.push_back(row);
    encoders[entry.report.reward.encoder] = baselines_json(entry.report.baselines);
  }
  result["rewards"] = rewards;
  Json differences = Json::array();
  for (const auto& difference : report.differences) {
    Json row = {{"first", report.entries[difference.first].report.reward.name},
                {"second", report.entries[difference.second].report.reward.name}};
    row.update(test_json(difference.test));
    row["p_holm"] = difference.p_holm;
    differences.push_back(row);
  }
  result["differences"] = differences;
  Json curves = Json::array();
  for (const auto& curve : learning_curves(report)) {
    Json points = Json::array();
    for (const auto& point : curve.points) {
      Json row = {{"reward", point.reward}, {"used", point.used}};
      row.update(estimate_json(point.accuracy));
      points.push_back(row);
    }
    curves.push_back({{"head", curve.head}, {"loss", curve.loss}, {"points", points}});
  }
  result["learning_curves"] = curves;
  result["baselines"] = baselines_json(first.baselines);
  if (encoders.size() > 1) result["baselines_by_encoder"] = encoders;
  result["data"] = data_json(first.data);
  result["bootstrap"] = {{"draws", first.bootstrap_draws}, {"by", "prompt"}, {"level", 0.95}};
  return result;
}

}  // namespace imagerank::evaluation
