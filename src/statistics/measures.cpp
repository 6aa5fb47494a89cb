#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "statistics/coverage.h"

namespace imagerank::statistics {
namespace {

constexpr int kMostSteps = 100000;
constexpr double kPrecision = 1e-15;

/// P(a, x), the lower regularised gamma function, as a series; good for x < a + 1.
double lower_gamma(double a, double x) {
  double term = 1.0 / a, sum = term;
  for (int n = 1; n < kMostSteps && std::abs(term) > std::abs(sum) * kPrecision; ++n) {
    term *= x / (a + n);
    sum += term;
  }
  return sum * std::exp(a * std::log(x) - x - std::lgamma(a));
}

/// Q(a, x) = 1 - P(a, x) as a continued fraction (Lentz); good for x >= a + 1.
double upper_gamma(double a, double x) {
  constexpr double kTiny = 1e-300;
  double b = x + 1.0 - a, c = 1.0 / kTiny, d = 1.0 / b, product = d;
  for (int n = 1; n < kMostSteps; ++n) {
    const double numerator = -n * (n - a);
    b += 2.0;
    d = numerator * d + b;
    d = 1.0 / (std::abs(d) < kTiny ? kTiny : d);
    c = b + numerator / c;
    if (std::abs(c) < kTiny) c = kTiny;
    const double factor = c * d;
    product *= factor;
    if (std::abs(factor - 1.0) < kPrecision) break;
  }
  return product * std::exp(a * std::log(x) - x - std::lgamma(a));
}

}  // namespace

std::int64_t PositionWins::rankings() const { return std::accumulate(wins.begin(), wins.end(), std::int64_t{0}); }

std::optional<double> krippendorff_alpha(double disagreement, std::span<const double> totals) {
  double count = 0.0, squares = 0.0;
  for (const double total : totals) {
    count += total;
    squares += total * total;
  }
  if (count < 2.0 || squares >= count * count) return std::nullopt;
  const double observed = disagreement / count;
  const double expected = (count * count - squares) / (count * (count - 1.0));
  return 1.0 - observed / expected;
}

double chi_square_p(double chi_square, std::int64_t degrees) {
  if (degrees < 1 || chi_square <= 0.0) return 1.0;
  const double a = static_cast<double>(degrees) / 2.0, x = chi_square / 2.0;
  return x < a + 1.0 ? 1.0 - lower_gamma(a, x) : upper_gamma(a, x);
}

std::optional<SurvivalTest> test_survival(std::span<const Coverage> parts, double design_effect) {
  double ok = 0.0, dead = 0.0;
  std::int64_t categories = 0;
  for (const Coverage& part : parts) {
    ok += static_cast<double>(part.ok);
    dead += static_cast<double>(part.dead);
    if (part.ok + part.dead != 0) ++categories;
  }
  if (categories < 2 || ok == 0.0 || dead == 0.0) return std::nullopt;
  const double all = ok + dead;
  SurvivalTest test;
  test.smallest_expected = std::numeric_limits<double>::infinity();
  for (const Coverage& part : parts) {
    const auto known = static_cast<double>(part.ok + part.dead);
    if (known == 0.0) continue;
    const double expected_ok = known * ok / all, expected_dead = known * dead / all;
    const double off = static_cast<double>(part.ok) - expected_ok;
    test.chi_square += off * off * (1.0 / expected_ok + 1.0 / expected_dead);
    test.smallest_expected = std::min({test.smallest_expected, expected_ok, expected_dead});
  }
  test.degrees = categories - 1;
  test.p = chi_square_p(test.chi_square, test.degrees);
  test.design_effect = design_effect;
  test.cautious_p = chi_square_p(test.chi_square / design_effect, test.degrees);
  test.cramers_v = std::sqrt(test.chi_square / all);  // of two rows: the smaller side less one is 1
  return test;
}

bool is_uneven(const std::optional<SurvivalTest>& test, double least_v) {
  constexpr double kMostP = 0.001, kLeastExpected = 5.0;
  return test && test->cautious_p < kMostP && test->cramers_v >= least_v && test->smallest_expected >= kLeastExpected;
}

}  // namespace imagerank::statistics
