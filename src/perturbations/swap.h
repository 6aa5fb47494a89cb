#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "perturbations/perturb.h"

namespace imagerank::perturbations {

/// A prompt chosen to stand in for another.
struct Swap {
  std::uint32_t prompt = 0;
  double distance = 1.0;
};

/// The prompts of a workspace as sets of words, and which share an image. Prompts are numbered in the order of add().
class PromptIndex {
 public:
  /// @param lower_text  lower-case. At most 2^32 - 1 prompts.
  void add(std::string_view lower_text);
  /// (prompt, image) of the images that several prompts are right for, each once, sorted.
  void set_shared_images(const std::vector<std::pair<std::uint32_t, std::uint32_t>>& pairs);
  /// After the last add(). The seed picks which prompts stand for a frequent word.
  void build(std::uint64_t seed);

  [[nodiscard]] std::size_t size() const noexcept { return starts_.size() - 1; }
  /// 1 - |A and B| / |A or B| over distinct words; 1 if both are empty.
  [[nodiscard]] double distance(std::uint32_t a, std::uint32_t b) const;
  /// Whether some image has both as right prompts.
  [[nodiscard]] bool share_image(std::uint32_t a, std::uint32_t b) const;
  /// Up to `count` prompts at a distance in the range that share no image with `prompt`. Looks at all prompts where
  /// there are up to 2,048; otherwise at some drawn at random, then at prompts with words in common, rare words first.
  /// `seed` is this prompt's own. Thread-safe.
  [[nodiscard]] std::vector<Swap> choose(std::uint32_t prompt, std::size_t count, const DistanceRange& range,
                                         std::uint64_t seed) const;

 private:
  [[nodiscard]] std::span<const std::uint32_t> words_of(std::uint32_t prompt) const;
  [[nodiscard]] std::vector<std::uint32_t> neighbours(std::uint32_t prompt) const;

  std::unordered_map<std::uint64_t, std::uint32_t> word_numbers_;  ///< by hash; until build()
  std::vector<std::uint64_t> starts_ = {0};
  std::vector<std::uint32_t> words_;           ///< word numbers of all prompts, sorted in each
  std::vector<std::uint32_t> frequency_;       ///< by word: prompts that have it
  std::vector<std::uint64_t> posting_starts_;  ///< by word
  std::vector<std::uint32_t> postings_;        ///< prompts that have the word, a sample for frequent ones
  std::vector<std::pair<std::uint32_t, std::uint32_t>> shared_;  ///< (prompt, image), sorted
};

}  // namespace imagerank::perturbations
