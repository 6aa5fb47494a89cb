#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "evaluation/bootstrap.h"

namespace imagerank::evaluation {

/// What a change that people would call one for the worse, or none at all, should do to a score.
enum class Expectation : std::uint8_t { kFall, kNotRise, kStay };
/// "fall", "not rise", "stay".
[[nodiscard]] std::string_view expectation_name(Expectation expectation) noexcept;

enum class ProbeVerdict : std::uint8_t { kAsItShould, kNotAsItShould, kUnclear, kNothingToJudge };
/// "as it should", "not as it should", "unclear", "nothing to judge".
[[nodiscard]] std::string_view probe_verdict_name(ProbeVerdict verdict) noexcept;

/// One change, tried on every probed image: the scores after it.
struct Probe {
  std::string name;  ///< "blurred"
  std::string what;  ///< what was done, in a few words
  Expectation expectation = Expectation::kFall;
  std::vector<double> scores;  ///< [items]; NaN where the change cannot be made
};

/// What a probe does to the score, in standard deviations of the scores of the unchanged images.
struct ProbeResult {
  std::string name, what;
  Expectation expectation = Expectation::kFall;
  std::uint64_t n = 0;  ///< items it was tried on
  Estimate mean_change;
  Estimate share_rising;  ///< items whose score rises at all
  ProbeVerdict verdict = ProbeVerdict::kNothingToJudge;
};

struct ProbeReport {
  std::uint64_t items = 0;                      ///< images probed, each for its prompt
  std::uint64_t prompts = 0;                    ///< of them
  double deviation = 0.0;                       ///< standard deviation of the unchanged scores
  std::map<std::string, std::uint64_t> failed;  ///< images that could not be, by reason; none stands in for them
  std::vector<ProbeResult> results;
};

/// Changes smaller than this many standard deviations count as none. Source: Cohen 1988 calls 0.2 small.
inline constexpr double kSmallChange = 0.2;

/// Follows the interval of the mean change: a fall is one below 0, no rise one below kSmallChange, staying one within
/// +-kSmallChange; the opposite is an interval wholly on the wrong side.
[[nodiscard]] ProbeVerdict judge_probe(Expectation expectation, const Estimate& mean_change) noexcept;

/// @param scores  [items], of the unchanged images. @param prompt  [items], 0..prompt_count-1: intervals are by prompt.
/// Without items, or where all scores are equal, the results hold no numbers.
/// @throws Error kInvalidArgument where sizes disagree, kCorruptData for an unchanged score that is not finite.
[[nodiscard]] ProbeReport measure_probes(std::span<const double> scores, std::span<const std::uint32_t> prompt,
                                         std::size_t prompt_count, std::span<const Probe> probes, std::size_t draws);

}  // namespace imagerank::evaluation
