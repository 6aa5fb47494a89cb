#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace imagerank::clip {

/// Frequent runs of one or two tokens in a set of captions: what the auxiliary loss asks a vector to tell.
struct CaptionNgrams {
  std::vector<std::vector<std::int32_t>> of_caption;  ///< per caption its n-grams, ascending, each once
  std::vector<float> frequency;                       ///< per n-gram the share of captions that hold it, in (0, 1)
};

/// The `most` n-grams that the most captions hold, of those that at least 20 captions and one in 5,000 hold but not
/// more than three in five.
/// @param tokens  per caption its token ids, start and end of text included (they belong to no n-gram).
[[nodiscard]] CaptionNgrams find_caption_ngrams(std::span<const std::vector<std::int32_t>> tokens, std::size_t most);

/// Equal numbers for equal captions, from 0.
[[nodiscard]] std::vector<std::int64_t> number_captions(std::span<const std::vector<std::int32_t>> tokens);

/// One epoch's order of the pairs: short runs of captions that share an n-gram, in random order, so that a batch holds
/// captions that differ in a word. Depends on seed and epoch only.
[[nodiscard]] std::vector<std::uint32_t> order_epoch(const CaptionNgrams& ngrams, std::size_t run_length,
                                                     std::uint64_t seed, std::uint64_t epoch);

}  // namespace imagerank::clip
