#include "workspace/text_parts.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <string>
#include <vector>

#include "support/test_support.h"

namespace imagerank::workspace {
namespace {

std::string text_of(int number) {
  if (number % 1000 == 0) return std::string(40'000, 'x') + std::to_string(number / 2000);  // longer than a block
  if (number % 1001 == 0) return "";
  return fmt::format("text {}", number / 3);
}

class TextPartsTest : public ::testing::TestWithParam<std::size_t> {
 protected:
  static constexpr int kRows = 60'000;

  static void fill(TextParts& parts) {
    std::atomic<int> next = 0;
    run_on_threads(3, [&] {
      TextParts::Adder adder(parts);
      for (int i = next++; i < kRows; i = next++) adder.add(text_of(i));
      adder.finish();
    });
    parts.finish();
  }

  test::TemporaryFolder folder_;
};

// All in memory, some on disk, all on disk.
INSTANTIATE_TEST_SUITE_P(Memory, TextPartsTest, ::testing::Values(std::size_t{1} << 30, std::size_t{1} << 20, 0));

TEST_P(TextPartsTest, WhatGoesInComesOutAndEqualTextsMeet) {
  std::vector<std::string> rows, expected;
  std::map<std::string, std::size_t> part_of;
  {
    TextParts parts(folder_.path(), GetParam());
    fill(parts);
    EXPECT_EQ(std::filesystem::is_empty(folder_.path()), GetParam() == std::size_t{1} << 30);
    for (std::size_t index = 0; index < TextParts::kParts; ++index) {
      for (int round = 0; round < 2; ++round) {  // forgotten, and read anew
        const TextParts::Part part = parts.part(index);
        std::size_t size = 0;
        part.for_each([&](const TextEntry& entry) {
          ++size;
          if (round == 0) rows.emplace_back(entry.view());
          EXPECT_EQ(part_of.emplace(entry.view(), index).first->second, index);
        });
        EXPECT_EQ(size, part.size());
        parts.forget(index);
      }
    }
  }
  for (int i = 0; i < kRows; ++i) expected.push_back(text_of(i));
  std::ranges::sort(rows);
  std::ranges::sort(expected);
  EXPECT_TRUE(rows == expected);
  EXPECT_TRUE(std::filesystem::is_empty(folder_.path())) << "the file goes with the object";
}

TEST_P(TextPartsTest, EachTextHasOneNumber) {
  TextParts parts(folder_.path(), GetParam());
  fill(parts);
  struct State {
    TextNumbers numbers;
    std::vector<std::string> texts;
  };
  RunContext context;
  context.threads = 3;
  int finished = 0;
  const auto states = for_each_part<State>(
      context,
      [&](std::size_t index, State& state) {
        const TextParts::Part part = parts.part(index);
        state.numbers.reset(part.size());
        part.for_each([&](const TextEntry& entry) {
          ASSERT_EQ(state.numbers.at(state.numbers.find_or_add(entry)), entry.view());
        });
        for (std::uint32_t i = 0; i < state.numbers.size(); ++i) state.texts.emplace_back(state.numbers.at(i));
      },
      [&](State&) { std::atomic_ref(finished)++; });
  EXPECT_EQ(states.size(), 3U);
  EXPECT_EQ(finished, 3);
  std::vector<std::string> found, expected;
  for (const auto& state : states) found.insert(found.end(), state->texts.begin(), state->texts.end());
  for (int i = 0; i < kRows; ++i) expected.push_back(text_of(i));
  std::ranges::sort(found);
  std::ranges::sort(expected);
  expected.erase(std::ranges::unique(expected).begin(), expected.end());
  EXPECT_TRUE(found == expected);
}

}  // namespace
}  // namespace imagerank::workspace
