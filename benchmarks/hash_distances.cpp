// How far apart the perceptual hashes of one picture and of different pictures are: each image of a folder against
// changed copies of itself, and against each other image. Also how many images a second are decoded and hashed.
// usage: hash_distances FOLDER
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <iostream>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "images/decode.h"
#include "images/encode.h"
#include "images/perceptual_hash.h"
#include "images/preprocess.h"

namespace {

using imagerank::images::Image;

Image reencoded(const Image& image, int quality) {
  const std::string bytes = imagerank::images::encode_jpeg(image, quality);
  return imagerank::images::decode_image(std::as_bytes(std::span(bytes)));
}

Image resized(const Image& image, std::int32_t width, std::int32_t height) {
  return imagerank::images::resize_bicubic(image, width, height);
}

/// What is left when `share` of each side is cut off all around.
Image cropped(const Image& image, double share) {
  const auto left = static_cast<std::int32_t>(image.width * share);
  const auto top = static_cast<std::int32_t>(image.height * share);
  Image result{image.width - 2 * left, image.height - 2 * top, {}};
  for (std::int32_t y = 0; y < result.height; ++y) {
    const auto at =
        (static_cast<std::size_t>(y + top) * static_cast<std::size_t>(image.width) + static_cast<std::size_t>(left)) *
        3;
    const auto* row = image.pixels.data() + at;
    result.pixels.insert(result.pixels.end(), row, row + static_cast<std::size_t>(result.width) * 3);
  }
  return result;
}

Image changed(const Image& image, const std::function<std::size_t(std::size_t x, std::size_t width)>& column,
              const std::function<double(double)>& level) {
  Image result = image;
  const auto width = static_cast<std::size_t>(image.width);
  for (std::size_t i = 0; i < result.pixels.size(); ++i) {
    const std::size_t pixel = i / 3, y = pixel / width, x = pixel % width;
    const double value = level(image.pixels[(y * width + column(x, width)) * 3 + i % 3]);
    result.pixels[i] = static_cast<std::uint8_t>(std::clamp(value, 0.0, 255.0));
  }
  return result;
}

std::size_t same_column(std::size_t x, std::size_t /*width*/) { return x; }
double same_level(double value) { return value; }

struct Change {
  const char* name;
  std::function<Image(const Image&)> apply;
};

std::vector<Change> changes() {
  return {{"JPEG again, quality 75", [](const Image& image) { return reencoded(image, 75); }},
          {"JPEG again, quality 50", [](const Image& image) { return reencoded(image, 50); }},
          {"JPEG again, quality 20", [](const Image& image) { return reencoded(image, 20); }},
          {"resized to 256 x 256", [](const Image& image) { return resized(image, 256, 256); }},
          {"resized to 64 x 64, JPEG 75", [](const Image& image) { return reencoded(resized(image, 64, 64), 75); }},
          {"lighter by 30 levels",
           [](const Image& image) { return changed(image, same_column, [](double value) { return value + 30.0; }); }},
          {"1 % cut off all around", [](const Image& image) { return cropped(image, 0.01); }},
          {"2 % cut off all around", [](const Image& image) { return cropped(image, 0.02); }},
          {"5 % cut off all around", [](const Image& image) { return cropped(image, 0.05); }},
          {"mirrored", [](const Image& image) {
             return changed(image, [](std::size_t x, std::size_t width) { return width - 1 - x; }, same_level);
           }}};
}

void print(const char* name, std::vector<int> distances) {
  std::ranges::sort(distances);
  const auto at = [&](double share) {
    return distances[static_cast<std::size_t>(share * static_cast<double>(distances.size() - 1))];
  };
  const auto within = [&](int most) {
    return 100.0 * static_cast<double>(std::ranges::count_if(distances, [&](int d) { return d <= most; })) /
           static_cast<double>(distances.size());
  };
  std::cout << fmt::format("| {} | {} | {} | {} | {} | {:.1f} | {:.1f} | {:.1f} | {:.1f} | {:.1f} |\n", name, at(0.0),
                           at(0.5), at(0.95), at(1.0), within(2), within(4), within(6), within(8), within(10));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: hash_distances FOLDER\n";
    return 2;
  }
  std::vector<Image> images;
  std::vector<std::uint64_t> hashes;
  const auto start = std::chrono::steady_clock::now();
  double hashing_s = 0.0;
  std::size_t featureless = 0;
  std::ptrdiff_t least_features = 64;
  for (const auto& entry : std::filesystem::directory_iterator(argv[1])) {
    Image image = imagerank::images::load_image(entry.path());
    const auto decoded = std::chrono::steady_clock::now();
    const std::optional<std::uint64_t> hash = imagerank::images::perceptual_hash(image);
    hashing_s += std::chrono::duration<double>(std::chrono::steady_clock::now() - decoded).count();
    if (!hash) {
      ++featureless;
      continue;
    }
    least_features = std::min(least_features, std::ranges::count_if(imagerank::images::low_frequencies(image),
                                                                    [](double v) { return std::abs(v) >= 2.0; }));
    hashes.push_back(*hash);
    images.push_back(std::move(image));
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  std::cout << fmt::format(
      "{} images, {} featureless, of the others {} frequencies or more over 2 levels; {:.1f} images/s on one thread, "
      "of it {:.3f} ms an image to hash\n",
      images.size(), featureless, least_features, static_cast<double>(images.size()) / seconds,
      1000.0 * hashing_s / static_cast<double>(images.size()));
  std::cout << "| the same picture | least | median | 95 % | most | % within 2 | 4 | 6 | 8 | 10 |\n";
  for (const Change& change : changes()) {
    std::vector<int> distances;
    for (std::size_t i = 0; i < images.size(); ++i) {
      const auto hash = imagerank::images::perceptual_hash(change.apply(images[i]));
      distances.push_back(hash ? std::popcount(*hash ^ hashes[i]) : 64);
    }
    print(change.name, distances);
  }
  std::vector<int> others;
  for (std::size_t i = 0; i < hashes.size(); ++i)
    for (std::size_t k = i + 1; k < hashes.size(); ++k) others.push_back(std::popcount(hashes[i] ^ hashes[k]));
  print("different pictures", others);
  return 0;
}
