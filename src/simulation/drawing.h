#pragma once

#include <cstdint>

#include "core/random.h"
#include "images/image.h"
#include "simulation/scene.h"

namespace imagerank::simulation {

/// Paints a scene, anti-aliased; texture, tilt and exact positions come from `random`.
/// @param size  width and height in pixels, 16..4096.
/// @return RGB [size, size, 3]. @throws Error kResourceLimit if there is no memory for it. Thread-safe.
[[nodiscard]] images::Image draw_scene(const Scene& scene, std::int32_t size, Random& random);

}  // namespace imagerank::simulation
