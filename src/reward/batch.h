#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/random.h"
#include "reward/examples.h"
#include "reward/head_kinds.h"
#include "reward/training_set.h"

namespace imagerank::reward {

/// Some units of a split as rows for a head, and what those rows should be.
struct Batch {
  std::vector<std::uint32_t> images, texts;  ///< rows to run: the units' own, then wrong prompts
  std::size_t own_rows = 0;    ///< points; all pairs' a, then all their b; or the lists' images one after another
  std::vector<float> targets;  ///< a point's label, a pair's p_a; for lists the level of each own row
  std::vector<float> weights;  ///< one a unit
  std::vector<std::uint32_t> list_sizes;  ///< one a list
  // For the prompt classification: of each right row, `wrong_count` wrong prompts, one right row after another.
  std::vector<std::uint32_t> right_rows;   ///< own rows
  std::vector<std::uint32_t> right_units;  ///< the units that they are of
  std::size_t wrong_count = 0;
  std::vector<float> wrong_known;  ///< [right_rows, wrong_count]: 0 where a prompt has fewer

  [[nodiscard]] std::size_t unit_count() const noexcept { return weights.size(); }
};

/// @param order  which units, by their place.
[[nodiscard]] Batch make_batch(const Examples& examples, const Units& units, std::span<const std::uint32_t> order);

/// Adds rows with wrong prompts, `count` of each right row's known ones drawn without repetition, for the images that
/// are good for their prompt: points of the highest label, a pair's better image, a list's best.
void add_wrong_prompts(const Examples& examples, const Units& units, std::span<const std::uint32_t> order,
                       std::size_t count, Random& random, Batch& batch);

}  // namespace imagerank::reward
