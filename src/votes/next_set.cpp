#include "votes/next_set.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

namespace imagerank::votes {
namespace {

/// Prompts that can fill a set.
std::vector<std::uint32_t> fitting_prompts(const Gallery& gallery, std::size_t choices) {
  std::vector<std::uint32_t> result;
  for (std::uint32_t i = 0; i < gallery.prompts.size(); ++i) {
    if (gallery.prompts[i].images.size() >= choices) result.push_back(i);
  }
  return result;
}

std::uint64_t key_of(const Gallery& gallery, const Candidate& candidate) {
  const Gallery::Prompt& prompt = gallery.prompts[candidate.prompt];
  std::vector<std::string> uids;
  for (const std::uint32_t place : candidate.places) uids.push_back(gallery.images[prompt.images[place]].uid);
  return set_key(prompt.text, std::move(uids));
}

Candidate random_set(const Gallery& gallery, std::uint32_t prompt, std::size_t choices, Random& random) {
  const std::size_t count = gallery.prompts[prompt].images.size();
  Candidate result{prompt, {}};
  while (result.places.size() < choices) {
    const auto place = static_cast<std::uint32_t>(random.below(count));
    if (std::ranges::find(result.places, place) == result.places.end()) result.places.push_back(place);
  }
  return result;
}

/// The images of a prompt that were shown least; equal ones by chance.
Candidate least_shown(std::uint32_t prompt, std::size_t choices, const ShownCounts& shown, Random& random) {
  std::vector<std::uint32_t> places(shown[prompt].size());
  std::iota(places.begin(), places.end(), 0U);
  random.shuffle(places);
  std::ranges::stable_sort(places, {}, [&](std::uint32_t place) { return shown[prompt][place]; });
  places.resize(choices);
  return {prompt, std::move(places)};
}

/// The first set of any prompt that was not seen: of n + 1 different sets one is not among n.
std::optional<Candidate> find_unseen(const Gallery& gallery, const std::vector<std::uint32_t>& prompts,
                                     std::size_t choices, const SeenSets& seen) {
  for (const std::uint32_t prompt : prompts) {
    std::vector<char> taken(gallery.prompts[prompt].images.size(), 0);
    std::fill_n(taken.begin(), choices, 1);
    do {
      Candidate candidate{prompt, {}};
      for (std::uint32_t place = 0; place < taken.size(); ++place) {
        if (taken[place] != 0) candidate.places.push_back(place);
      }
      if (!seen.contains(key_of(gallery, candidate))) return candidate;
    } while (std::ranges::prev_permutation(taken).found);
  }
  return std::nullopt;
}

struct Search {
  const Gallery& gallery;
  const std::vector<std::uint32_t>& prompts;
  std::size_t choices;
  const SeenSets& seen;
  Random& random;

  std::optional<Candidate> draw() const {
    constexpr int kTries = 16;
    for (int i = 0; i < kTries; ++i) {
      Candidate candidate = random_set(gallery, prompts[random.below(prompts.size())], choices, random);
      if (!seen.contains(key_of(gallery, candidate))) return candidate;
    }
    return std::nullopt;
  }

  std::optional<Candidate> balanced(const ShownCounts& shown) const {
    constexpr std::size_t kPrompts = 256;
    std::optional<Candidate> best;
    std::int64_t fewest = std::numeric_limits<std::int64_t>::max();
    const std::size_t first = random.below(prompts.size());
    for (std::size_t i = 0; i < std::min(kPrompts, prompts.size()); ++i) {
      const std::uint32_t prompt =
          prompts.size() > kPrompts ? prompts[random.below(prompts.size())] : prompts[(first + i) % prompts.size()];
      Candidate candidate = least_shown(prompt, choices, shown, random);
      std::int64_t times = 0;
      for (const std::uint32_t place : candidate.places) times += shown[prompt][place];
      if (times >= fewest || seen.contains(key_of(gallery, candidate))) continue;
      fewest = times;
      best = std::move(candidate);
    }
    return best;
  }

  std::optional<Candidate> uncertain(const ScoreTable& scores) const {
    constexpr int kSets = 64;
    std::optional<Candidate> best;
    double least = std::numeric_limits<double>::infinity();
    for (int i = 0; i < kSets; ++i) {
      std::optional<Candidate> candidate = draw();
      if (!candidate || scores.empty() || scores[candidate->prompt].empty()) continue;
      std::vector<ImageScore> own;
      for (const std::uint32_t place : candidate->places) own.push_back(scores[candidate->prompt][place]);
      const std::optional<double> sure = sureness(own);
      if (!sure || *sure >= least) continue;
      least = *sure;
      best = std::move(candidate);
    }
    return best;
  }
};

}  // namespace

std::uint64_t set_key(const std::string& prompt, std::vector<std::string> images) {
  std::ranges::sort(images);
  std::uint64_t key = mix64(std::hash<std::string>{}(prompt));
  for (const std::string& image : images) key = mix64(key ^ std::hash<std::string>{}(image));
  return key;
}

std::optional<double> sureness(const std::vector<ImageScore>& scores) {
  std::vector<ImageScore> order = scores;
  if (std::ranges::any_of(order, [](const ImageScore& each) { return std::isnan(each.score); })) return std::nullopt;
  std::ranges::partial_sort(order, order.begin() + 2, std::ranges::greater{}, &ImageScore::score);
  const double lead = order[0].score - order[1].score;
  const double spread = std::hypot(order[0].deviation, order[1].deviation);
  return spread > 0.0 ? lead / spread : lead;
}

std::optional<Choice> choose_next(const Gallery& gallery, Strategy strategy, std::size_t choices,
                                  const ShownCounts& shown, const ScoreTable& scores, const SeenSets& seen,
                                  Random& random) {
  std::vector<std::uint32_t> prompts = fitting_prompts(gallery, choices);
  if (prompts.empty()) return std::nullopt;
  const Search search{gallery, prompts, choices, seen, random};
  Choice choice{{}, strategy};
  std::optional<Candidate> found;
  if (strategy == Strategy::kBalanced) found = search.balanced(shown);
  if (strategy == Strategy::kUncertain) found = search.uncertain(scores);
  if (!found) {
    choice.strategy = Strategy::kRandom;
    found = search.draw();
  }
  if (!found) {  // nearly all were seen
    std::vector<std::uint32_t> shuffled = prompts;
    random.shuffle(shuffled);
    found = find_unseen(gallery, shuffled, choices, seen);
  }
  if (!found) return std::nullopt;
  choice.set = std::move(*found);
  random.shuffle(choice.set.places);
  return choice;
}

}  // namespace imagerank::votes
