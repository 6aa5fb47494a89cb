#include "core/threads.h"

#include <gtest/gtest.h>

#include <atomic>
#include <vector>

#include "imagerank/error.h"

namespace imagerank {
namespace {

TEST(Threads, AllRunAndTheFirstErrorIsThrownWhenAllHaveEnded) {
  std::atomic<int> begun = 0, ended = 0;
  run_on_threads(4, [&] { ++begun; });
  EXPECT_EQ(begun, 4);
  try {
    run_on_threads(4, [&] {
      const int number = begun++;
      ++ended;
      if (number == 5) throw Error(ErrorCode::kIo, "the second one's");
    });
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "the second one's");
  }
  EXPECT_EQ(ended, 4);
}

TEST(Threads, SharesCoverTheRangeOnceAndNoneIsLarger) {
  for (const std::size_t count : {0U, 1U, 5U, 64U, 1000U}) {
    std::vector<std::atomic<int>> seen(count);
    share_range(count, 10, 3, [&](std::size_t first, std::size_t last) {
      EXPECT_LT(first, last);
      EXPECT_LE(last - first, 10U);
      for (std::size_t i = first; i < last; ++i) ++seen[i];
    });
    for (const std::atomic<int>& times : seen) EXPECT_EQ(times, 1);
  }
}

TEST(Threads, NoShareBeginsAfterAnError) {
  std::atomic<int> begun = 0;
  EXPECT_THROW(share_range(1000, 1, 1,
                           [&](std::size_t, std::size_t) {
                             if (++begun == 3) throw Error(ErrorCode::kIo, "a disk");
                           }),
               Error);
  EXPECT_EQ(begun, 3);
}

TEST(Threads, EachHasAValueOfItsOwn) {
  PerThread<int> values;
  std::atomic<int> waiting = 3;
  run_on_threads(3, [&] {
    --waiting;
    while (waiting > 0) std::this_thread::yield();
    for (int i = 0; i < 1000; ++i) ++values.get([] { return std::make_unique<int>(0); });
  });
  int count = 0;
  values.for_each([&](int value) {
    EXPECT_EQ(value, 1000);
    ++count;
  });
  EXPECT_EQ(count, 3);
}

}  // namespace
}  // namespace imagerank
