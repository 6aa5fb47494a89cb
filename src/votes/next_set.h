#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "core/random.h"
#include "votes/gallery.h"
#include "votes/records.h"

namespace imagerank::votes {

/// Sets that somebody has seen, by key.
using SeenSets = std::unordered_set<std::uint64_t>;
/// The same for the same images in any order.
[[nodiscard]] std::uint64_t set_key(const std::string& prompt, std::vector<std::string> images);

/// How often images were shown: [prompt][place in the prompt's images].
using ShownCounts = std::vector<std::vector<std::int64_t>>;

/// How sure a reward is of the best of a set: the lead of the best over the next, in standard deviations of that
/// difference where an ensemble gives them. The less, the more a vote would tell.
/// @param scores  two at least. @return nullopt where one is missing.
[[nodiscard]] std::optional<double> sureness(const std::vector<ImageScore>& scores);

/// A prompt and places in its images.
struct Candidate {
  std::uint32_t prompt = 0;
  std::vector<std::uint32_t> places;  ///< in the order to show them
};
struct Choice {
  Candidate set;
  Strategy strategy = Strategy::kRandom;  ///< that found it: random where nothing is scored yet
};

/// The next set of `choices` images that was not seen, in random order.
///   random     any prompt that has enough images, any of its images
///   balanced   of 256 prompts at most, the one whose least shown images were shown least, and those images
///   uncertain  of 64 random sets that are scored, the one with the least sureness()
/// @return nullopt if all sets were seen.
[[nodiscard]] std::optional<Choice> choose_next(const Gallery& gallery, Strategy strategy, std::size_t choices,
                                                const ShownCounts& shown, const ScoreTable& scores,
                                                const SeenSets& seen, Random& random);

}  // namespace imagerank::votes
