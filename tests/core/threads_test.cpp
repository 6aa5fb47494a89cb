#include "core/threads.h"

#include <gtest/gtest.h>

#include <atomic>

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
