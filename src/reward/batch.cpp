#include "reward/batch.h"

#include <algorithm>

namespace imagerank::reward {
namespace {

void add_points(const Units& units, std::span<const std::uint32_t> order, Batch& batch) {
  for (const std::uint32_t unit : order) {
    const LabelledPoint& point = units.points[unit];
    batch.images.push_back(point.image);
    batch.texts.push_back(point.text);
    batch.targets.push_back(static_cast<float>(point.label));
  }
}

void add_pairs(const Units& units, std::span<const std::uint32_t> order, Batch& batch) {
  batch.images.resize(2 * order.size());
  batch.texts.resize(2 * order.size());
  for (std::size_t i = 0; i < order.size(); ++i) {
    const PreferencePair& pair = units.pairs[order[i]];
    batch.images[i] = pair.image_a;
    batch.images[order.size() + i] = pair.image_b;
    batch.texts[i] = batch.texts[order.size() + i] = pair.text;
    batch.targets.push_back(pair.p_a);
  }
}

void add_lists(const Examples& examples, const Units& units, std::span<const std::uint32_t> order, Batch& batch) {
  for (const std::uint32_t unit : order) {
    const PreferenceList& list = units.lists[unit];
    for (const RankedImage& ranked : std::span(examples.ranked).subspan(list.begin, list.count)) {
      batch.images.push_back(ranked.image);
      batch.texts.push_back(list.text);
      batch.targets.push_back(static_cast<float>(ranked.level));
    }
    batch.list_sizes.push_back(list.count);
  }
}

struct RightRow {
  std::size_t row = 0;
  std::size_t unit = 0;  ///< of the batch
};

/// The rows of `batch` whose image is good for its prompt.
std::vector<RightRow> find_right_rows(const Examples& examples, const Units& units,
                                      std::span<const std::uint32_t> order, const Batch& batch) {
  std::vector<RightRow> found;
  const auto add = [&](std::size_t row, std::size_t unit) { found.push_back({row, unit}); };
  std::size_t list_begin = 0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (!units.points.empty()) {
      if (units.points[order[i]].label == examples.class_count - 1) add(i, i);
    } else if (!units.pairs.empty()) {
      const float p_a = units.pairs[order[i]].p_a;
      if (p_a > 0.5F) add(i, i);
      if (p_a < 0.5F) add(order.size() + i, i);
    } else {
      const auto levels = std::span(batch.targets).subspan(list_begin, batch.list_sizes[i]);
      if (std::ranges::count(levels, 0.0F) == 1) {
        add(list_begin + static_cast<std::size_t>(std::ranges::find(levels, 0.0F) - levels.begin()), i);
      }
      list_begin += levels.size();
    }
  }
  return found;
}

std::span<const std::uint32_t> wrong_prompts_of(const Examples& examples, std::uint32_t text) {
  if (examples.wrong_begin.empty()) return {};
  return std::span(examples.wrong_texts)
      .subspan(examples.wrong_begin[text], examples.wrong_begin[text + 1] - examples.wrong_begin[text]);
}

}  // namespace

Batch make_batch(const Examples& examples, const Units& units, std::span<const std::uint32_t> order) {
  Batch batch;
  if (!units.points.empty()) {
    add_points(units, order, batch);
  } else if (!units.pairs.empty()) {
    add_pairs(units, order, batch);
  } else {
    add_lists(examples, units, order, batch);
  }
  batch.own_rows = batch.images.size();
  for (const std::uint32_t unit : order) batch.weights.push_back(units.weights[unit]);
  return batch;
}

void add_wrong_prompts(const Examples& examples, const Units& units, std::span<const std::uint32_t> order,
                       std::size_t count, Random& random, Batch& batch) {
  batch.wrong_count = count;
  for (const auto& [row, unit] : find_right_rows(examples, units, order, batch)) {
    const auto known = wrong_prompts_of(examples, batch.texts[row]);
    if (known.empty()) continue;
    std::vector<std::uint32_t> drawn(known.begin(), known.end());
    random.shuffle(drawn);
    batch.right_rows.push_back(static_cast<std::uint32_t>(row));
    batch.right_units.push_back(static_cast<std::uint32_t>(unit));
    for (std::size_t k = 0; k < count; ++k) {
      const bool is_known = k < drawn.size();
      batch.images.push_back(batch.images[row]);
      batch.texts.push_back(is_known ? drawn[k] : batch.texts[row]);
      batch.wrong_known.push_back(is_known ? 1.0F : 0.0F);
    }
  }
}

}  // namespace imagerank::reward
