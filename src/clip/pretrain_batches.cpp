#include "clip/pretrain_batches.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <tuple>
#include <unordered_map>

#include "core/random.h"

namespace imagerank::clip {
namespace {

constexpr std::size_t kLeastCaptions = 20;
constexpr std::size_t kRarestShare = 5000;

/// One or two tokens as a number; ids stay below 2^24 (load_tokenizer_files).
using Ngram = std::uint64_t;

std::vector<Ngram> ngrams_of(const std::vector<std::int32_t>& tokens) {
  std::vector<Ngram> found;
  for (std::size_t i = 1; i + 1 < tokens.size(); ++i) {
    const auto first = static_cast<Ngram>(tokens[i]) + 1;
    found.push_back(first);
    if (i + 2 < tokens.size()) found.push_back((first << 32) | (static_cast<Ngram>(tokens[i + 1]) + 1));
  }
  std::ranges::sort(found);
  const auto repeated = std::ranges::unique(found);
  found.erase(repeated.begin(), repeated.end());
  return found;
}

}  // namespace

CaptionNgrams find_caption_ngrams(std::span<const std::vector<std::int32_t>> tokens, std::size_t most) {
  std::unordered_map<Ngram, std::size_t> counts;
  for (const auto& caption : tokens) {
    for (const Ngram ngram : ngrams_of(caption)) ++counts[ngram];
  }
  const std::size_t least = std::max(kLeastCaptions, tokens.size() / kRarestShare);
  std::vector<std::pair<std::size_t, Ngram>> kept;
  for (const auto& [ngram, count] : counts) {
    if (count >= least && count * 5 <= tokens.size() * 3) kept.emplace_back(count, ngram);
  }
  std::ranges::sort(
      kept, [](const auto& a, const auto& b) { return std::tie(b.first, a.second) < std::tie(a.first, b.second); });
  kept.resize(std::min(kept.size(), most));

  CaptionNgrams result;
  std::unordered_map<Ngram, std::int32_t> index;
  for (const auto& [count, ngram] : kept) {
    index.emplace(ngram, static_cast<std::int32_t>(index.size()));
    result.frequency.push_back(static_cast<float>(count) / static_cast<float>(tokens.size()));
  }
  result.of_caption.resize(tokens.size());
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    for (const Ngram ngram : ngrams_of(tokens[i])) {
      if (const auto found = index.find(ngram); found != index.end()) result.of_caption[i].push_back(found->second);
    }
    std::ranges::sort(result.of_caption[i]);
  }
  return result;
}

std::vector<std::int64_t> number_captions(std::span<const std::vector<std::int32_t>> tokens) {
  std::map<std::vector<std::int32_t>, std::int64_t> numbers;
  std::vector<std::int64_t> result;
  result.reserve(tokens.size());
  for (const auto& caption : tokens) {
    result.push_back(numbers.emplace(caption, static_cast<std::int64_t>(numbers.size())).first->second);
  }
  return result;
}

std::vector<std::uint32_t> order_epoch(const CaptionNgrams& ngrams, std::size_t run_length, std::uint64_t seed,
                                       std::uint64_t epoch) {
  const std::size_t count = ngrams.of_caption.size();
  Random random(seed, epoch);
  struct Entry {
    std::uint64_t key;
    std::uint64_t tie;
    std::uint32_t pair;
  };
  std::vector<Entry> entries(count);
  for (std::size_t i = 0; i < count; ++i) {
    const auto& own = ngrams.of_caption[i];
    // A caption without n-grams stands alone.
    const std::uint64_t key = own.empty() ? random.next() : static_cast<std::uint64_t>(own[random.below(own.size())]);
    entries[i] = {mix64(key ^ mix64(seed + epoch)), random.next(), static_cast<std::uint32_t>(i)};
  }
  std::ranges::sort(entries,
                    [](const Entry& a, const Entry& b) { return std::tie(a.key, a.tie) < std::tie(b.key, b.tie); });

  const std::size_t length = std::max<std::size_t>(run_length, 1);
  std::vector<std::size_t> runs((count + length - 1) / length);
  std::iota(runs.begin(), runs.end(), std::size_t{0});
  random.shuffle(runs);
  std::vector<std::uint32_t> order;
  order.reserve(count);
  for (const std::size_t run : runs) {
    for (std::size_t i = run * length; i < std::min(count, (run + 1) * length); ++i) order.push_back(entries[i].pair);
  }
  return order;
}

}  // namespace imagerank::clip
