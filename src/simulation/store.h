#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/progress.h"
#include "simulation/caption_set.h"
#include "simulation/world.h"

namespace imagerank::simulation {

/// "none", "exclude", "only". @throws Error kInvalidArgument.
[[nodiscard]] HoldOut parse_hold_out(const std::string& name);
[[nodiscard]] std::string name_of(HoldOut hold_out);

/// Draws the pictures and writes images, truth and rankings, the rankings last: a workspace that has them is whole.
/// The options are kept in <root>/simulation.json: the same options carry on a run that was cut off, and change
/// nothing in a finished one.
/// @throws Error kRefused if the folder holds tables that are not this simulation's; kCancelled, kIo, kResourceLimit.
void store_world(const std::filesystem::path& root, const WorldOptions& options, const World& world,
                 const RunContext& context);

/// The options of a world that is stored there. @throws Error kNotFound, kCorruptData.
[[nodiscard]] WorldOptions load_world_options(const std::filesystem::path& root);

/// The same for pictures with captions: only the images table, whose prompt is the caption.
void store_caption_set(const std::filesystem::path& root, const CaptionSetOptions& options,
                       const std::vector<Picture>& pictures, const RunContext& context);

}  // namespace imagerank::simulation
