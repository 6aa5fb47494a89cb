#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "kernels/format.h"

namespace imagerank::kernels {

/// The inner loop of a product: `height` rows by kPanelColumns columns.
struct Tile {
  std::size_t height = 0;  ///< at most kSpareRows
  const char* name = "";   ///< the instructions, as `models info` says them
  /// tile [height, kPanelColumns] (float32, int32 for kInt8) = rows * panel, over `steps` steps, whole blocks.
  /// @param rows  height rows, `stride` bytes apart. @param panel  [steps, kPanelColumns, kStepBytes].
  /// @param add  tile += instead: steps may be taken in several calls, and give the same bits as in one.
  void (*run)(const std::byte* rows, std::size_t stride, const std::byte* panel, std::size_t steps, void* tile,
              bool add) = nullptr;
  /// Makes the calling thread ready for run, until it calls another library.
  void (*prepare)() = [] {};
  /// Steps of a panel that stay in the first cache while all rows pass; 0 where it does not pay.
  std::size_t cached_steps = 0;
};

/// A few numbers of a row that would spoil the scale of all others, kept out of it: real CLIP has channels tens of
/// times as large as the rest (the decomposition of LLM.int8(), Dettmers et al. 2022, done a row at a time).
struct Outliers {
  static constexpr std::size_t kMost = 16;
  std::size_t count = 0;
  std::array<std::uint16_t, kMost> at{};  ///< position in the row
  std::array<float, kMost> value{};
};

/// One row of kInt8: value = scale * (byte - kInt8Offset), and the outliers, whose bytes are kInt8Offset.
struct RowScale {
  float scale = 0.0F;
  Outliers outliers;
};

/// Loops over rows and tiles, in one instruction set. Lengths n are multiples of 16; a tile is float32
/// [height, kPanelColumns]. Each gives the same numbers for a row whatever stands around it.
struct RowKernels {
  /// out = (x - mean) / sqrt(variance + eps) * weight + bias, all [n]. out may be x.
  void (*layer_norm)(const float* x, const float* weight, const float* bias, std::size_t n, float eps, float* out);
  /// x[0, n) = exp(x - max) / sum, over the first `used` of them; the rest become 0.
  void (*softmax)(float* x, std::size_t used, std::size_t n);
  void (*to_bf16)(const float* x, std::size_t n, std::uint16_t* out);  ///< round to nearest even
  /// To kInt8, by the largest magnitude of what is no outlier. A row of zeros has scale 0.
  void (*to_int8)(const float* x, std::size_t n, std::uint8_t* out, RowScale& scale);

  /// Weights of kInt8: signed bytes, x / scale rounded. @return the scale, the largest magnitude / 127.
  float (*weights_to_int8)(const float* x, std::size_t n, std::int8_t* out);

  /// In place: a tile of kInt8, int32 sums, becomes values. @param rows  [height]. @param offsets  the sum of
  /// each column's weights, times kInt8Offset. @param scales  of the columns. @param panel  as in Tile::run, for the
  /// outliers.
  void (*from_int8)(void* tile, std::size_t height, const RowScale* rows, const std::int32_t* offsets,
                    const float* scales, const std::byte* panel);
  // What becomes of a tile, [kPanelColumns] of `bias` added to each of its rows; in place, or to rows of `out` that
  // are `stride` numbers apart.
  void (*quick_gelu)(float* tile, std::size_t height, const float* bias);  ///< x * sigmoid(1.702 x), 1e-6 of it + 1e-8
  void (*gelu)(float* tile, std::size_t height, const float* bias);        ///< x * Phi(x), within 2e-7 * (1 + |x|)
  void (*store)(const float* tile, std::size_t height, const float* bias, float* out, std::size_t stride);
  void (*add)(const float* tile, std::size_t height, const float* bias, float* out, std::size_t stride);  ///< out +=
  void (*store_bf16)(const float* tile, std::size_t height, const float* bias, std::uint16_t* out, std::size_t stride);

  /// Rows of `words` times 4 bytes become columns of a panel: out [words, kPanelColumns] of 4 bytes. @param rows
  /// kPanelColumns of them, `stride` bytes apart. @param words  a multiple of 16.
  void (*transpose)(const std::byte* rows, std::size_t stride, std::size_t words, std::byte* out);
  /// Two rows of kPanelColumns bfloat16 as a step of a panel: a[0], b[0], a[1], b[1], ...
  void (*interleave)(const std::byte* a, const std::byte* b, std::byte* out);
};

/// A bias of nothing.
alignas(64) inline constexpr std::array<float, kPanelColumns> kNoBias{};

/// Everything a tower runs on, as chosen for this machine.
struct Kernels {
  std::array<Tile, kFormats> tiles;  ///< by Format
  RowKernels rows;
  [[nodiscard]] const Tile& tile(Format format) const noexcept { return tiles[static_cast<std::size_t>(format)]; }
};

/// The instruction sets there are kernels for, each holding the ones before it.
enum class Level : std::uint8_t {
  kAvx2,    ///< AVX2 and FMA
  kAvx512,  ///< AVX-512 F, BW, DQ and VL; its BF16 for kBf16 where that gains, its VNNI for kInt8 where the CPU has it
  kAmx,     ///< AMX tiles for kBf16 and kInt8
};
/// "avx2", "avx512", "amx".
[[nodiscard]] const char* level_name(Level level) noexcept;

/// The best that CPU and system allow, at most `limit`; empty below AVX2. Asks the system for AMX once a process, and
/// tries its tiles.
[[nodiscard]] std::optional<Level> best_level(Level limit = Level::kAmx);
/// Why the AMX that the CPU says it has is not used; "" where it is, and on a CPU without.
[[nodiscard]] const std::string& amx_obstacle();
/// The kernels of a level that best_level allows.
[[nodiscard]] Kernels kernels_of(Level level);
/// The best level, held back by the variable IMAGERANK_CPU_LEVEL (a level's name), as ONEDNN_MAX_CPU_ISA does oneDNN;
/// empty below AVX2. @throws Error  the variable names no level.
[[nodiscard]] std::optional<Level> find_level();
[[nodiscard]] std::optional<Kernels> find_kernels();  ///< of find_level()

}  // namespace imagerank::kernels
