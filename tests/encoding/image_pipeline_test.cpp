#include "encoding/image_pipeline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <numeric>
#include <stdexcept>
#include <thread>

#include "core/atomic_file.h"
#include "core/hash.h"
#include "core/random.h"
#include "images/decode.h"
#include "images/encode.h"
#include "support/test_support.h"

namespace imagerank::encoding {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

std::string noisy_png(std::uint64_t seed, int side = 16) {
  Random random(seed);
  images::Image image{side, side, {}};
  for (int i = 0; i < side * side * 3; ++i) image.pixels.push_back(static_cast<std::uint8_t>(random.below(256)));
  return images::encode_png(image);
}

constexpr std::size_t kPixels = std::size_t{3} * 8 * 8;

/// A tower of two numbers an image: its pixels' sum, and how many images shared the call.
Tower sum_tower(std::size_t group) {
  Tower tower;
  tower.preprocessing.resize_shortest_edge = tower.preprocessing.crop_size = 8;
  tower.dim = 2;
  tower.group = group;
  tower.embed = [](std::span<const std::size_t>, std::span<const float> pixels, std::span<float> vectors) {
    ASSERT_EQ(pixels.size() / kPixels, vectors.size() / 2);
    for (std::size_t i = 0; i < vectors.size() / 2; ++i) {
      const auto image = pixels.subspan(i * kPixels, kPixels);
      vectors[2 * i] = std::accumulate(image.begin(), image.end(), 0.0F);
      vectors[2 * i + 1] = static_cast<float>(vectors.size() / 2);
    }
  };
  return tower;
}

RunContext threads(int count) {
  RunContext context;
  context.threads = count;
  return context;
}

struct Kept {
  std::size_t index;
  std::vector<float> vector;
  std::string sha256;
  std::string reason;
  std::string detail;
  bool operator==(const Kept&) const = default;
};

class ImagePipeline : public ::testing::Test {
 protected:
  /// A list of so many different pictures in memory.
  ImageList pictures(std::size_t count) {
    while (files_.size() < count) files_.push_back(noisy_png(files_.size()));
    ImageList list;
    list.count = count;
    list.source = [this](std::size_t i) { return ImageSource{std::to_string(i), std::as_bytes(std::span(files_[i]))}; };
    return list;
  }
  static std::vector<Kept> encode(const Tower& tower, const ImageList& list, const RunContext& context) {
    std::vector<Kept> results;
    const auto caller = std::this_thread::get_id();
    encode_images(tower, list, context, [&](ImageResult&& result) {
      EXPECT_EQ(std::this_thread::get_id(), caller);
      results.push_back({result.index,
                         {result.vector.begin(), result.vector.end()},
                         result.sha256,
                         result.failure ? result.failure->reason : "",
                         result.failure ? result.failure->detail : ""});
    });
    return results;
  }

  std::vector<std::string> files_;
};

TEST_F(ImagePipeline, ResultsComeInOrderAndDoNotDependOnTheThreads) {
  const ImageList list = pictures(103);
  const auto alone = encode(sum_tower(5), list, threads(1));
  ASSERT_EQ(alone.size(), 103U);
  for (std::size_t i = 0; i < alone.size(); ++i) {
    EXPECT_EQ(alone[i].index, i);
    EXPECT_EQ(alone[i].vector[1], i < 100 ? 5.0F : 3.0F) << "groups are neighbours of the list";
  }
  Tower uneven = sum_tower(5);
  uneven.embed = [sum = uneven.embed](std::span<const std::size_t> images, std::span<const float> pixels,
                                      std::span<float> vectors) {
    sum(images, pixels, vectors);
    std::this_thread::sleep_for(milliseconds(static_cast<int>(std::abs(vectors[0])) % 5));
  };
  for (const int count : {2, 3, 8, 20}) EXPECT_EQ(encode(uneven, list, threads(count)), alone) << count << " threads";
  std::ranges::sort(files_);  // another list
  EXPECT_NE(encode(sum_tower(5), list, threads(2)), alone);
}

TEST_F(ImagePipeline, AShortListIsDividedAmongTheThreads) {
  const ImageList list = pictures(6);
  for (const Kept& result : encode(sum_tower(8), list, threads(3))) EXPECT_EQ(result.vector[1], 2.0F);
  for (const Kept& result : encode(sum_tower(8), list, threads(64))) EXPECT_EQ(result.vector[1], 1.0F);
}

TEST_F(ImagePipeline, WithoutOrderEachGroupComesWhenItIsDone) {
  ImageList list = pictures(8);
  list.in_order = false;
  Tower tower = sum_tower(4);
  std::atomic<bool> second_came = false;
  std::atomic<int> calls = 0;
  tower.embed = [&](std::span<const std::size_t>, std::span<const float>, std::span<float> vectors) {
    const int call = calls++;
    std::ranges::fill(vectors, static_cast<float>(call));
    for (int i = 0; call == 0 && !second_came && i < 5000; ++i) std::this_thread::sleep_for(milliseconds(1));
  };
  std::vector<std::size_t> order;
  encode_images(tower, list, threads(2), [&](ImageResult&& result) {
    order.push_back(result.index);
    if (result.vector[0] == 1.0F) second_came = true;
  });
  EXPECT_TRUE(second_came) << "the first group waited for it";
  std::ranges::sort(order);
  EXPECT_EQ(order, std::vector<std::size_t>({0, 1, 2, 3, 4, 5, 6, 7}));
}

TEST_F(ImagePipeline, BrokenFilesAreFailuresAndTheOthersGoOn) {
  const test::TemporaryFolder folder;
  const std::string good = noisy_png(7);
  write_file_atomically(folder / "good.png", good);
  test::write_text(folder / "half.png", good.substr(0, good.size() / 2));
  test::write_text(folder / "empty.png", "");
  const std::vector<std::string> names = {"good.png", "half.png", "none.png", "empty.png", "good.png"};
  ImageList list;
  list.count = names.size();
  list.hash = true;
  list.source = [&](std::size_t i) { return ImageSource{"uid" + std::to_string(i), folder / names[i]}; };
  const auto results = encode(sum_tower(2), list, threads(2));
  ASSERT_EQ(results.size(), 5U);
  EXPECT_EQ(results[0].vector[0], results[4].vector[0]);
  EXPECT_EQ(results[0].vector[1], 1.0F) << "only the good one of its group goes to the tower";
  EXPECT_EQ(results[0].sha256, sha256_hex(good));
  EXPECT_EQ(results[2].sha256, "");
  const std::vector<std::string> reasons = {"", "corrupt", "missing", "corrupt", ""};
  for (std::size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(results[i].reason, reasons[i]) << names[i];
    EXPECT_EQ(results[i].vector.empty(), !reasons[i].empty());
    if (!reasons[i].empty()) {
      EXPECT_THAT(results[i].detail, HasSubstr(folder / names[i])) << "the file is named";
    }
  }
}

TEST_F(ImagePipeline, SkippedAndKnownImagesNeverReachTheTower) {
  ImageList list = pictures(6);
  list.hash = true;
  const std::string known = sha256_hex(files_[3]);
  list.known = [&](std::size_t, const std::string& sha256) { return sha256 == known; };
  list.source = [all = list.source](std::size_t i) { return i == 1 ? std::nullopt : all(i); };
  const auto results = encode(sum_tower(6), list, threads(1));
  ASSERT_EQ(results.size(), 6U);
  for (std::size_t i = 0; i < 6; ++i) {
    EXPECT_EQ(results[i].vector.empty(), i == 1 || i == 3);
    EXPECT_EQ(results[i].reason, "");
    EXPECT_EQ(results[i].sha256, i == 1 ? "" : sha256_hex(files_[i]));
  }
  EXPECT_EQ(results[0].vector[1], 4.0F);
}

TEST_F(ImagePipeline, ReadsNoFurtherThanFourGroupsAWorkerAhead) {
  std::string file = noisy_png(1);
  std::atomic<std::size_t> asked = 0;
  std::size_t delivered = 0;
  std::size_t furthest = 0;
  ImageList list;
  list.count = 3000;
  list.source = [&](std::size_t i) {
    ++asked;
    return ImageSource{std::to_string(i), std::as_bytes(std::span(file))};
  };
  encode_images(sum_tower(4), list, threads(3), [&](ImageResult&&) {
    if (delivered % 500 == 100) std::this_thread::sleep_for(milliseconds(20));  // a slow caller
    furthest = std::max(furthest, asked - delivered);
    ++delivered;
  });
  EXPECT_EQ(delivered, 3000U);
  EXPECT_LE(furthest, std::size_t{4} * 3 * 4 + 4) << "undelivered images: four groups of four a worker";
  EXPECT_GT(furthest, 12U) << "it does run ahead";
}

TEST_F(ImagePipeline, HoldsNoMoreFilesThanItsLimit) {
  const test::TemporaryFolder folder;
  // Sparse files that no decoder takes: 32 MiB each.
  for (int i = 0; i < 24; ++i) {
    test::write_text(folder / std::to_string(i), "x");
    std::filesystem::resize_file(folder / std::to_string(i), std::uintmax_t{32} << 20);
  }
  std::atomic<std::size_t> asked = 0;
  std::atomic<std::size_t> seen = 0;
  std::atomic<std::size_t> furthest = 0;
  ImageList list;
  list.count = 24;
  list.hash = true;
  list.source = [&](std::size_t i) {
    furthest = std::max<std::size_t>(furthest, ++asked - seen);
    return ImageSource{std::to_string(i), folder / std::to_string(i)};
  };
  list.known = [&](std::size_t, const std::string&) {
    std::this_thread::sleep_for(milliseconds(2));
    ++seen;
    return true;
  };
  encode_images(sum_tower(1), list, threads(4), [](ImageResult&&) {});
  EXPECT_EQ(seen, 24U);
  EXPECT_LE(furthest, 8U + 2U + 4U) << "256 MiB, one in the hands of each reader, one being let go by each worker";
}

TEST_F(ImagePipeline, AStopDeliversWhatIsInTheTowerAndThrows) {
  const ImageList list = pictures(400);
  std::stop_source stop;
  RunContext context = threads(2);
  context.stop = stop.get_token();
  std::vector<std::size_t> order;
  const auto sink = [&](ImageResult&& result) {
    order.push_back(result.index);
    if (order.size() == 20) stop.request_stop();
  };
  try {
    encode_images(sum_tower(4), list, context, sink);
    FAIL() << "not stopped";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kCancelled);
  }
  EXPECT_GE(order.size(), 20U);
  EXPECT_LE(order.size(), 20U + 4 * 4 * 2);
  for (std::size_t i = 0; i < order.size(); ++i) EXPECT_EQ(order[i], i);
  order.clear();
  EXPECT_THROW(encode_images(sum_tower(4), list, context, sink), Error) << "stopped before it began";
  EXPECT_TRUE(order.empty());
}

TEST_F(ImagePipeline, WhatAThreadThrowsReachesTheCallerAfterWhatWasDone) {
  ImageList list = pictures(200);
  Tower tower = sum_tower(4);
  std::atomic<int> calls = 0;
  tower.embed = [&, sum = tower.embed](std::span<const std::size_t> images, std::span<const float> pixels,
                                       std::span<float> vectors) {
    if (++calls == 9) throw std::runtime_error("the tower fell");
    sum(images, pixels, vectors);
  };
  for (const int count : {1, 4}) {
    calls = 0;
    std::size_t delivered = 0;
    list.in_order = false;
    try {
      encode_images(tower, list, threads(count), [&](ImageResult&&) { ++delivered; });
      FAIL() << "nothing thrown";
    } catch (const std::runtime_error& error) {
      EXPECT_STREQ(error.what(), "the tower fell");
    }
    EXPECT_GE(delivered, 8U * 4U) << "no finished vector is dropped";
  }
  list.source = [](std::size_t i) -> std::optional<ImageSource> {
    if (i == 50) throw std::runtime_error("no such row");
    return std::nullopt;
  };
  EXPECT_THROW(encode(sum_tower(4), list, threads(3)), std::runtime_error);
  EXPECT_THROW(encode_images(sum_tower(4), pictures(200), threads(3),
                             [](ImageResult&& result) {
                               if (result.index == 30) throw std::runtime_error("disk full");
                             }),
               std::runtime_error);
}

TEST_F(ImagePipeline, ReadingOverlapsTheTower) {
  ImageList list = pictures(40);
  list.source = [all = list.source](std::size_t i) {
    std::this_thread::sleep_for(milliseconds(5));
    return all(i);
  };
  Tower tower = sum_tower(4);
  tower.embed = [sum = tower.embed](std::span<const std::size_t> images, std::span<const float> pixels,
                                    std::span<float> vectors) {
    sum(images, pixels, vectors);
    std::this_thread::sleep_for(milliseconds(20));
  };
  const auto start = std::chrono::steady_clock::now();
  encode(tower, list, threads(1));
  const auto taken = std::chrono::steady_clock::now() - start;
  EXPECT_LT(taken, milliseconds(360)) << "200 ms of reading and 200 ms of tower, one after the other, are 400";
}

TEST_F(ImagePipeline, AnEmptyListAndBadOptions) {
  EXPECT_TRUE(encode(sum_tower(4), pictures(0), threads(2)).empty());
  EXPECT_THROW(encode(sum_tower(0), pictures(1), threads(2)), Error);
}

TEST_F(ImagePipeline, AnEncodersVectorsAreThoseOfItsTower) {
  const auto encoder = clip::Encoder::load("builtin/sample", {});
  const ImageList list = pictures(11);
  const Tower tower = vision_tower(encoder, 4);
  EXPECT_EQ(vision_tower(encoder).group, encoder.group_size());
  const auto results = encode(tower, list, threads(2));
  ASSERT_EQ(results.size(), 11U);
  EXPECT_EQ(encode(tower, list, threads(1)), results);
  for (const Kept& result : results) {
    const auto pixels = images::preprocess(images::decode_image(std::as_bytes(std::span(files_[result.index]))),
                                           encoder.preprocessing());
    const std::vector<float> alone = encoder.embed_pixels(pixels, 1);
    ASSERT_EQ(result.vector.size(), alone.size());
    for (std::size_t i = 0; i < alone.size(); ++i) EXPECT_NEAR(result.vector[i], alone[i], 1e-4) << result.index;
  }
}

}  // namespace
}  // namespace imagerank::encoding
