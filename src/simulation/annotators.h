#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/random.h"
#include "simulation/quality.h"
#include "simulation/scene.h"

namespace imagerank::simulation {

/// What an annotator looks at.
struct Candidate {
  double match = 0.0;    ///< 0..1, match() of prompt and scene
  double quality = 0.0;  ///< 0..1, Quality::score()
  const Scene* scene = nullptr;
};

/// The true utility, which nobody's taste or mood enters: 0.68 * match + 0.32 * quality, so 0..1.
[[nodiscard]] double true_utility(double match, double quality) noexcept;

/// One person: how often they come, what they like beside the truth, how steady they are.
struct Annotator {
  std::string user_id;
  double activity = 0.0;       ///< share of all sessions
  double quality_taste = 0.0;  ///< added to the weight of quality
  std::array<double, kColourCount> colour_taste = {};
  std::array<double, kBackgroundCount> background_taste = {};
  double first_place_taste = 0.0;  ///< for whatever is shown first
  double noise = 0.0;              ///< standard deviation of one look at one picture
  double tie_margin = 0.0;         ///< how much better the best must look than the next for a choice
};

/// People for a world of `rankings` rankings, about 26 rankings each but at least 14 people; the ten most active do
/// about 56 % of the sessions, as in Pick-a-Pic v0.
/// @param noise  scales taste and noise; 0 gives people who see the truth.
[[nodiscard]] std::vector<Annotator> make_annotators(std::size_t rankings, double noise, Random& random);

/// The index of a person drawn by activity.
[[nodiscard]] std::size_t draw_annotator(std::span<const Annotator> annotators, Random& random);

/// One look at the candidates: the index of the best, or nothing where the best two look too much alike.
[[nodiscard]] std::optional<std::size_t> vote(const Annotator& annotator, std::span<const Candidate> candidates,
                                              Random& random);

}  // namespace imagerank::simulation
