#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <functional>
#include <map>
#include <new>
#include <thread>

#include "core/atomic_file.h"
#include "core/hash.h"
#include "core/random.h"
#include "embeddings/encode.h"
#include "images/encode.h"
#include "support/test_support.h"

namespace imagerank::embeddings {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

/// An 8 x 8 picture that says its number.
std::string picture(int number) {
  images::Image image{8, 8, std::vector<std::uint8_t>(std::size_t{3} * 8 * 8, 0)};
  for (std::size_t i = 0; i < image.pixels.size(); i += 3) {
    image.pixels[i] = static_cast<std::uint8_t>(number % 100);
    image.pixels[i + 1] = static_cast<std::uint8_t>(number / 100);
  }
  return images::encode_png(image);
}

/// What the towers of several processes did, in memory that they share.
struct Work {
  std::atomic<int> begun = 0;     ///< images that a tower was given
  std::atomic<int> finished = 0;  ///< images that a tower gave back
};

class EncodeImages : public ::testing::Test {
 protected:
  EncodeImages()
      : work_(new(::mmap(nullptr, sizeof(Work), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) Work) {
    tower_.preprocessing = {8, 8, {0.0F, 0.0F, 0.0F}, {1.0F, 1.0F, 1.0F}};
    tower_.dim = 2;
    tower_.group = kGroup;
    // Reads the number from the picture.
    tower_.embed = [this](std::span<const std::size_t>, std::span<const float> pixels, std::span<float> vectors) {
      const int count = static_cast<int>(vectors.size() / 2);
      work_->begun += count;
      std::this_thread::sleep_for(delay_ * count);
      for (std::size_t i = 0; i < vectors.size() / 2; ++i) {
        vectors[2 * i] = std::round(pixels[i * 192] * 255.0F);
        vectors[2 * i + 1] = std::round(pixels[i * 192 + 64] * 255.0F);
      }
      work_->finished += count;
    };
  }
  ~EncodeImages() override { ::munmap(work_, sizeof(Work)); }

  void make_images(int count) {
    for (int i = 0; i < count; ++i) add_image(fmt::format("i{:05}", i), i);
  }
  void add_image(const std::string& uid, int number) {
    workspace::Image image;
    image.image_uid = uid;
    image.path = "images/" + uid + ".png";
    image.status = "ok";
    const std::string bytes = picture(number);
    image.sha256 = sha256_hex(bytes);
    write_file_atomically(root() / image.path, bytes, false);
    images_.push_back(image);
    numbers_[uid] = number;
  }
  [[nodiscard]] std::filesystem::path root() const { return folder_.path(); }
  [[nodiscard]] std::filesystem::path cache_folder() const { return folder_ / "embeddings"; }

  EncodeCounts encode(int threads = kThreads, const RunContext& given = {}) const {
    RunContext context = given;
    context.threads = threads;
    EncodeCounts counts;
    EmbeddingCache cache = EmbeddingCache::open(cache_folder(), "image");
    encode_images(workspace_, images_, tower_, cache, context, counts);
    cache.save();
    counts.damaged = cache.damaged();
    return counts;
  }
  /// Every vector on disk is that of its picture. @return how many there are.
  [[nodiscard]] int check() const {
    const EmbeddingCache cache = EmbeddingCache::open(cache_folder(), "image");
    for (std::size_t i = 0; i < cache.size(); ++i) {
      const int number = numbers_.at(cache.key(i));
      EXPECT_EQ(cache.row(i), (std::vector<float>{static_cast<float>(number % 100), static_cast<float>(number / 100)}))
          << cache.key(i);
      EXPECT_EQ(cache.content(i), sha256_hex(picture(number)));
    }
    return static_cast<int>(cache.size());
  }
  pid_t encode_in_child() const {
    const pid_t child = ::fork();
    if (child == 0) {
      try {
        encode();
      } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        ::_exit(1);
      }
      ::_exit(0);
    }
    return child;
  }
  static int wait_for(pid_t child) {
    int status = 0;
    ::waitpid(child, &status, 0);
    return status;
  }

  static constexpr int kGroup = 4;
  static constexpr int kThreads = 2;
  test::TemporaryFolder folder_;
  workspace::Workspace workspace_ = workspace::Workspace::create(root());
  std::vector<workspace::Image> images_;
  std::map<std::string, int> numbers_;
  encoding::Tower tower_;
  std::chrono::microseconds delay_{0};  ///< of the tower, an image
  Work* work_;
};

TEST_F(EncodeImages, OfEqualContentGoToTheTowerOnce) {
  make_images(10);
  add_image("twin", 3);
  add_image("twin2", 3);
  const EncodeCounts first = encode();
  EXPECT_EQ(first.images, 12U);
  EXPECT_EQ(first.encoded, 10U);
  EXPECT_EQ(first.copied, 2U);
  EXPECT_EQ(work_->begun, 10);
  EXPECT_EQ(check(), 12);

  add_image("renamed", 7);
  const EncodeCounts second = encode();
  EXPECT_EQ(second.encoded, 0U);
  EXPECT_EQ(second.copied, 1U);
  EXPECT_EQ(second.cached, 12U);
  EXPECT_EQ(work_->begun, 10);
  EXPECT_EQ(check(), 13);
}

TEST_F(EncodeImages, WithoutAHashInTheTableTheFilesOwnCounts) {
  make_images(6);
  add_image("twin", 2);
  for (workspace::Image& image : images_) image.sha256.clear();
  EXPECT_LE(encode(1).encoded, 7U);
  EXPECT_EQ(check(), 7);
  const int before = work_->begun;
  const EncodeCounts again = encode();
  EXPECT_EQ(again.cached, 7U);
  EXPECT_EQ(again.encoded, 0U);
  EXPECT_EQ(work_->begun, before);
}

TEST_F(EncodeImages, ATwinWhoseFileIsGoneOrAnotherIsSeenForItself) {
  make_images(3);
  add_image("twin", 1);
  add_image("x", 5);
  add_image("y", 5);
  write_file_atomically(root() / "images/i00001.png", picture(50), false);  // not what the table says
  numbers_["i00001"] = 50;
  std::filesystem::remove(root() / "images/x.png");
  const EncodeCounts counts = encode();
  ASSERT_EQ(counts.failed.size(), 1U);
  EXPECT_EQ(counts.failed[0].item, "x");
  EXPECT_EQ(counts.failed[0].reason, "missing");
  EXPECT_EQ(counts.images, 5U);
  EXPECT_EQ(check(), 5);
}

TEST_F(EncodeImages, AChangedFileIsEncodedAgain) {
  make_images(5);
  encode();
  write_file_atomically(root() / images_[2].path, picture(99), false);
  images_[2].sha256 = sha256_hex(picture(99));
  numbers_["i00002"] = 99;
  const EncodeCounts counts = encode();
  EXPECT_EQ(counts.encoded, 1U);
  EXPECT_EQ(counts.cached, 4U);
  EXPECT_EQ(check(), 5);
}

TEST_F(EncodeImages, ProgressCountsUpToTheTotal) {
  make_images(30);
  std::filesystem::remove(root() / images_[4].path);
  std::vector<Progress> seen;
  RunContext context;
  context.progress = [&](const Progress& progress) { seen.push_back(progress); };
  encode(2, context);
  ASSERT_FALSE(seen.empty());
  for (std::size_t i = 0; i < seen.size(); ++i) {
    EXPECT_EQ(seen[i].stage, "encode images");
    EXPECT_EQ(seen[i].done, i + 1);
    EXPECT_EQ(seen[i].total, 30U);
  }
  EXPECT_EQ(seen.back().done, 30U);
  EXPECT_EQ(seen.back().note, "1 failed");
}

TEST_F(EncodeImages, AStopKeepsWhatIsDone) {
  make_images(400);
  std::stop_source stop;
  RunContext context;
  context.stop = stop.get_token();
  context.progress = [&](const Progress& progress) {
    if (progress.done == 40) stop.request_stop();
  };
  EXPECT_THROW(encode(2, context), Error);
  const int kept = check();
  EXPECT_GE(kept, 40);
  EXPECT_LT(kept, 100);
  EXPECT_EQ(kept, work_->finished) << "what the towers gave back is there";
  EXPECT_EQ(encode().cached, static_cast<std::size_t>(kept));
  EXPECT_EQ(check(), 400);
}

TEST_F(EncodeImages, KilledAtFiftyRandomMomentsLosesOnlyWhatWasInTheTower) {
  constexpr int kImages = 4000;
  constexpr int kKills = 50;
  make_images(kImages);
  delay_ = std::chrono::microseconds(400);
  Random random(5);
  int kills = 0;
  int kept = 0;
  int lost = 0;
  int under_way = 0;
  for (; kills < kKills; ++kills) {
    const int finished_before = work_->finished;
    const int begun_before = work_->begun;
    const pid_t child = encode_in_child();
    // Most kills while the towers work; every fifth at any time, opening the cache included.
    const auto patience = steady_clock::now() + std::chrono::seconds(20);
    while (kills % 5 != 0 && work_->begun == begun_before && steady_clock::now() < patience) {
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
    std::this_thread::sleep_for(std::chrono::microseconds(random.below(25000)));
    ::kill(child, SIGKILL);
    const int status = wait_for(child);
    if (!WIFSIGNALED(status)) break;  // it was done
    const int now = check();
    const int finished = work_->finished - finished_before;
    EXPECT_GE(now, kept) << "kill " << kills << ": what was there is gone";
    EXPECT_LE(work_->begun - begun_before - (now - kept), kThreads * kGroup)
        << "kill " << kills << ": lost more than a group a worker";
    lost += finished - (now - kept);
    under_way += work_->begun - begun_before - finished;
    kept = now;
  }
  EXPECT_EQ(kills, kKills) << "the list is too short";
  EXPECT_GT(kept, kImages / 8) << "the kills came too early to say anything";
  EncodeCounts rest = encode();
  EXPECT_EQ(rest.cached, static_cast<std::size_t>(kept));
  EXPECT_EQ(rest.encoded, static_cast<std::size_t>(kImages - kept));
  EXPECT_EQ(check(), kImages);
  std::printf(
      "%d kills: %d of %d vectors kept, %d finished ones lost on their way to the log, %d under way, %zu torn\n", kills,
      kept, work_->finished.load(), lost, under_way, rest.damaged);
}

TEST_F(EncodeImages, TwoProcessesDivideTheWork) {
  constexpr int kImages = 1200;
  make_images(kImages);
  delay_ = std::chrono::microseconds(4000);
  const pid_t first = encode_in_child();
  const pid_t second = encode_in_child();
  EXPECT_EQ(wait_for(first), 0);
  EXPECT_EQ(wait_for(second), 0);
  EXPECT_EQ(check(), kImages);
  // Each sees the other's vectors ten times a second, and may repeat a tenth's work near the end.
  EXPECT_LE(work_->begun, kImages + kImages / 4);
  std::printf("%d images, %d through the towers of two processes\n", kImages, work_->begun.load());
  EXPECT_EQ(encode().cached, static_cast<std::size_t>(kImages));
  for (const auto& entry : std::filesystem::directory_iterator(cache_folder())) {
    EXPECT_FALSE(entry.path().filename().string().starts_with('.')) << entry.path();
  }
}

}  // namespace
}  // namespace imagerank::embeddings
