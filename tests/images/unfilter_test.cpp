#include "images/unfilter.h"

#include <gtest/gtest.h>

#include <iostream>
#include <random>
#include <vector>

namespace imagerank::images {
namespace {

TEST(Unfilter, HandWorkedRows) {
  // Two pixels of one byte a row: none, sub, up, average, Paeth.
  std::vector<std::uint8_t> data = {0, 10, 20, 1, 10, 10, 2, 1, 2, 3, 250, 1, 4, 5, 6};
  const std::vector<std::uint8_t> expected = {10,  20,   // as they are
                                              10,  20,   // 10 + 0, 10 + 10
                                              11,  22,   // 1 + 10, 2 + 20
                                              255, 139,  // 250 + (0 + 11) / 2, 1 + (255 + 22) / 2
                                              4,   10};  // 5 + 255 wraps; 4 + 139 - 255 is nearest to 4: 6 + 4
  data.resize(data.size() + kUnfilterSlack);
  for (const Unfilter& unfilter : unfilters()) {
    std::vector<std::uint8_t> rows = data;
    ASSERT_TRUE(unfilter.rows(rows.data(), 5, 2, 1)) << unfilter.name;
    EXPECT_EQ(std::vector(rows.begin(), rows.begin() + 10), expected) << unfilter.name;
  }
}

TEST(Unfilter, EveryWayGivesTheSameBytes) {
  if (unfilters().size() < 2) std::cout << "only plain C++ runs on this machine\n";
  std::mt19937 random(11);
  for (const std::size_t pixel_bytes : {1U, 2U, 3U, 4U, 6U, 8U}) {
    for (const std::size_t pixels : {1U, 2U, 5U, 31U, 200U}) {
      constexpr std::size_t kRows = 61;
      const std::size_t row_bytes = pixels * pixel_bytes;
      std::vector<std::uint8_t> data(kRows * (row_bytes + 1) + kUnfilterSlack);
      for (auto& byte : data) byte = static_cast<std::uint8_t>(random());
      for (std::size_t y = 0; y < kRows; ++y) data[y * (row_bytes + 1)] %= 5;
      std::vector<std::uint8_t> plain = data;
      ASSERT_TRUE(unfilters().back().rows(plain.data(), kRows, row_bytes, pixel_bytes));
      plain.resize(kRows * row_bytes);
      for (const Unfilter& unfilter : unfilters()) {
        std::vector<std::uint8_t> rows = data;
        ASSERT_TRUE(unfilter.rows(rows.data(), kRows, row_bytes, pixel_bytes));
        rows.resize(kRows * row_bytes);
        EXPECT_EQ(rows, plain) << unfilter.name << ", " << pixels << " pixels of " << pixel_bytes << " bytes";
      }
    }
  }
}

TEST(Unfilter, AnUnknownFilterIsRefused) {
  for (const Unfilter& unfilter : unfilters()) {
    std::vector<std::uint8_t> data(4 + kUnfilterSlack, 5);
    EXPECT_FALSE(unfilter.rows(data.data(), 1, 3, 3)) << unfilter.name;
  }
}

}  // namespace
}  // namespace imagerank::images
