#include "scoring/scored_rewards.h"

#include <algorithm>
#include <limits>
#include <map>
#include <span>
#include <tuple>
#include <utility>

#include "core/half.h"
#include "core/progress.h"

namespace imagerank::scoring {
namespace {

/// Prompts whose vectors are kept: a caller that scores block by block asks for the same ones again.
constexpr std::size_t kMaxKeptPrompts = 1 << 14;

/// Vectors a call of the head, which is small beside the towers.
constexpr std::size_t kScoredAtOnce = 256;

ScoredImage failed_item(std::string reason, std::string detail) {
  ScoredImage item;
  item.score = std::numeric_limits<float>::quiet_NaN();
  item.reason = std::move(reason);
  item.detail = std::move(detail);
  return item;
}

/// What tells images apart before they are read: a file's path, or where its bytes lie.
using ImageKey = std::tuple<std::string, const std::byte*, std::size_t>;

ImageKey key_of(const encoding::ImageSource& image) {
  if (const auto* const bytes = std::get_if<std::span<const std::byte>>(&image.file)) {
    return {"", bytes->data(), bytes->size()};
  }
  return {std::get<std::filesystem::path>(image.file).string(), nullptr, 0};
}

}  // namespace

ScoredRewards::ScoredRewards(std::vector<RewardedEncoder> rewards, int threads, std::size_t batch)
    : rewards_(std::move(rewards)), threads_(threads), batch_(batch) {
  for (const RewardedEncoder& each : rewards_) {
    std::vector<std::size_t>& places = places_.emplace_back();
    for (std::size_t i = 0; i < each.encoders.size(); ++i) {
      const auto known = std::ranges::find(seen_, each.encoders[i], &Seen::encoder);
      places.push_back(static_cast<std::size_t>(known - seen_.begin()));
      if (known == seen_.end()) seen_.push_back({each.encoders[i], false, {}, {}, {}, {}});
      Seen& seen = seen_[places.back()];
      seen.reads_text = seen.reads_text || each.reward.needs()[i].reads_text;
    }
  }
}

bool ScoredRewards::untrained() const {
  return std::ranges::any_of(seen_, [](const Seen& seen) { return seen.encoder.untrained(); });
}

void ScoredRewards::encode_texts(Seen& seen, std::size_t count, const Prompt& prompt) {
  if (seen.texts.size() > kMaxKeptPrompts) seen.texts.clear();
  std::vector<std::string> missing;
  for (std::size_t i = 0; i < count; ++i) {
    if (!seen.texts.contains(prompt(i))) missing.push_back(prompt(i));
  }
  std::ranges::sort(missing);
  const auto repeated = std::ranges::unique(missing);
  missing.erase(repeated.begin(), repeated.end());
  if (missing.empty()) return;
  const clip::TextEmbeddings encoded = seen.encoder.towers->embed_texts(missing);
  const std::size_t dim = seen.encoder.towers->dim();
  for (std::size_t i = 0; i < missing.size(); ++i) {
    const auto row = std::span(encoded.values).subspan(i * dim, dim);
    seen.texts.emplace(std::move(missing[i]), Text{{row.begin(), row.end()}, encoded.truncated[i]});
  }
}

void ScoredRewards::encode_images(Seen& seen, std::size_t count, const Source& source,
                                  std::vector<ScoredImage>& failures) const {
  const std::size_t dim = seen.encoder.towers->dim();
  seen.images.assign(count * dim, 0.0F);
  RunContext context;
  context.threads = threads_;
  encoding::ImageList list;
  list.count = count;
  list.source = source;
  encoding::encode_images(
      encoding::vision_tower(*seen.encoder.towers, batch_), list, context, [&](encoding::ImageResult&& result) {
        if (result.failure) {
          failures[result.index] = failed_item(std::move(result.failure->reason), std::move(result.failure->detail));
          return;
        }
        // As the cache rounds them, so that scores here and those of `eval` are the same bits.
        std::ranges::transform(result.vector, seen.images.begin() + static_cast<std::ptrdiff_t>(result.index * dim),
                               [](float value) { return float_from_half(half_from_float(value)); });
      });
}

/// Each image once, with all its prompts.
void ScoredRewards::score_pairs(Seen& seen, std::size_t count, const Source& source, const Prompt& prompt,
                                std::vector<ScoredImage>& failures) const {
  const blip::CrossEncoder& encoder = *seen.encoder.cross;
  seen.pairs.assign(count, std::numeric_limits<float>::quiet_NaN());
  seen.cut.assign(count, false);
  std::map<std::string, blip::CrossPrompt> read;
  std::map<ImageKey, std::size_t> places;
  std::vector<encoding::ImageSource> images;
  std::vector<std::vector<std::size_t>> items;                 // of each image
  std::vector<std::vector<const blip::CrossPrompt*>> prompts;  // parallel to items
  for (std::size_t i = 0; i < count; ++i) {
    const auto [known, fresh] = read.try_emplace(prompt(i));
    if (fresh) known->second = encoder.read_prompt(known->first);
    encoding::ImageSource image = source(i);
    const auto [place, first] = places.try_emplace(key_of(image), images.size());
    if (first) {
      images.push_back(std::move(image));
      items.emplace_back();
      prompts.emplace_back();
    }
    items[place->second].push_back(i);
    prompts[place->second].push_back(&known->second);
    seen.cut[i] = known->second.truncated;
  }
  RunContext context;
  context.threads = threads_;
  encoding::ImageList list;
  list.count = images.size();
  list.source = [&](std::size_t index) { return images[index]; };
  const encoding::Tower tower = encoding::cross_tower(encoder, [&](std::size_t index) { return prompts[index]; });
  encoding::encode_images(tower, list, context, [&](encoding::ImageResult&& result) {
    for (std::size_t k = 0; k < items[result.index].size(); ++k) {
      const std::size_t item = items[result.index][k];
      if (result.failure) {
        failures[item] = failed_item(result.failure->reason, result.failure->detail);
      } else {
        seen.pairs[item] = result.vector[k];
      }
    }
  });
}

void ScoredRewards::score(std::size_t reward, const std::vector<std::size_t>& rows, const Prompt& prompt,
                          std::vector<ScoredImage>& results) const {
  const RewardedEncoder& asked = rewards_[reward];
  const std::size_t blocks = asked.encoders.size();
  for (std::size_t begin = 0; begin < rows.size(); begin += kScoredAtOnce) {
    const auto part = std::span(rows).subspan(begin, std::min(kScoredAtOnce, rows.size() - begin));
    std::vector<std::vector<float>> images(blocks), texts(blocks), pairs(blocks);
    std::vector<reward::VectorBlock> vectors;
    for (std::size_t block = 0; block < blocks; ++block) {
      const Seen& seen = seen_[places_[reward][block]];
      if (seen.encoder.cross) {
        for (const std::size_t row : part) {
          pairs[block].push_back(seen.pairs[row]);
          results[row].truncated = results[row].truncated || seen.cut[row];
        }
        vectors.push_back({{}, {}, pairs[block]});
        continue;
      }
      const std::size_t dim = seen.encoder.towers->dim();
      for (const std::size_t row : part) {
        const auto image = std::span(seen.images).subspan(row * dim, dim);
        images[block].insert(images[block].end(), image.begin(), image.end());
        if (!asked.reward.needs()[block].reads_text) continue;
        const Text& text = seen.texts.at(prompt(row));
        texts[block].insert(texts[block].end(), text.vector.begin(), text.vector.end());
        results[row].truncated = results[row].truncated || text.truncated;
      }
      vectors.push_back({images[block], texts[block]});
    }
    const reward::Scores said = asked.reward.score(vectors, part.size());
    for (std::size_t i = 0; i < part.size(); ++i) {
      results[part[i]].score = said.score[i];
      if (!said.deviation.empty()) results[part[i]].deviation = said.deviation[i];
    }
  }
}

std::vector<std::vector<ScoredImage>> ScoredRewards::run(std::size_t count, const Source& source,
                                                         const Prompt& prompt) {
  std::vector<ScoredImage> items(count);  // failures, the same for all rewards
  for (Seen& seen : seen_) {
    if (seen.encoder.cross) {
      score_pairs(seen, count, source, prompt, items);
      continue;
    }
    if (seen.reads_text) encode_texts(seen, count, prompt);
    encode_images(seen, count, source, items);
  }
  std::vector<std::size_t> rows;
  for (std::size_t i = 0; i < count; ++i) {
    if (items[i].ok()) rows.push_back(i);
  }
  std::vector<std::vector<ScoredImage>> results(rewards_.size(), items);
  for (std::size_t reward = 0; reward < rewards_.size(); ++reward) score(reward, rows, prompt, results[reward]);
  return results;
}

}  // namespace imagerank::scoring
