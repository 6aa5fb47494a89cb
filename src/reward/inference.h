#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "reward/head_kinds.h"
#include "reward/heads.h"
#include "reward/reward.h"

namespace imagerank::reward {

/// A head's numbers for `count` rows, in the type of its parameters. @param fill  writes prepared rows begin..end of
/// the input to out [end - begin, 2 * dim]. @return [count, outputs].
[[nodiscard]] std::vector<float> run_head(
    const Head& head, std::size_t dim, std::size_t outputs, std::size_t count,
    const std::function<void(std::size_t begin, std::size_t end, float* out)>& fill);

/// What a head's numbers mean under its loss. @param outputs  [count, output_count(loss, class_count)].
[[nodiscard]] Scores scores_from_outputs(Loss loss, std::int32_t class_count, std::vector<float> outputs);

/// While it lives, libtorch and the BLAS behind it use `threads` threads.
class TorchThreads {
 public:
  explicit TorchThreads(int threads);
  TorchThreads(const TorchThreads&) = delete;
  TorchThreads& operator=(const TorchThreads&) = delete;
  ~TorchThreads();

 private:
  int before_;
};

}  // namespace imagerank::reward
