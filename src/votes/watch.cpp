#include "votes/watch.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>
#include <unordered_map>
#include <utility>

namespace imagerank::votes {
namespace {

constexpr double kZ = 1.959963984540054;  // the normal's 97.5 % point

/// Half the width of Wilson's interval.
double half_width_of(double p, double n) {
  const double z2 = kZ * kZ;
  return kZ / (1.0 + z2 / n) * std::sqrt(p * (1.0 - p) / n + z2 / (4.0 * n * n));
}

/// Linear between order statistics, as numpy.quantile.
std::optional<double> quantile(std::vector<double> values, double q) {
  if (values.empty()) return std::nullopt;
  std::ranges::sort(values);
  const double at = q * static_cast<double>(values.size() - 1);
  const auto below = static_cast<std::size_t>(at);
  const std::size_t above = std::min(below + 1, values.size() - 1);
  return values[below] + (at - static_cast<double>(below)) * (values[above] - values[below]);
}

/// What people said of one pair of images for one prompt: user -> -1 the first, 1 the second, 0 neither.
using Judgements = std::map<std::string, int>;
using Pair = std::tuple<std::string, std::string, std::string>;  ///< prompt, lesser uid, greater uid

void judge(std::map<Pair, Judgements>& pairs, const StoredVote& vote) {
  const std::vector<std::string>& images = vote.set.images;
  for (std::size_t i = 0; i < images.size(); ++i) {
    for (std::size_t j = i + 1; j < images.size(); ++j) {
      if (vote.choice && images[i] != *vote.choice && images[j] != *vote.choice) continue;
      const auto& [low, high] = std::minmax(images[i], images[j]);
      const int said = !vote.choice ? 0 : *vote.choice == low ? -1 : 1;
      pairs[{vote.set.prompt, low, high}][vote.user_hash] = said;
    }
  }
}

struct Tally {
  std::int64_t hits = 0, n = 0;
};

/// Comparisons of two people, in all and by person.
Tally compare_people(const std::map<Pair, Judgements>& pairs, std::unordered_map<std::string, Tally>& by_person) {
  Tally all;
  for (const auto& [pair, said] : pairs) {
    std::map<int, std::int64_t> counts;
    for (const auto& [user, what] : said) ++counts[what];
    const auto people = static_cast<std::int64_t>(said.size());
    all.n += people * (people - 1) / 2;
    for (const auto& [what, count] : counts) all.hits += count * (count - 1) / 2;
    for (const auto& [user, what] : said) {
      by_person[user].hits += counts[what] - 1;
      by_person[user].n += people - 1;
    }
  }
  return all;
}

/// Whether the choice is the reward's best; none where the reward does not say.
std::optional<bool> agrees(const StoredVote& vote, const NamedScores& reward) {
  double best = 0.0, chosen = 0.0;
  int at_best = 0;
  for (const std::string& uid : vote.set.images) {
    const std::optional<double> score = reward.score(vote.set.prompt, uid);
    if (!score || std::isnan(*score)) return std::nullopt;
    if (at_best == 0 || *score > best) {
      best = *score;
      at_best = 1;
    } else if (*score == best) {
      ++at_best;
    }
    if (uid == *vote.choice) chosen = *score;
  }
  if (at_best != 1) return std::nullopt;
  return chosen == best;
}

RewardAgreement compare_reward(std::span<const StoredVote> votes, const NamedScores& reward) {
  RewardAgreement result{reward.name, {}, 0.0};
  Tally tally;
  for (const StoredVote& vote : votes) {
    if (!vote.choice) continue;
    const std::optional<bool> same = agrees(vote, reward);
    if (!same) continue;
    ++tally.n;
    tally.hits += *same ? 1 : 0;
    result.chance += 1.0 / static_cast<double>(vote.set.images.size());
  }
  result.share = share_of(tally.hits, tally.n);
  if (tally.n != 0) result.chance /= static_cast<double>(tally.n);
  return result;
}

std::vector<Places> count_places(std::span<const StoredVote> votes) {
  std::map<std::size_t, std::vector<std::int64_t>> counts;
  for (const StoredVote& vote : votes) {
    if (!vote.choice) continue;
    auto& chosen = counts[vote.set.images.size()];
    chosen.resize(vote.set.images.size());
    ++chosen[static_cast<std::size_t>(std::ranges::find(vote.set.images, *vote.choice) - vote.set.images.begin())];
  }
  std::vector<Places> result;
  for (auto& [choices, chosen] : counts) {
    std::int64_t n = 0;
    for (const std::int64_t count : chosen) n += count;
    const Share first = share_of(chosen.front(), n);
    result.push_back({choices, std::move(chosen), first});
  }
  return result;
}

std::vector<Person> summarise_people(std::span<const StoredVote> votes,
                                     const std::unordered_map<std::string, Tally>& with_others) {
  struct Own {
    Person person;
    std::vector<double> times;
    Tally first;
  };
  std::map<std::string, Own> people;
  for (const StoredVote& vote : votes) {
    Own& own = people[vote.user_hash];
    if (vote.skipped) {
      ++own.person.skipped;
      continue;
    }
    ++own.person.votes;
    own.times.push_back(static_cast<double>(vote.taken_ms));
    if (!vote.choice) {
      ++own.person.ties;
      continue;
    }
    ++own.first.n;
    own.first.hits += vote.set.images.front() == *vote.choice ? 1 : 0;
  }
  std::vector<Person> result;
  for (auto& [user, own] : people) {
    own.person.user_hash = user;
    own.person.median_ms = quantile(std::move(own.times), 0.5);
    own.person.first = share_of(own.first.hits, own.first.n);
    if (const auto found = with_others.find(user); found != with_others.end()) {
      own.person.with_others = share_of(found->second.hits, found->second.n);
    }
    result.push_back(std::move(own.person));
  }
  std::ranges::stable_sort(result, std::ranges::greater{}, &Person::votes);
  return result;
}

}  // namespace

Share share_of(std::int64_t hits, std::int64_t n) {
  Share share{hits, n, std::nullopt, std::nullopt, std::nullopt};
  if (n <= 0) return share;
  const auto count = static_cast<double>(n);
  const double p = static_cast<double>(hits) / count;
  const double middle = (p + kZ * kZ / (2.0 * count)) / (1.0 + kZ * kZ / count);
  const double half = half_width_of(p, count);
  share.value = p;
  share.low = std::max(0.0, middle - half);
  share.high = std::min(1.0, middle + half);
  return share;
}

std::optional<std::int64_t> more_needed(const Share& share, double half_width) {
  if (!share.value) return std::nullopt;
  const auto narrow = [&](std::int64_t n) { return half_width_of(*share.value, static_cast<double>(n)) <= half_width; };
  std::int64_t low = share.n, high = share.n;
  if (narrow(low)) return 0;
  while (!narrow(high)) high *= 2;
  while (high - low > 1) {  // narrow(high), not narrow(low)
    const std::int64_t middle = low + (high - low) / 2;
    (narrow(middle) ? high : low) = middle;
  }
  return high - share.n;
}

Watch watch(std::span<const StoredVote> votes, std::span<const NamedScores> rewards) {
  Watch result;
  std::map<Pair, Judgements> pairs;
  std::vector<double> times;
  for (const StoredVote& vote : votes) {
    if (vote.skipped) {
      ++result.skipped;
      continue;
    }
    ++result.votes;
    result.ties += vote.choice ? 0 : 1;
    times.push_back(static_cast<double>(vote.taken_ms));
    judge(pairs, vote);
  }
  std::unordered_map<std::string, Tally> by_person;
  const Tally all = compare_people(pairs, by_person);
  result.between_people = share_of(all.hits, all.n);
  for (const NamedScores& reward : rewards) result.with_rewards.push_back(compare_reward(votes, reward));
  result.places = count_places(votes);
  result.speed = {quantile(times, 0.1), quantile(times, 0.5), quantile(times, 0.9)};
  result.people = summarise_people(votes, by_person);
  return result;
}

}  // namespace imagerank::votes
