#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>

#include "core/random.h"
#include "simulation/world.h"

namespace imagerank::simulation {

/// The people of a world, asked about any of its pictures.
class Voters {
 public:
  /// `world` outlives it.
  explicit Voters(const World& world);

  [[nodiscard]] std::size_t count() const noexcept { return world_.annotators.size(); }
  /// The index of a person drawn by activity.
  [[nodiscard]] std::size_t draw(Random& random) const { return draw_annotator(world_.annotators, random); }
  [[nodiscard]] const std::string& name(std::size_t voter) const { return world_.annotators[voter].user_id; }
  /// One look at pictures in the order shown. @return the index of the best, or nothing where two look too much alike.
  /// @throws Error kNotFound for a prompt or picture that is not the world's.
  [[nodiscard]] std::optional<std::size_t> choose(std::size_t voter, const std::string& prompt,
                                                  std::span<const std::string> uids, Random& random) const;

 private:
  const World& world_;
  std::unordered_map<std::string, const Prompt*> prompts_;    ///< by text
  std::unordered_map<std::string, const Picture*> pictures_;  ///< by uid
};

}  // namespace imagerank::simulation
