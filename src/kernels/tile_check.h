#pragma once

#include "kernels/kernels.h"

namespace imagerank::kernels {

/// Whether a tile gives the numbers of plain loops: a small product of integers, which is exact in every format, taken
/// at once and in two calls. Some microseconds.
[[nodiscard]] bool tile_is_right(const Tile& tile, Format format);

}  // namespace imagerank::kernels
