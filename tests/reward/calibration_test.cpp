#include "reward/calibration.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/random.h"

namespace imagerank::reward {
namespace {

/// Of a won pair, of a tie: Davidson's.
double p_won(double x, double width) { return std::exp(x / 2) / (2 * std::cosh(x / 2) + std::exp(width / 2)); }
double p_tie(double x, double width) { return std::exp(width / 2) / (2 * std::cosh(x / 2) + std::exp(width / 2)); }

double log_loss(const std::vector<double>& d, const std::vector<float>& p, double temperature, double width) {
  double sum = 0.0;
  for (std::size_t i = 0; i < d.size(); ++i) {
    const double x = d[i] / temperature;
    sum -= std::log(p[i] > 0.6F ? p_won(x, width) : p[i] < 0.4F ? p_won(-x, width) : p_tie(x, width));
  }
  return sum / static_cast<double>(d.size());
}

TEST(Calibration, FindsTheTemperatureAndWidthThatMadeTheChoices) {
  Random random(4);
  std::vector<double> d;
  std::vector<float> p;
  for (int i = 0; i < 20000; ++i) {
    d.push_back(3.0 * random.normal());
    const double a = p_won(d.back() / 2.5, 0.8);
    const double b = p_won(-d.back() / 2.5, 0.8);
    const double u = random.uniform();
    p.push_back(u < a ? 1.0F : u < a + b ? 0.0F : 0.5F);
  }
  const std::vector<float> weights(d.size(), 1.0F);
  const auto fitted = calibrate_pairs(d, p, weights);
  ASSERT_TRUE(fitted);
  EXPECT_NEAR(fitted->temperature, 2.5, 0.1);
  EXPECT_NEAR(fitted->tie_width.value(), 0.8, 0.05);
  EXPECT_NEAR(fitted->log_loss, log_loss(d, p, fitted->temperature, *fitted->tie_width), 1e-9);
  // A minimum in the width; the temperature is that of the winners alone.
  for (const double factor : {0.9, 1.1}) {
    EXPECT_GT(log_loss(d, p, fitted->temperature, factor * *fitted->tie_width), fitted->log_loss);
  }
}

TEST(Calibration, TiesDoNotMakeWinnersLessSure) {
  // Three of four pairs of difference 2 are won; ties, as many again, come about whatever the difference.
  std::vector<double> d;
  std::vector<float> p;
  for (int i = 0; i < 4000; ++i) {
    d.insert(d.end(), {2.0, i % 2 == 0 ? 0.0 : 6.0});
    p.insert(p.end(), {i % 4 == 0 ? 0.0F : 1.0F, 0.5F});
  }
  const auto fitted = calibrate_pairs(d, p, std::vector<float>(d.size(), 1.0F));
  ASSERT_TRUE(fitted);
  EXPECT_NEAR(fitted->temperature, 2.0 / std::log(3.0), 2e-3);
  EXPECT_TRUE(fitted->tie_width);
}

TEST(Calibration, WithoutTiesByHand) {
  // Three of four pairs of difference 2 are won: sigmoid(2 / T) = 3/4 but for the one imaginary pair.
  std::vector<double> d(4000, 2.0);
  std::vector<float> p;
  for (int i = 0; i < 4000; ++i) p.push_back(i % 4 == 0 ? 0.0F : 1.0F);
  const auto fitted = calibrate_pairs(d, p, std::vector<float>(d.size(), 1.0F));
  ASSERT_TRUE(fitted);
  EXPECT_NEAR(fitted->temperature, 2.0 / std::log(3.0), 2e-3);
  EXPECT_FALSE(fitted->tie_width);
}

TEST(Calibration, AllRightIsFiniteAndAllWrongIsNone) {
  const std::vector<double> d = {1.0, 2.0, 3.0};
  const std::vector<float> ones(3, 1.0F);
  const auto fitted = calibrate_pairs(d, ones, ones);
  ASSERT_TRUE(fitted);
  EXPECT_GT(fitted->temperature, 0.01);
  EXPECT_FALSE(calibrate_pairs(d, std::vector<float>(3, 0.0F), ones)) << "the order is the wrong way round";
  EXPECT_FALSE(calibrate_pairs(d, std::vector<float>(3, 0.5F), ones)) << "only ties";
  EXPECT_FALSE(calibrate_pairs(std::vector<double>(3, 0.0), ones, ones)) << "one score for all";
  EXPECT_FALSE(calibrate_pairs({}, {}, {}));
}

TEST(Calibration, MeanAndDeviationCountEachRowOnce) {
  Examples examples;
  examples.pairs[1] = {{0, 1, 0, 1.0F, 1.0F}, {0, 2, 0, 0.0F, 1.0F}};
  examples.points[1] = {{3, 0, 1}};
  // Scores 0, 1, 2, 3 of images 0..3: mean 1.5, variance 1.25.
  const auto record = calibrate(examples, [](std::span<const std::uint32_t> images, std::span<const std::uint32_t>) {
    return std::vector<float>(images.begin(), images.end());
  });
  EXPECT_EQ(record.at("rows"), 4);
  EXPECT_NEAR(record.at("mean").get<double>(), 1.5, 1e-12);
  EXPECT_NEAR(record.at("standard_deviation").get<double>(), std::sqrt(1.25), 1e-12);
  EXPECT_TRUE(calibrate({}, {}).at("mean").is_null());
}

}  // namespace
}  // namespace imagerank::reward
