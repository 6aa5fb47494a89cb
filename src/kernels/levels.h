#pragma once

#include "kernels/kernels.h"

namespace imagerank::kernels {

// One file a level. Each may be called only where the CPU has the level, and the feature that is named.
Tile avx2_tile(Format format);
RowKernels avx2_rows();
Tile avx512_fp32_tile();
Tile avx512_widened_tile();  ///< kBf16 on any AVX-512
Tile avx512_bf16_tile();     ///< AVX512_BF16
Tile avx512_int8_tile();     ///< AVX512_VNNI
RowKernels avx512_rows();
Tile amx_tile(Format format);  ///< kBf16 and kInt8; rows' depth is whole blocks

}  // namespace imagerank::kernels
