#pragma once

#include <cstdint>
#include <vector>

#include "simulation/annotators.h"
#include "simulation/grammar.h"
#include "simulation/picture.h"
#include "workspace/workspace.h"

namespace imagerank::simulation {

inline constexpr const char* kDataset = "simulation";  ///< Ranking::dataset

struct WorldOptions {
  std::uint64_t rankings = 3000;
  std::uint64_t seed = 0;
  double noise = 1.0;  ///< of the annotators: 0 = they know the truth, 1 = like people, at most 100
  HoldOut hold_out = HoldOut::kNone;
  std::int32_t image_size = 128;
};

/// Rankings by made-up people of made-up pictures, before a pixel is drawn.
struct World {
  std::vector<Picture> pictures;
  std::vector<workspace::Ranking> rankings;  ///< in order of time
  std::vector<workspace::Truth> truth;       ///< of every (image, prompt) that occurs in a ranking
  std::vector<double> image_utility;         ///< parallel to truth: the part that the picture alone tells
  std::uint64_t users = 0;                   ///< who made a ranking
  std::vector<Annotator> annotators;
  std::vector<Prompt> prompts;
};

/// Sessions of one person and one prompt. A session shows four candidates again and again: after a choice the winner
/// meets three new ones, or the person simply votes on the same four again; after a tie all four are new. Some
/// sessions continue with a changed prompt that the last winner is carried on to, a few take up an earlier prompt,
/// and a few prompts are empty.
/// @throws Error kInvalidArgument for options out of range.
[[nodiscard]] World make_world(const WorldOptions& options);

/// What the votes look like; counted as the label stage counts them.
struct WorldStatistics {
  std::uint64_t prompts = 0;
  std::uint64_t ties = 0;                 ///< rankings without a best image
  std::uint64_t strict_pairs = 0;         ///< best over other
  std::uint64_t winners = 0;              ///< distinct (image, prompt) that won
  std::uint64_t winners_that_lost = 0;    ///< of those, which also lost another ranking of the same prompt
  double oracle_pair_accuracy = 0.0;      ///< of a judge who knows the true utility, on strict pairs
  double image_only_pair_accuracy = 0.0;  ///< of the best judge who does not know the prompt
};

/// Equal utilities count half. Without strict pairs both accuracies are NaN.
[[nodiscard]] WorldStatistics measure(const World& world);

}  // namespace imagerank::simulation
