#include "core/bounded_queue.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace imagerank {
namespace {

TEST(BoundedQueue, HandsEverythingOnOnceAndNeverHoldsMoreThanItsCapacity) {
  BoundedQueue<int> queue(4);
  constexpr int kItems = 2000;
  std::atomic<int> pushed = 0;
  std::atomic<long> sum = 0;
  std::atomic<int> popped = 0;
  std::vector<std::jthread> threads;
  for (int producer = 0; producer < 2; ++producer) {
    threads.emplace_back([&] {
      for (int i = pushed++; i < kItems; i = pushed++) queue.push(i);
    });
  }
  std::vector<std::jthread> consumers;
  for (int consumer = 0; consumer < 2; ++consumer) {
    consumers.emplace_back([&] {
      while (const auto item = queue.pop()) {
        sum += *item;
        ++popped;
      }
    });
  }
  threads.clear();
  queue.close();
  consumers.clear();
  EXPECT_EQ(popped, kItems);
  EXPECT_EQ(sum, static_cast<long>(kItems) * (kItems - 1) / 2);
}

TEST(BoundedQueue, CloseFreesAWaitingProducer) {
  BoundedQueue<int> queue(1);
  EXPECT_TRUE(queue.push(1));
  std::jthread producer([&] { EXPECT_FALSE(queue.push(2)); });
  queue.close();
  producer.join();
  EXPECT_EQ(queue.size(), 1U);
  EXPECT_EQ(queue.pop(), 1);
  EXPECT_EQ(queue.size(), 0U);
  EXPECT_EQ(queue.pop(), std::nullopt);
}

}  // namespace
}  // namespace imagerank
