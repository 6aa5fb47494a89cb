#include <cmath>
#include <numeric>

#include "statistics/statistics.h"

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

}  // namespace imagerank::statistics
