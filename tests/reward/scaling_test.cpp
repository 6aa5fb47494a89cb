#include "reward/scaling.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace imagerank::reward {
namespace {

TEST(Scaler, WeightedStatisticsByHand) {
  // Image rows (1, 5) three times and (3, 5) once: mean 1.5, variance (3 * 0.25 + 2.25) / 4 = 0.75; the second
  // component never varies. The third row is not used at all.
  const std::vector<float> images = {1, 5, 3, 5, 100, 100};
  const std::vector<double> image_counts = {3, 1, 0};
  const std::vector<float> texts = {0, 2, 4, 2};
  const std::vector<double> text_counts = {1, 1};
  const Scaler scaler = Scaler::fit(2, images, image_counts, texts, text_counts);
  std::vector<float> out(2);
  scaler.prepare_image(std::vector<float>{3, 9}, out);
  EXPECT_NEAR(out[0], 1.5 / std::sqrt(0.75), 1e-6);
  EXPECT_EQ(out[1], 0.0F);
  scaler.prepare_text(std::vector<float>{4, 2}, out);
  EXPECT_NEAR(out[0], 1.0, 1e-6);
  EXPECT_EQ(out[1], 0.0F);
}

TEST(Scaler, UnitLength) {
  const Scaler scaler = Scaler::unit_length(2);
  std::vector<float> row = {3, 4};
  scaler.prepare_text(row, row);
  EXPECT_NEAR(row[0], 0.6, 1e-7);
  EXPECT_NEAR(row[1], 0.8, 1e-7);
  std::vector<float> zero = {0, 0};
  scaler.prepare_image(zero, zero);
  EXPECT_EQ(zero, (std::vector<float>{0, 0}));
}

}  // namespace
}  // namespace imagerank::reward
