#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "core/progress.h"
#include "workspace/workspace.h"

namespace imagerank::perturbations {

/// How a right prompt is made wrong.
enum class PerturbMode {
  kSwap,       ///< another prompt of the workspace
  kAttribute,  ///< one number, colour, size, relation, background or object of an English prompt replaced
};
/// @throws Error kInvalidArgument listing the names.
[[nodiscard]] PerturbMode perturb_mode_of(std::string_view name);

/// How unlike a swapped prompt may be: 1 - |words in both| / |words in either|, 0 (the same words) to 1 (none shared).
struct DistanceRange {
  double min = 0.5;
  double max = 1.0;
};
/// "0.3..0.8". @throws Error kInvalidArgument.
[[nodiscard]] DistanceRange distance_range_of(std::string_view text);

struct PerturbSettings {
  PerturbMode mode = PerturbMode::kSwap;
  std::size_t per_prompt = 1;  ///< wrong prompts for each right one, 1..100
  std::uint64_t seed = 0;
  DistanceRange distance;  ///< kSwap only
  /// @throws Error kInvalidArgument.
  void validate() const;
};

struct PerturbCounts {
  std::int64_t prompts = 0;                     ///< right prompts: distinct prompts of rankings and ratings
  std::int64_t perturbed = 0;                   ///< rows written in this mode
  std::int64_t kept = 0;                        ///< rows of the other mode, left as they were
  std::map<std::string, std::int64_t> by_kind;  ///< rows by what changed: "prompt", or "number", "colour", ...
  std::map<std::string, std::int64_t> skipped;  ///< prompts with fewer rows than asked for, by reason
};

/// Reads rankings.parquet, and ratings.parquet and images.parquet if they are there; writes perturbed.parquet: new rows
/// of this mode, the rows of the other mode as they were. A wrong prompt is never one that is right for an image of the
/// prompt: one that was judged on such an image, or that such an image was made from; case, white space and Unicode
/// form make no difference. The same data, settings and seed give the same table whatever the order of rows or the
/// number of threads. Memory: 2 GB for the database, which spills; for a swap also about 8 bytes for each word of each
/// distinct prompt.
/// @throws Error kNotFound (no rankings and no ratings), kCorruptData, kInvalidArgument, kCancelled, kIo.
PerturbCounts perturb_prompts(const workspace::Workspace& workspace, const PerturbSettings& settings,
                              const RunContext& context);

}  // namespace imagerank::perturbations
