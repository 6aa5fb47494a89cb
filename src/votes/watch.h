#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "votes/records.h"

namespace imagerank::votes {

/// A share of n cases, with Wilson's 95 % interval (Wilson 1927), which takes the cases as independent.
struct Share {
  std::int64_t hits = 0;
  std::int64_t n = 0;
  std::optional<double> value, low, high;  ///< none if n is 0
};
[[nodiscard]] Share share_of(std::int64_t hits, std::int64_t n);
/// How many more cases of the same share until the interval reaches at most `half_width` to either side of its middle.
/// @param half_width  above 0, below 0.5. @return nullopt if there is none yet to go by.
[[nodiscard]] std::optional<std::int64_t> more_needed(const Share& share, double half_width);

/// Where the chosen images stood, in sets of one size.
struct Places {
  std::size_t choices = 2;
  std::vector<std::int64_t> chosen;  ///< [choices], from left to right
  Share first;                       ///< the leftmost's, of all; without bias 1 / choices
};

/// Milliseconds from seeing a set to the answer; none without votes.
struct Speed {
  std::optional<double> p10, median, p90;
};

/// One person, by hash.
struct Person {
  std::string user_hash;
  std::int64_t votes = 0, ties = 0, skipped = 0;
  std::optional<double> median_ms;
  Share with_others;  ///< of comparisons with other people
  Share first;        ///< choices that stood leftmost
};

struct RewardAgreement {
  std::string reward;
  Share share;          ///< choices that are the reward's best of the set
  double chance = 0.0;  ///< what guessing would reach: the mean of 1 / choices
};

struct Watch {
  std::int64_t votes = 0, ties = 0, skipped = 0;
  Share between_people;
  std::vector<RewardAgreement> with_rewards;
  std::vector<Places> places;  ///< by size of the set
  Speed speed;
  std::vector<Person> people;  ///< most votes first
};

/// A reward's score of an image for a prompt, none where it is not known.
struct NamedScores {
  std::string name;
  std::function<std::optional<double>(const std::string& prompt, const std::string& uid)> score;
};

/// What the votes say of the voters.
/// Between people: each vote says of pairs of images which is better (the chosen one than each other), or that none is
/// (no preference, of all pairs). Where two people judged the same pair for the same prompt, they agree if they say the
/// same. Of one person's judgements of a pair the last counts.
/// With a reward: of choices in sets whose images are all scored, and of which one is scored highest.
[[nodiscard]] Watch watch(std::span<const StoredVote> votes, std::span<const NamedScores> rewards);

}  // namespace imagerank::votes
