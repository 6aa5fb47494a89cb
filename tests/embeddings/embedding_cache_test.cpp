#include "embeddings/embedding_cache.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <functional>
#include <thread>

#include "core/atomic_file.h"
#include "core/npy.h"
#include "core/random.h"
#include "imagerank/error.h"
#include "support/test_support.h"

namespace imagerank::embeddings {
namespace {

TEST(EmbeddingCache, RoundTripsThroughFloat16) {
  const test::TemporaryFolder folder;
  EmbeddingCache cache = EmbeddingCache::open(folder / "enc", "image");
  EXPECT_EQ(cache.size(), 0U);
  cache.add("a", "hash-a", std::vector<float>{1.0F, 0.1F});
  cache.add("b, \"q\"", "", std::vector<float>{-2.0F, 4.0F});
  cache.save();
  const EmbeddingCache again = EmbeddingCache::open(folder / "enc", "image");
  ASSERT_EQ(again.size(), 2U);
  EXPECT_EQ(again.dim(), 2U);
  EXPECT_EQ(again.find("b, \"q\""), 1U);
  EXPECT_EQ(again.find("c"), EmbeddingCache::npos);
  EXPECT_EQ(again.row(1), std::vector<float>({-2.0F, 4.0F}));
  EXPECT_NEAR(again.row(0)[1], 0.1F, 1e-4F);
  EXPECT_EQ(again.content(0), "hash-a");
}

TEST(EmbeddingCache, ScoresAreKeptAsTheyAre) {
  const test::TemporaryFolder folder;
  const std::vector<float> scores = {0.1F, -1.2345678F, 1e-30F, 123456.78F};
  EmbeddingCache cache = EmbeddingCache::open(folder.path(), "pair", Stored::kFloat);
  for (std::size_t i = 0; i < scores.size(); ++i) {
    cache.add("uid\nprompt " + std::to_string(i), "hash\nprompt", std::vector<float>{scores[i]});
  }
  const auto check = [&](const EmbeddingCache& found) {
    ASSERT_EQ(found.size(), scores.size());
    EXPECT_EQ(found.dim(), 1U);
    EXPECT_TRUE(found.mapped_rows().empty());
    for (std::size_t i = 0; i < scores.size(); ++i) {
      EXPECT_EQ(found.row(found.find("uid\nprompt " + std::to_string(i))), std::vector<float>{scores[i]});
    }
  };
  check(EmbeddingCache::open(folder.path(), "pair", Stored::kFloat));  // from the log
  cache.save();
  check(EmbeddingCache::open(folder.path(), "pair", Stored::kFloat));
  EXPECT_EQ(NpyFile(folder / "pair.npy").to_float(), scores);
  try {
    (void)EmbeddingCache::open(folder.path(), "pair");
    ADD_FAILURE() << "float32 was read as float16";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kCorruptData);
  }
}

TEST(EmbeddingCache, AddingAKeyAgainReplacesItsRow) {
  const test::TemporaryFolder folder;
  EmbeddingCache cache = EmbeddingCache::open(folder.path(), "image");
  cache.add("a", "old", std::vector<float>{1.0F});
  cache.add("b", "", std::vector<float>{2.0F});
  cache.add("a", "new", std::vector<float>{3.0F});
  EXPECT_EQ(cache.size(), 2U);
  EXPECT_EQ(cache.row(0)[0], 3.0F);
  EXPECT_EQ(cache.content(0), "new");
  EXPECT_THROW(cache.add("c", "", std::vector<float>{1.0F, 2.0F}), Error);
}

TEST(EmbeddingCache, ACrashBetweenArrayAndKeysLosesNothing) {
  const test::TemporaryFolder folder;
  EmbeddingCache cache = EmbeddingCache::open(folder.path(), "text");
  cache.add("a", "", std::vector<float>{1.0F});
  cache.save();
  const std::string keys = load_file(folder / "text.parquet");
  cache.add("b", "", std::vector<float>{2.0F});
  cache.save();
  test::write_text(folder / "text.parquet", keys);  // as if killed before the keys were renamed
  const EmbeddingCache again = EmbeddingCache::open(folder.path(), "text");
  EXPECT_EQ(again.size(), 1U);
  EXPECT_EQ(again.row(0)[0], 1.0F);
}

TEST(EmbeddingCache, DisagreeingFilesAreCorrupt) {
  const test::TemporaryFolder folder;
  EmbeddingCache cache = EmbeddingCache::open(folder.path(), "text");
  cache.add("a", "", std::vector<float>{1.0F});
  cache.save();
  const std::string array = load_file(folder / "text.npy");
  cache.add("b", "", std::vector<float>{2.0F});
  cache.save();
  const auto code = [&] {
    try {
      (void)EmbeddingCache::open(folder.path(), "text");
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::kCancelled;
  };
  test::write_text(folder / "text.npy", array);
  EXPECT_EQ(code(), ErrorCode::kCorruptData);
  test::write_text(folder / "text.parquet", "not parquet");
  EXPECT_EQ(code(), ErrorCode::kCorruptData);
}

std::vector<float> vector_of(int i) { return {static_cast<float>(i % 1000), static_cast<float>(i / 1000), -0.5F}; }
std::string key_of(int i) { return "key-" + std::to_string(i); }

void add(EmbeddingCache& cache, int first, int end) {
  for (int i = first; i < end; ++i) cache.add(key_of(i), "content-" + std::to_string(i), vector_of(i));
}

/// Every row is what add() gave it. @return how many there are.
std::size_t check_rows(const EmbeddingCache& cache) {
  for (std::size_t i = 0; i < cache.size(); ++i) {
    const int number = std::stoi(cache.key(i).substr(4));
    EXPECT_EQ(cache.row(i), vector_of(number)) << cache.key(i);
    EXPECT_EQ(cache.content(i), "content-" + std::to_string(number));
  }
  return cache.size();
}

std::size_t hidden_files(const std::filesystem::path& folder) {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().filename().string().starts_with('.')) ++count;
  }
  return count;
}

std::string message_of(const std::function<void()>& act, ErrorCode code) {
  try {
    act();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    return error.what();
  }
  return "nothing thrown";
}

TEST(EmbeddingLogs, WhatIsAddedIsThereWithoutSaving) {
  const test::TemporaryFolder folder;
  {
    EmbeddingCache cache = EmbeddingCache::open(folder.path(), "image");
    add(cache, 0, 100);
    EXPECT_EQ(check_rows(cache), 100U) << "read back from the log";
    EXPECT_EQ(check_rows(EmbeddingCache::open(folder.path(), "image")), 100U) << "seen by others at once";
    EXPECT_EQ(EmbeddingCache::open(folder.path(), "text").size(), 0U);
  }
  EXPECT_FALSE(std::filesystem::exists(folder / "image.npy"));
  EmbeddingCache again = EmbeddingCache::open(folder.path(), "image");
  EXPECT_EQ(check_rows(again), 100U);
  EXPECT_EQ(again.key(again.find_content("content-42")), "key-42");
  again.save();
  EXPECT_EQ(hidden_files(folder.path()), 0U);
  EXPECT_EQ(check_rows(again), 100U);
  EXPECT_EQ(NpyFile(folder / "image.npy").shape(), (std::vector<std::size_t>{100, 3}));
  const auto written = std::filesystem::last_write_time(folder / "image.npy");
  again.save();
  EXPECT_EQ(std::filesystem::last_write_time(folder / "image.npy"), written) << "nothing to merge, nothing written";
}

TEST(EmbeddingLogs, ATornTailIsDroppedWhereverItIsCut) {
  const test::TemporaryFolder folder;
  {
    EmbeddingCache cache = EmbeddingCache::open(folder.path(), "image");
    add(cache, 0, 4);
  }
  const std::filesystem::path log = EmbeddingLog::list(folder.path(), "image").at(0);
  const std::string whole = load_file(log);
  const std::size_t record = (whole.size() - 24) / 4;
  ASSERT_EQ(24 + 4 * record, whole.size());
  for (std::size_t size = 0; size <= whole.size(); ++size) {
    test::write_text(log, whole.substr(0, size));
    EmbeddingCache cache = EmbeddingCache::open(folder.path(), "image");
    const std::size_t expected = size < 24 ? 0 : (size - 24) / record;
    ASSERT_EQ(check_rows(cache), expected) << "cut at " << size;
    if (size % 5 != 0 && size != whole.size()) continue;  // merging takes longer
    const bool torn = size != 0 && size != 24 && (size < 24 || (size - 24) % record != 0);
    cache.save();
    EXPECT_EQ(cache.damaged(), torn ? 1U : 0U) << "cut at " << size;
    EXPECT_EQ(check_rows(cache), expected);
    EXPECT_EQ(hidden_files(folder.path()), 0U);
    std::filesystem::remove(folder / "image.npy");
    std::filesystem::remove(folder / "image.parquet");
  }
}

TEST(EmbeddingLogs, ADamagedByteCostsItsRecordAtMost) {
  const test::TemporaryFolder folder;
  {
    EmbeddingCache cache = EmbeddingCache::open(folder.path(), "image");
    add(cache, 0, 4);
  }
  const std::filesystem::path log = EmbeddingLog::list(folder.path(), "image").at(0);
  const std::string whole = load_file(log);
  const std::size_t record = (whole.size() - 24) / 4;
  for (std::size_t at = 24 + record; at < 24 + 2 * record; ++at) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x40);
    test::write_text(log, damaged);
    EmbeddingCache cache = EmbeddingCache::open(folder.path(), "image");
    // Of sizes that lie nothing behind them can be found again.
    EXPECT_GE(check_rows(cache), at < 24 + record + 8 ? 1U : 3U) << "byte " << at;
    EXPECT_LE(cache.size(), 3U);
    EXPECT_EQ(cache.find("key-1"), EmbeddingCache::npos);
    cache.save();
    EXPECT_GE(cache.damaged(), 1U);
    std::filesystem::remove(folder / "image.npy");
    std::filesystem::remove(folder / "image.parquet");
  }
}

TEST(EmbeddingLogs, OtherThingsThanTheLogOfThisEncoderAreClearErrors) {
  const test::TemporaryFolder folder;
  const auto open = [&] { (void)EmbeddingCache::open(folder.path(), "image"); };
  {
    EmbeddingCache cache = EmbeddingCache::open(folder.path(), "image");
    add(cache, 0, 2);
    cache.save();
    EXPECT_THROW(cache.add("x", "", std::vector<float>(7)), Error);
    auto other = EmbeddingLog::create(folder.path(), "image", 7);
    other.append("x", "y", std::vector<std::uint16_t>(7));
  }
  EXPECT_NE(message_of(open, ErrorCode::kCorruptData).find("expected vectors of 3 numbers like the others, found 7"),
            std::string::npos);
  const std::filesystem::path log = EmbeddingLog::list(folder.path(), "image").at(0);
  test::write_text(log, "this is not a log of embeddings at all");
  EXPECT_NE(message_of(open, ErrorCode::kCorruptData).find(log.string()), std::string::npos);
}

TEST(EmbeddingLogs, TwoWritersLoseNothing) {
  const test::TemporaryFolder folder;
  EmbeddingCache a = EmbeddingCache::open(folder.path(), "image");
  EXPECT_FALSE(a.join(3)) << "alone";
  EmbeddingCache b = EmbeddingCache::open(folder.path(), "image");
  EXPECT_TRUE(b.join(3));
  add(a, 0, 50);
  add(b, 40, 60);
  EXPECT_EQ(b.size(), 20U);
  b.refresh();
  EXPECT_EQ(check_rows(b), 60U);
  b.save();
  EXPECT_EQ(EmbeddingLog::list(folder.path(), "image").size(), 1U) << "the log of a process at work stays its own";
  add(a, 60, 70);
  EXPECT_EQ(check_rows(EmbeddingCache::open(folder.path(), "image")), 70U);
  a.save();
  EXPECT_EQ(check_rows(a), 70U);
  EXPECT_EQ(check_rows(EmbeddingCache::open(folder.path(), "image")), 70U);
  EXPECT_EQ(NpyFile(folder / "image.npy").shape()[0], 70U);
  EXPECT_EQ(hidden_files(folder.path()), 0U);
}

TEST(EmbeddingLogs, AChangedContentReplacesItsRowThroughAMerge) {
  const test::TemporaryFolder folder;
  EmbeddingCache cache = EmbeddingCache::open(folder.path(), "image");
  add(cache, 0, 3);
  cache.save();
  cache.add("key-1", "content-9", vector_of(9));
  EXPECT_EQ(cache.find_content("content-1"), EmbeddingCache::npos);
  cache.save();
  EXPECT_EQ(cache.size(), 3U);
  EXPECT_EQ(cache.row(1), vector_of(9));
  EXPECT_EQ(cache.find_content("content-9"), 1U);
}

/// Runs `act` in a process of its own. @return its id.
pid_t in_child(const std::function<void()>& act) {
  const pid_t child = ::fork();
  if (child == 0) {
    try {
      act();
    } catch (const std::exception& error) {
      std::fprintf(stderr, "%s\n", error.what());
      ::_exit(1);
    }
    ::_exit(0);
  }
  return child;
}

int wait_for(pid_t child) {
  int status = 0;
  ::waitpid(child, &status, 0);
  return status;
}

TEST(EmbeddingLogs, ProcessesThatMergeAtTheSameTimeLoseNothing) {
  const test::TemporaryFolder folder;
  constexpr int kProcesses = 4;
  constexpr int kRounds = 5;
  std::vector<pid_t> children;
  for (int process = 0; process < kProcesses; ++process) {
    children.push_back(in_child([&] {
      for (int round = 0; round < kRounds; ++round) {
        EmbeddingCache cache = EmbeddingCache::open(folder.path(), "image");
        const int first = (process * kRounds + round) * 20;
        add(cache, first, first + 25);  // five of the next one's too
        cache.save();
      }
    }));
  }
  for (const pid_t child : children) EXPECT_EQ(wait_for(child), 0);
  EXPECT_EQ(check_rows(EmbeddingCache::open(folder.path(), "image")), 405U);
  EXPECT_EQ(hidden_files(folder.path()), 0U);
  EXPECT_EQ(NpyFile(folder / "image.npy").shape()[0], 405U);
}

TEST(EmbeddingLogs, AMergeThatIsKilledLosesNothing) {
  const test::TemporaryFolder folder;
  Random random(3);
  int killed = 0;
  for (int round = 0; round < 25; ++round) {
    const std::filesystem::path place = folder / std::to_string(round);
    {
      EmbeddingCache cache = EmbeddingCache::open(place, "image");
      add(cache, 0, 2000);
      cache.save();
      add(cache, 1990, 3000);
    }
    const pid_t child = in_child([&] { EmbeddingCache::open(place, "image").save(); });
    std::this_thread::sleep_for(std::chrono::microseconds(random.below(60000)));
    ::kill(child, SIGKILL);
    killed += WIFSIGNALED(wait_for(child)) ? 1 : 0;
    EmbeddingCache cache = EmbeddingCache::open(place, "image");
    ASSERT_EQ(check_rows(cache), 3000U) << "round " << round;
    cache.save();
    ASSERT_EQ(check_rows(EmbeddingCache::open(place, "image")), 3000U);
    ASSERT_EQ(hidden_files(place), 0U);
  }
  EXPECT_GE(killed, 5) << "most kills came too late to say anything";
}

}  // namespace
}  // namespace imagerank::embeddings
