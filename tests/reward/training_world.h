#pragma once

// A made-up set of examples that can be learnt, and options for a training of a second.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "core/atomic_file.h"
#include "core/half.h"
#include "core/random.h"
#include "reward/trainer.h"
#include "support/thrown.h"

namespace imagerank::reward {

using test::error_of;

inline constexpr std::size_t kDim = 12;
inline constexpr std::size_t kTexts = 40;
inline constexpr std::size_t kImages = 600;

inline float as_cached(double value) { return float_from_half(half_from_float(static_cast<float>(value))); }

/// Random vectors; an image is good for a text if quality (its first component) and match (the product of the second
/// components) are high. Labels are thirds of that utility, pairs follow it.
inline Examples make_world(std::uint64_t seed, std::int32_t classes = 3) {
  Random random(seed);
  Examples examples;
  examples.class_count = classes;
  examples.images.dim = examples.texts.dim = kDim;
  for (std::size_t i = 0; i < kImages * kDim; ++i) examples.images.values.push_back(as_cached(random.normal()));
  for (std::size_t i = 0; i < kTexts * kDim; ++i) examples.texts.values.push_back(as_cached(random.normal()));
  const auto utility = [&](std::uint32_t image, std::uint32_t text) {
    return 1.5 * examples.images.values[image * kDim] +
           examples.images.values[image * kDim + 1] * examples.texts.values[text * kDim + 1];
  };
  for (std::size_t split = 0; split < kSplitCount; ++split) {
    for (int i = 0; i < (split == 0 ? 1500 : 300); ++i) {
      const auto text = static_cast<std::uint32_t>(random.below(kTexts));
      const auto a = static_cast<std::uint32_t>(random.below(kImages));
      const auto b = static_cast<std::uint32_t>(random.below(kImages));
      const double value = utility(a, text);
      const std::int32_t label = value < -0.7 ? 0 : value < 0.7 ? 1 : 2;
      examples.points[split].push_back({a, text, classes == 2 ? (value > 0.0 ? 1 : 0) : label});
      const double difference = value - utility(b, text);
      examples.pairs[split].push_back(
          {a, b, text, std::abs(difference) < 0.2 ? 0.5F : (difference > 0.0 ? 1.0F : 0.0F), 1.0F});
      // The same choice as a list, every third with another image below both.
      const auto begin = static_cast<std::uint32_t>(examples.ranked.size());
      const bool tie = std::abs(difference) < 0.2;
      examples.ranked.push_back({a, tie || difference > 0.0 ? 0U : 1U});
      examples.ranked.push_back({b, tie || difference < 0.0 ? 0U : 1U});
      const auto c = static_cast<std::uint32_t>(random.below(kImages));
      const bool third = i % 3 == 0 && utility(c, text) < std::min(value, value - difference);
      if (third) examples.ranked.push_back({c, tie ? 1U : 2U});
      examples.lists[split].push_back({text, begin, third ? 3U : 2U, 1.0F});
    }
  }
  return examples;
}

inline const nlohmann::json kOrigin = {{"encoder", "test-fp32-00000000"}, {"model", "builtin/test"}};

inline TrainOptions small(const std::string& head, const std::string& loss) {
  TrainOptions options;
  options.head = head;
  options.loss = loss;
  options.epochs = 4;
  options.hidden = 32;
  options.rank = 8;
  return options;
}

inline std::string weights_of(const std::filesystem::path& folder) { return load_file(folder / "reward.safetensors"); }

inline RunContext one_thread() {
  RunContext context;
  context.threads = 1;
  return context;
}

}  // namespace imagerank::reward
