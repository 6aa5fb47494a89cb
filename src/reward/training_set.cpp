#include "reward/training_set.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <unordered_map>
#include <utility>

#include "core/fail.h"
#include "core/hash.h"
#include "core/random.h"
#include "reward/work_crew.h"

namespace imagerank::reward {
namespace {

constexpr auto kTrain = static_cast<std::size_t>(Split::kTrain);
constexpr auto kValidation = static_cast<std::size_t>(Split::kValidation);

std::string row_name(const std::function<std::string(std::uint32_t)>& name, std::size_t row) {
  return name ? name(static_cast<std::uint32_t>(row)) : std::to_string(row);
}

/// Which rows of the two tables the splits refer to.
struct UsedRows {
  std::vector<bool> images, texts;
};

UsedRows used_rows(const Examples& examples) {
  UsedRows used;
  used.images.assign(examples.images.row_count(), false);
  used.texts.assign(examples.texts.row_count(), false);
  for (std::size_t split = 0; split < kSplitCount; ++split) {
    for (const LabelledPoint& point : examples.points[split]) used.images[point.image] = used.texts[point.text] = true;
    for (const PreferencePair& pair : examples.pairs[split]) {
      used.images[pair.image_a] = used.images[pair.image_b] = used.texts[pair.text] = true;
    }
    for (const PreferenceList& list : examples.lists[split]) {
      used.texts[list.text] = true;
      for (std::uint32_t i = 0; i < list.count; ++i) used.images[examples.ranked[list.begin + i].image] = true;
    }
  }
  for (std::size_t text = 0; text + 1 < examples.wrong_begin.size(); ++text) {
    if (!used.texts[text]) continue;
    for (std::uint32_t i = examples.wrong_begin[text]; i < examples.wrong_begin[text + 1]; ++i) {
      used.texts[examples.wrong_texts[i]] = true;
    }
  }
  return used;
}

void check_vectors(const VectorTable& table, const std::vector<bool>& used, const char* what,
                   const std::function<std::string(std::uint32_t)>& name) {
  std::vector<float> row(table.dim);
  std::size_t bad_count = 0;
  std::string bad;
  for (std::size_t i = 0; i < used.size(); ++i) {
    if (!used[i]) continue;
    table.copy_row(i, row);
    if (std::ranges::all_of(row, [](float value) { return std::isfinite(value); })) continue;
    if (++bad_count <= 3) bad += (bad.empty() ? "" : ", ") + row_name(name, i);
  }
  if (bad_count == 0) return;
  fail(ErrorCode::kCorruptData, "{} vectors: expected finite numbers, found {} rows with others: {}{}", what, bad_count,
       bad, bad_count > 3 ? ", ..." : "");
}

void check_table(const VectorTable& table, const char* what) {
  const std::size_t numbers = table.values.empty() ? table.halves.size() : table.values.size();
  if (table.dim == 0 || numbers == 0 || numbers % table.dim != 0) {
    fail(ErrorCode::kNotFound, "{} vectors: expected rows of one dimension, found {} numbers of dimension {}", what,
         numbers, table.dim);
  }
}

void check_indices(const Examples& examples) {
  const std::size_t images = examples.images.row_count();
  const std::size_t texts = examples.texts.row_count();
  for (std::size_t split = 0; split < kSplitCount; ++split) {
    for (const LabelledPoint& point : examples.points[split]) {
      if (point.image < images && point.text < texts && point.label >= 0 && point.label < examples.class_count)
        continue;
      fail(ErrorCode::kCorruptData, "point: expected image < {}, text < {}, label < {}, found {}, {}, {}", images,
           texts, examples.class_count, point.image, point.text, point.label);
    }
    for (const PreferencePair& pair : examples.pairs[split]) {
      const bool sound = pair.image_a < images && pair.image_b < images && pair.text < texts && pair.p_a >= 0.0F &&
                         pair.p_a <= 1.0F && pair.weight >= 0.0F && std::isfinite(pair.weight);
      if (sound) continue;
      fail(ErrorCode::kCorruptData,
           "pair: expected images < {}, text < {}, p_a 0..1, weight 0 or more, found {}, {}, {}, {}, {}", images, texts,
           pair.image_a, pair.image_b, pair.text, pair.p_a, pair.weight);
    }
    for (const PreferenceList& list : examples.lists[split]) {
      bool sound = list.count >= 2 && list.text < texts &&
                   std::size_t{list.begin} + list.count <= examples.ranked.size() && list.weight >= 0.0F &&
                   std::isfinite(list.weight);
      for (std::uint32_t i = 0; sound && i < list.count; ++i) sound = examples.ranked[list.begin + i].image < images;
      if (sound) continue;
      fail(ErrorCode::kCorruptData, "ranking: expected 2 or more images < {}, text < {}, found {} images, text {}",
           images, texts, list.count, list.text);
    }
  }
  const bool wrong_fits = examples.wrong_begin.empty() || examples.wrong_begin.size() == texts + 1;
  const bool wrong_known = std::ranges::all_of(examples.wrong_texts, [&](std::uint32_t text) { return text < texts; });
  if (!wrong_fits || !wrong_known) {
    fail(ErrorCode::kCorruptData, "wrong prompts: expected a list a text, of texts < {}", texts);
  }
}

void check_examples(const Examples& examples) {
  check_table(examples.images, "image");
  check_table(examples.texts, "text");
  if (examples.images.dim != examples.texts.dim) {
    fail(ErrorCode::kCorruptData, "vectors: image and text must have one dimension, found {} and {}",
         examples.images.dim, examples.texts.dim);
  }
  check_indices(examples);
  const UsedRows used = used_rows(examples);
  check_vectors(examples.images, used.images, "image", examples.image_name);
  check_vectors(examples.texts, used.texts, "text", examples.text_name);
}

template <typename Row>
std::vector<Row> first_of_shuffle(const std::vector<Row>& rows, std::uint64_t limit, std::uint64_t seed) {
  if (limit == 0 || limit >= rows.size()) return rows;
  std::vector<Row> shuffled = rows;
  Random(seed, 0x6c696d6974).shuffle(shuffled);
  shuffled.resize(limit);
  return shuffled;
}

/// A unit without weight teaches nothing, and a batch of such has no mean.
template <typename Row>
std::vector<Row> weighted_rows(const std::vector<Row>& rows) {
  std::vector<Row> kept;
  for (const Row& row : rows) {
    if (row.weight > 0.0F) kept.push_back(row);
  }
  return kept;
}

Units make_units(const Examples& examples, std::size_t split, Loss loss, std::uint64_t limit, std::uint64_t seed) {
  Units units;
  if (uses_lists(loss)) {
    units.lists = first_of_shuffle(weighted_rows(examples.lists[split]), limit, seed);
    for (const PreferenceList& list : units.lists) units.weights.push_back(list.weight);
  } else if (uses_pairs(loss)) {
    units.pairs = first_of_shuffle(weighted_rows(examples.pairs[split]), limit, seed);
    for (const PreferencePair& pair : units.pairs) units.weights.push_back(pair.weight);
  } else {
    units.points = first_of_shuffle(examples.points[split], limit, seed);
    units.weights.assign(units.points.size(), 1.0F);
  }
  return units;
}

std::uint32_t text_of(const Units& units, std::size_t i) {
  if (!units.points.empty()) return units.points[i].text;
  return units.pairs.empty() ? units.lists[i].text : units.pairs[i].text;
}

std::unordered_map<std::uint32_t, std::uint32_t> count_prompts(const Units& units) {
  std::unordered_map<std::uint32_t, std::uint32_t> counts;
  for (std::size_t i = 0; i < units.size(); ++i) ++counts[text_of(units, i)];
  return counts;
}

std::vector<std::size_t> count_labels(const Units& units, std::int32_t class_count) {
  std::vector<std::size_t> counts(static_cast<std::size_t>(class_count), 0);
  for (const LabelledPoint& point : units.points) ++counts[static_cast<std::size_t>(point.label)];
  return counts;
}

/// @throws Error kInvalidArgument where weights do not fit the loss or the classes.
std::vector<double> class_weights(const Weighting& weighting, const Units& train, Loss loss, std::int32_t class_count) {
  if (!weighting.balanced && weighting.class_weights.empty()) return {};
  if (gives_utility(loss)) {
    fail(ErrorCode::kInvalidArgument, "--class-weights: loss {} reads {}, which have no classes", loss_name(loss),
         unit_name(loss));
  }
  if (weighting.balanced) {
    std::vector<double> weights;
    for (const std::size_t count : count_labels(train, class_count)) {
      weights.push_back(count == 0 ? 1.0
                                   : static_cast<double>(train.size()) / (class_count * static_cast<double>(count)));
    }
    return weights;
  }
  const bool positive = std::ranges::all_of(weighting.class_weights, [](double w) { return w > 0.0 && w <= 1e6; });
  if (weighting.class_weights.size() != static_cast<std::size_t>(class_count) || !positive) {
    fail(ErrorCode::kInvalidArgument, "--class-weights: expected {} numbers above 0 or 'balanced', found {} numbers",
         class_count, weighting.class_weights.size());
  }
  return weighting.class_weights;
}

void apply_weights(Units& units, const std::vector<double>& classes, bool per_prompt) {
  for (std::size_t i = 0; !classes.empty() && i < units.points.size(); ++i) {
    units.weights[i] *= static_cast<float>(classes[static_cast<std::size_t>(units.points[i].label)]);
  }
  if (!per_prompt) return;
  const auto counts = count_prompts(units);
  for (std::size_t i = 0; i < units.size(); ++i) {
    units.weights[i] /= static_cast<float>(counts.at(text_of(units, i)));
  }
}

/// What leaves nothing to learn is an error, what leaves little a warning.
void check_split(TrainingSet& set, Loss loss, std::int32_t class_count) {
  if (set.train.size() == 0)
    fail(ErrorCode::kNotFound, "train split: expected {} to learn from, found none", unit_name(loss));
  const auto is_tie = [](const PreferencePair& pair) { return !(pair.p_a < 0.5F || pair.p_a > 0.5F); };
  if (uses_pairs(loss) && std::ranges::all_of(set.train.pairs, is_tie)) {
    fail(ErrorCode::kNotFound, "train split: expected pairs with a better image, found {} pairs that are all ties",
         set.train.size());
  }
  const auto tied = [&](const PreferenceList& list) {
    const auto images = std::span(set.examples->ranked).subspan(list.begin, list.count);
    return std::ranges::all_of(images, [&](const RankedImage& image) { return image.level == images[0].level; });
  };
  if (uses_lists(loss) && std::ranges::all_of(set.train.lists, tied)) {
    fail(ErrorCode::kNotFound,
         "train split: expected rankings with a better image, found {} rankings that are all ties", set.train.size());
  }
  if (!gives_utility(loss)) {
    const auto counts = count_labels(set.train, class_count);
    const auto one = std::ranges::find(counts, set.train.size());
    if (one != counts.end()) {
      fail(ErrorCode::kNotFound, "train split: expected points of two or more labels, found label {} on all {}",
           one - counts.begin(), set.train.size());
    }
  }
  const auto note_one_prompt = [&](const Units& units, const char* split) {
    if (units.size() > 0 && count_prompts(units).size() == 1) {
      set.warnings.push_back(fmt::format("the {} split has one prompt: it shows nothing about others", split));
    }
  };
  note_one_prompt(set.train, "train");
  note_one_prompt(set.validation, "validation");
}

/// How often each row of the tables stands in the units.
std::pair<std::vector<double>, std::vector<double>> count_rows(const Examples& examples, const Units& units) {
  std::vector<double> images(examples.images.row_count(), 0.0);
  std::vector<double> texts(examples.texts.row_count(), 0.0);
  for (std::size_t i = 0; i < units.size(); ++i) texts[text_of(units, i)] += 1.0;
  for (const LabelledPoint& point : units.points) images[point.image] += 1.0;
  for (const PreferencePair& pair : units.pairs) {
    images[pair.image_a] += 1.0;
    images[pair.image_b] += 1.0;
  }
  for (const PreferenceList& list : units.lists) {
    for (std::uint32_t i = 0; i < list.count; ++i) images[examples.ranked[list.begin + i].image] += 1.0;
  }
  return {std::move(images), std::move(texts)};
}

template <typename T>
void hash_values(Digest& hash, const std::vector<T>& values) {
  hash.update(std::to_string(values.size()) + ":");
  hash.update(std::as_bytes(std::span(values)));
}

void hash_vectors(Digest& hash, const VectorTable& table, const std::vector<bool>& used) {
  for (std::size_t i = 0; i < used.size(); ++i) {
    if (!used[i]) continue;
    if (table.values.empty()) {
      hash.update(std::as_bytes(table.halves.subspan(i * table.dim, table.dim)));
    } else {
      hash.update(std::as_bytes(std::span(table.values).subspan(i * table.dim, table.dim)));
    }
  }
}

}  // namespace

const char* unit_name(Loss loss) noexcept {
  if (uses_lists(loss)) return "rankings";
  return uses_pairs(loss) ? "pairs" : "points";
}

TrainingSet make_training_set(const Examples& examples, InputScaling scaling, Loss loss, const Weighting& weighting,
                              std::uint64_t limit, std::uint64_t seed) {
  check_examples(examples);
  TrainingSet set;
  set.examples = &examples;
  set.train = make_units(examples, kTrain, loss, limit, seed);
  set.validation = make_units(examples, kValidation, loss, 0, seed);
  check_split(set, loss, examples.class_count);
  set.class_weights = class_weights(weighting, set.train, loss, examples.class_count);
  apply_weights(set.train, set.class_weights, weighting.per_prompt);
  apply_weights(set.validation, set.class_weights, weighting.per_prompt);
  const auto [image_counts, text_counts] = count_rows(examples, set.train);
  set.scaler = scaling == InputScaling::kUnitLength
                   ? Scaler::unit_length(examples.images.dim)
                   : Scaler::fit(examples.images, image_counts, examples.texts, text_counts);
  return set;
}

void TrainingSet::gather(std::span<const std::uint32_t> image_rows, std::span<const std::uint32_t> text_rows,
                         float* out) const {
  const std::size_t dim = scaler.dim();
  constexpr double kOfANumber = 2.5e-4;  // microseconds
  share(kOfANumber * static_cast<double>(2 * dim * image_rows.size()), [&](std::size_t piece) {
    std::vector<float> row(dim);
    const Piece own = piece_of(image_rows.size(), piece);
    for (std::size_t i = own.begin; i < own.begin + own.count; ++i) {
      examples->images.copy_row(image_rows[i], row);
      scaler.prepare_image(row, {out + 2 * i * dim, dim});
      examples->texts.copy_row(text_rows[i], row);
      scaler.prepare_text(row, {out + (2 * i + 1) * dim, dim});
    }
  });
}

std::string fingerprint(const Examples& examples) {
  static_assert(sizeof(LabelledPoint) == 12 && sizeof(PreferencePair) == 20 && sizeof(PreferenceList) == 16 &&
                    sizeof(RankedImage) == 8,
                "hashed as bytes: no padding allowed");
  check_table(examples.images, "image");
  check_table(examples.texts, "text");
  check_indices(examples);
  const UsedRows used = used_rows(examples);
  Digest hash;
  hash.update(std::to_string(examples.class_count) + "/" + std::to_string(examples.images.dim) + "/");
  hash_vectors(hash, examples.images, used.images);
  hash_vectors(hash, examples.texts, used.texts);
  for (const std::size_t split : {kTrain, kValidation}) {
    hash_values(hash, examples.points[split]);
    hash_values(hash, examples.pairs[split]);
    hash_values(hash, examples.lists[split]);
  }
  hash_values(hash, examples.ranked);
  hash_values(hash, examples.wrong_begin);
  hash_values(hash, examples.wrong_texts);
  return hash.hex_digest();
}

}  // namespace imagerank::reward
