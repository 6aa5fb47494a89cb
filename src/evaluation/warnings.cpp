#include "evaluation/warnings.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "evaluation/paired.h"

namespace imagerank::evaluation {
namespace {

struct Share {
  std::size_t index = 0;
  double share = 0.0;
};

/// The largest of the counts, as a share; share 0 for no counts.
Share largest_share(std::span<const double> counts) {
  const double total = std::accumulate(counts.begin(), counts.end(), 0.0);
  if (total <= 0.0) return {};
  const auto largest = std::ranges::max_element(counts);
  return {static_cast<std::size_t>(largest - counts.begin()), *largest / total};
}

std::string interval(const Estimate& estimate) {
  return fmt::format("{} (95 % interval {} to {})", percent(*estimate.value), percent(*estimate.low),
                     percent(*estimate.high));
}

}  // namespace

std::string percent(double share) { return fmt::format("{:.1f} %", 100.0 * share); }

std::vector<std::string> find_warnings(const ResultFacts& facts, const Measurement& measurement) {
  constexpr double kPredictsOneClass = 0.995;
  std::vector<std::string> warnings;
  if (facts.untrained_encoder) {
    warnings.emplace_back(
        "untrained encoder: the vectors come from random weights, so nothing here says what a pretrained CLIP would "
        "reach");
  }
  const auto predicted = largest_share(facts.predicted);
  if (predicted.share >= kPredictsOneClass) {
    const double total = std::accumulate(facts.labels.begin(), facts.labels.end(), 0.0);
    warnings.push_back(fmt::format(
        "one class predicted: the head answers class {} for {} of the rows, so its accuracy {} is that class's share "
        "of "
        "the labels ({})",
        predicted.index, percent(predicted.share), percent(at(measurement, Metric::kAccuracy).value.value_or(0.0)),
        percent(predicted.index < facts.labels.size() ? facts.labels[predicted.index] / total : 0.0)));
  }
  if (facts.constant_utility) {
    warnings.emplace_back("one score for all: the head gives both images of every pair the same score");
  }
  const auto labels = largest_share(facts.labels);
  const auto all_labels = largest_share(facts.all_labels);
  if (std::max(labels.share, all_labels.share) >= kNearlyOneClass) {
    auto text = fmt::format("labels nearly of one class: {} of the {} rows have label {}", percent(labels.share),
                            facts.split, labels.index);
    if (!facts.all_labels.empty()) {
      text += fmt::format(", {} of all rows label {}", percent(all_labels.share), all_labels.index);
    }
    warnings.push_back(text + "; accuracy says little, read balanced accuracy and pair accuracy");
  }
  if (facts.prompts < kFewPrompts) {
    warnings.push_back(
        fmt::format("fewer than {} prompts: the {} split has {}, so the intervals are wide and themselves "
                    "uncertain",
                    kFewPrompts, facts.split, facts.prompts));
  }
  const auto& strict = at(measurement, Metric::kPairStrictMicro);
  if (strict.low && *strict.low <= 0.5 && *strict.high >= 0.5) {
    warnings.push_back(
        fmt::format("interval spans chance: strict pair accuracy {} cannot be told from 50 %", interval(strict)));
  }
  if (facts.prompt_overlap > 0.0 || facts.image_overlap > 0.0) {
    warnings.push_back(
        fmt::format("leaking split: {} of the {} rows have a prompt and {} an image that is also in train; `label "
                    "--split {}` keeps "
                    "them apart",
                    percent(facts.prompt_overlap), facts.split, percent(facts.image_overlap),
                    facts.image_overlap > 0.0 ? "component" : "prompt"));
  }
  if (facts.images_gone > 0) {
    warnings.push_back(
        fmt::format("images gone: {} of the {} images of the {} split have no file any more; they are measured by the "
                    "vectors that they had, and shown and probed without",
                    facts.images_gone, facts.images, facts.split));
  }
  return warnings;
}

std::string probe_warning(const ProbeReport& probes) {
  std::string names;
  for (const auto& probe : probes.results) {
    if (probe.verdict != ProbeVerdict::kNotAsItShould) continue;
    if (!names.empty()) names += ", ";
    names += fmt::format("{} ({:+.2f} standard deviations, should {})", probe.name, *probe.mean_change.value,
                         expectation_name(probe.expectation));
  }
  return names.empty() ? names : "fooled by a change: " + names;
}

std::optional<double> way_to_oracle(const Measurement& measurement, const BaselineResults& baselines) {
  const auto& strict = at(measurement, Metric::kPairStrictMicro);
  const auto& oracle = at(at(baselines, Baseline::kOracle).measurement, Metric::kPairStrictMicro);
  if (!strict.value || !oracle.value || *oracle.value <= 0.5) return std::nullopt;
  return (*strict.value - 0.5) / (*oracle.value - 0.5);
}

namespace {

/// Training that does not surpass the encoder as it came is worth saying, whatever else holds.
std::string cosine_note(const Measurement& measurement, const BaselineResults& baselines) {
  const auto& cosine = at(at(baselines, Baseline::kClipCosine).measurement, Metric::kPairStrictMicro);
  if (!cosine.value || *cosine.value < *at(measurement, Metric::kPairStrictMicro).value) return "";
  return fmt::format(" The encoder's own cosine, untrained on preferences, gets {}.", percent(*cosine.value));
}

}  // namespace

Verdict judge(const SplitTruth& truth, const Predictions& predictions, const Measurement& measurement,
              const BaselineResults& baselines, const Bootstrap& bootstrap) {
  const auto& strict = at(measurement, Metric::kPairStrictMicro);
  if (!strict.value) return {VerdictKind::kNothingToJudge, "Nothing can be said: the split has no pair with a winner."};
  if (!strict.low) {
    return {VerdictKind::kNothingToJudge,
            fmt::format("Nothing can be said: strict pair accuracy is {}, but without an interval.",
                        percent(*strict.value))};
  }
  if (*strict.low <= 0.5 && *strict.high >= 0.5) {
    return {VerdictKind::kAtChance,
            fmt::format("Not distinguishable from chance: strict pair accuracy is {}.", interval(strict))};
  }
  if (*strict.high < 0.5) {
    return {VerdictKind::kBelowChance, fmt::format("Worse than chance: strict pair accuracy is {}.", interval(strict))};
  }
  std::string unsurpassed;
  bool all_measured = true;
  for (const auto baseline : {Baseline::kMajority, Baseline::kAlwaysTie, Baseline::kPromptOnly, Baseline::kImageOnly}) {
    const auto difference =
        compare_strict(truth, predictions, at(baselines, baseline).predictions, bootstrap).difference;
    all_measured = all_measured && difference.value.has_value();
    if (!difference.value || (difference.low && *difference.low > 0.0)) continue;
    if (!unsurpassed.empty()) unsurpassed += ", ";
    unsurpassed += kBaselineNames[static_cast<std::size_t>(baseline)];
    unsurpassed +=
        fmt::format(" ({})", percent(*at(at(baselines, baseline).measurement, Metric::kPairStrictMicro).value));
  }
  if (!unsurpassed.empty()) {
    return {VerdictKind::kAboveChance,
            fmt::format("Better than chance, but not distinguishable from a baseline without skill: strict pair "
                        "accuracy is {}, beside {}.",
                        interval(strict), unsurpassed) +
                cosine_note(measurement, baselines)};
  }
  auto sentence = fmt::format("Better than every baseline without skill{}: strict pair accuracy is {}",
                              all_measured ? "" : " that could be measured", interval(strict));
  if (const auto way = way_to_oracle(measurement, baselines)) {
    sentence += fmt::format(", {} of the way from 50 % to the oracle's {}", percent(*way),
                            percent(*at(at(baselines, Baseline::kOracle).measurement, Metric::kPairStrictMicro).value));
  }
  return {VerdictKind::kBetterThanNoSkill, sentence + "." + cosine_note(measurement, baselines)};
}

}  // namespace imagerank::evaluation
