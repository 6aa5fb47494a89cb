#pragma once

#include <optional>
#include <span>
#include <vector>

#include "evaluation/measurement.h"

namespace imagerank::evaluation {

/// How two sets of predictions differ in strict micro pair accuracy.
struct PairedTest {
  Estimate difference;      ///< first - second, the bootstrap's draws shared by both
  std::optional<double> p;  ///< of no difference, two-sided; null without strict pairs
};

/// The interval is the paired bootstrap's by prompt. p is that of a sign-flip test: were the two equally good, each
/// prompt's difference would be as likely with the other sign. All signs are tried for up to 16 prompts that differ,
/// else 9,999 drawn ones. Deterministic.
/// @throws Error as measure(). Source: Fisher 1935 (the test); Phipson and Smyth 2010 (p of drawn signs is never 0).
[[nodiscard]] PairedTest compare_strict(const SplitTruth& truth, const Predictions& first, const Predictions& second,
                                        const Bootstrap& bootstrap);

/// second - first.
[[nodiscard]] PairedTest reversed(const PairedTest& test);

/// p of the sign-flip test. @param differences  one a group; zeros say nothing and are left out. 1 for none.
[[nodiscard]] double sign_flip_p(std::span<const double> differences);

/// p values adjusted for being several, each in the place of its own. Source: Holm 1979.
[[nodiscard]] std::vector<double> holm(std::span<const double> p);

}  // namespace imagerank::evaluation
