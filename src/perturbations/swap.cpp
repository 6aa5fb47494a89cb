#include "perturbations/swap.h"

#include <algorithm>
#include <unordered_set>

#include "core/random.h"
#include "perturbations/phrase.h"

namespace imagerank::perturbations {
namespace {

/// Prompts kept for a word: enough to choose from, few enough that "of" costs no more than "lighthouse".
constexpr double kPostings = 256.0;
constexpr std::size_t kScanAll = 2048;
constexpr std::size_t kMostNeighbours = 2048;

}  // namespace

void PromptIndex::add(std::string_view lower_text) {
  for (const std::uint64_t hash : word_hashes(lower_text)) {
    const auto [at, is_new] = word_numbers_.try_emplace(hash, static_cast<std::uint32_t>(frequency_.size()));
    if (is_new) frequency_.push_back(0);
    words_.push_back(at->second);
    ++frequency_[at->second];
  }
  std::sort(words_.begin() + static_cast<std::ptrdiff_t>(starts_.back()), words_.end());
  starts_.push_back(words_.size());
}

void PromptIndex::set_shared_images(const std::vector<std::pair<std::uint32_t, std::uint32_t>>& pairs) {
  shared_ = pairs;
}

void PromptIndex::build(std::uint64_t seed) {
  word_numbers_ = {};
  // Both passes ask the same question of each (word, prompt), so that the second fills what the first counted.
  const auto kept = [&](std::uint32_t word, std::size_t prompt) {
    if (frequency_[word] <= kPostings) return true;
    Random random(mix64(seed) ^ word, prompt);
    return random.uniform() * frequency_[word] < kPostings;
  };
  posting_starts_.assign(frequency_.size() + 1, 0);
  for (std::size_t prompt = 0; prompt < size(); ++prompt)
    for (std::uint64_t i = starts_[prompt]; i < starts_[prompt + 1]; ++i)
      if (kept(words_[i], prompt)) ++posting_starts_[words_[i] + 1];
  for (std::size_t word = 0; word < frequency_.size(); ++word) posting_starts_[word + 1] += posting_starts_[word];
  postings_.resize(posting_starts_.back());
  std::vector<std::uint64_t> next(posting_starts_.begin(), posting_starts_.end() - 1);
  for (std::size_t prompt = 0; prompt < size(); ++prompt)
    for (std::uint64_t i = starts_[prompt]; i < starts_[prompt + 1]; ++i)
      if (kept(words_[i], prompt)) postings_[next[words_[i]]++] = static_cast<std::uint32_t>(prompt);
}

std::span<const std::uint32_t> PromptIndex::words_of(std::uint32_t prompt) const {
  return std::span(words_).subspan(starts_[prompt], starts_[prompt + 1] - starts_[prompt]);
}

double PromptIndex::distance(std::uint32_t a, std::uint32_t b) const {
  const auto first = words_of(a), second = words_of(b);
  std::size_t common = 0;
  for (std::size_t i = 0, j = 0; i < first.size() && j < second.size();) {
    if (first[i] == second[j]) {
      ++common, ++i, ++j;
    } else if (first[i] < second[j]) {
      ++i;
    } else {
      ++j;
    }
  }
  const std::size_t either = first.size() + second.size() - common;
  return either == 0 ? 1.0 : 1.0 - static_cast<double>(common) / static_cast<double>(either);
}

bool PromptIndex::share_image(std::uint32_t a, std::uint32_t b) const {
  auto first = std::ranges::lower_bound(shared_, std::pair{a, std::uint32_t{0}});
  auto second = std::ranges::lower_bound(shared_, std::pair{b, std::uint32_t{0}});
  while (first != shared_.end() && first->first == a && second != shared_.end() && second->first == b) {
    if (first->second == second->second) return true;
    if (first->second < second->second) {
      ++first;
    } else {
      ++second;
    }
  }
  return false;
}

/// Prompts with words in common, by the rarest word shared; in the order of numbers for each word.
std::vector<std::uint32_t> PromptIndex::neighbours(std::uint32_t prompt) const {
  const auto words = words_of(prompt);
  std::vector<std::uint32_t> rare(words.begin(), words.end());
  std::ranges::sort(rare, [&](std::uint32_t a, std::uint32_t b) {
    return std::pair(frequency_[a], a) < std::pair(frequency_[b], b);
  });
  std::vector<std::uint32_t> found;
  std::unordered_set<std::uint32_t> seen = {prompt};
  for (const std::uint32_t word : rare) {
    for (std::uint64_t i = posting_starts_[word]; i < posting_starts_[word + 1]; ++i) {
      if (seen.insert(postings_[i]).second) found.push_back(postings_[i]);
      if (found.size() == kMostNeighbours) return found;
    }
  }
  return found;
}

std::vector<Swap> PromptIndex::choose(std::uint32_t prompt, std::size_t count, const DistanceRange& range,
                                      std::uint64_t seed) const {
  std::vector<Swap> chosen;
  // Returns whether the search is over.
  const auto consider = [&](std::uint32_t other) {
    if (other == prompt) return false;
    if (std::ranges::any_of(chosen, [&](const Swap& swap) { return swap.prompt == other; })) return false;
    const double apart = distance(prompt, other);
    constexpr double kRounding = 1e-9;
    if (apart < range.min - kRounding || apart > range.max + kRounding || share_image(prompt, other)) return false;
    chosen.push_back({other, apart});
    return chosen.size() == count;
  };
  Random random(seed);
  std::vector<std::uint32_t> candidates;
  if (size() <= kScanAll) {
    candidates.resize(size());
    for (std::size_t i = 0; i < size(); ++i) candidates[i] = static_cast<std::uint32_t>(i);
  } else {
    const std::size_t draws = 32 + 8 * count;
    for (std::size_t i = 0; i < draws; ++i)
      if (consider(static_cast<std::uint32_t>(random.below(size())))) return chosen;
    candidates = neighbours(prompt);
  }
  // Shuffled one step at a time: most searches end early.
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    std::swap(candidates[i], candidates[i + random.below(candidates.size() - i)]);
    if (consider(candidates[i])) break;
  }
  return chosen;
}

}  // namespace imagerank::perturbations
