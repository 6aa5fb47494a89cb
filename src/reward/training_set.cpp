#include "reward/training_set.h"

#include <cmath>
#include <cstring>
#include <utility>

#include "core/fail.h"
#include "core/hash.h"
#include "core/random.h"

namespace imagerank::reward {
namespace {

void check_table(const VectorTable& table, const char* what) {
  if (table.dim == 0 || table.values.empty() || table.values.size() % table.dim != 0) {
    fail(ErrorCode::kNotFound, "{} vectors: expected rows of one dimension, found {} numbers of dimension {}", what,
         table.values.size(), table.dim);
  }
  for (std::size_t i = 0; i < table.values.size(); ++i) {
    if (!std::isfinite(table.values[i])) {
      fail(ErrorCode::kCorruptData, "{} vector {}: expected finite numbers, found {}", what, i / table.dim,
           table.values[i]);
    }
  }
}

void check_examples(const Examples& examples) {
  check_table(examples.images, "image");
  check_table(examples.texts, "text");
  if (examples.images.dim != examples.texts.dim) {
    fail(ErrorCode::kCorruptData, "vectors: image and text must have one dimension, found {} and {}",
         examples.images.dim, examples.texts.dim);
  }
  const std::size_t images = examples.images.values.size() / examples.images.dim;
  const std::size_t texts = examples.texts.values.size() / examples.texts.dim;
  for (const auto& split : examples.points) {
    for (const LabelledPoint& point : split) {
      if (point.image >= images || point.text >= texts || point.label < 0 || point.label >= examples.class_count) {
        fail(ErrorCode::kCorruptData, "point: expected image < {}, text < {}, label < {}, found {}, {}, {}", images,
             texts, examples.class_count, point.image, point.text, point.label);
      }
    }
  }
  for (const auto& split : examples.pairs) {
    for (const PreferencePair& pair : split) {
      const bool sound = pair.image_a < images && pair.image_b < images && pair.text < texts && pair.p_a >= 0.0F &&
                         pair.p_a <= 1.0F && pair.weight >= 0.0F && std::isfinite(pair.weight);
      if (!sound) {
        fail(ErrorCode::kCorruptData, "pair: expected images < {}, text < {}, p_a 0..1, found {}, {}, {}, {}", images,
             texts, pair.image_a, pair.image_b, pair.text, pair.p_a);
      }
    }
  }
}

template <typename Row>
std::vector<Row> first_of_shuffle(const std::vector<Row>& rows, std::uint64_t limit, std::uint64_t seed) {
  if (limit == 0 || limit >= rows.size()) return rows;
  std::vector<Row> shuffled = rows;
  Random(seed, 0x6c696d6974).shuffle(shuffled);
  shuffled.resize(limit);
  return shuffled;
}

template <typename T>
void hash_values(Digest& hash, const std::vector<T>& values) {
  hash.update(std::to_string(values.size()) + ":");
  hash.update(std::as_bytes(std::span(values)));
}

std::vector<float> prepare_table(const VectorTable& table, const Scaler& scaler, bool is_image) {
  std::vector<float> out(table.values.size());
  for (std::size_t offset = 0; offset < out.size(); offset += table.dim) {
    const auto from = std::span(table.values).subspan(offset, table.dim);
    const auto to = std::span(out).subspan(offset, table.dim);
    if (is_image) {
      scaler.prepare_image(from, to);
    } else {
      scaler.prepare_text(from, to);
    }
  }
  return out;
}

}  // namespace

TrainingSet make_training_set(const Examples& examples, InputScaling scaling, Loss loss, std::uint64_t limit,
                              std::uint64_t seed) {
  check_examples(examples);
  constexpr auto kTrain = static_cast<std::size_t>(Split::kTrain);
  const std::size_t dim = examples.images.dim;
  TrainingSet set;
  std::vector<double> image_counts(examples.images.values.size() / dim, 0.0);
  std::vector<double> text_counts(examples.texts.values.size() / dim, 0.0);
  if (uses_pairs(loss)) {
    // A pair without weight teaches nothing, and a batch of such pairs has no mean.
    std::vector<PreferencePair> weighted;
    for (const PreferencePair& pair : examples.pairs[kTrain]) {
      if (pair.weight > 0.0F) weighted.push_back(pair);
    }
    set.pairs = first_of_shuffle(weighted, limit, seed);
    for (const PreferencePair& pair : set.pairs) {
      image_counts[pair.image_a] += 1.0;
      image_counts[pair.image_b] += 1.0;
      text_counts[pair.text] += 1.0;
    }
  } else {
    set.points = first_of_shuffle(examples.points[kTrain], limit, seed);
    for (const LabelledPoint& point : set.points) {
      image_counts[point.image] += 1.0;
      text_counts[point.text] += 1.0;
    }
  }
  if (set.size() == 0) {
    fail(ErrorCode::kNotFound, "train split: expected {} to learn from, found none",
         uses_pairs(loss) ? "pairs" : "points");
  }
  set.scaler = scaling == InputScaling::kUnitLength
                   ? Scaler::unit_length(dim)
                   : Scaler::fit(dim, examples.images.values, image_counts, examples.texts.values, text_counts);
  set.images = prepare_table(examples.images, set.scaler, true);
  set.texts = prepare_table(examples.texts, set.scaler, false);
  return set;
}

std::string fingerprint(const Examples& examples) {
  static_assert(sizeof(LabelledPoint) == 12 && sizeof(PreferencePair) == 20, "hashed as bytes: no padding allowed");
  Digest hash;
  hash.update(std::to_string(examples.class_count) + "/" + std::to_string(examples.images.dim) + "/");
  hash_values(hash, examples.images.values);
  hash_values(hash, examples.texts.values);
  for (const Split split : {Split::kTrain, Split::kValidation}) {
    hash_values(hash, examples.points[static_cast<std::size_t>(split)]);
    hash_values(hash, examples.pairs[static_cast<std::size_t>(split)]);
  }
  return hash.hex_digest();
}

void gather_rows(const TrainingSet& set, std::span<const std::uint32_t> image_rows,
                 std::span<const std::uint32_t> text_rows, float* out) {
  const std::size_t dim = set.scaler.dim();
  const std::size_t bytes = dim * sizeof(float);
  for (std::size_t i = 0; i < image_rows.size(); ++i) {
    std::memcpy(out + 2 * i * dim, set.images.data() + image_rows[i] * dim, bytes);
    std::memcpy(out + (2 * i + 1) * dim, set.texts.data() + text_rows[i] * dim, bytes);
  }
}

}  // namespace imagerank::reward
