#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <mutex>

#include "embeddings/encode.h"

namespace imagerank::embeddings {

/// What filling a cache from image files takes, whatever is made of an image. For one run.
class CacheFilling {
 protected:
  CacheFilling(const workspace::Workspace& workspace, EmbeddingCache& cache, const RunContext& context,
               EncodeCounts& counts)
      : workspace_(workspace), cache_(cache), context_(context), counts_(counts) {}

  /// Runs the list, whose source and known are set, in whichever order is fastest. `take` gets each result, with the
  /// cache its own for that long; what other processes append is looked up ten times a second.
  void run_pipeline(const encoding::Tower& tower, encoding::ImageList& list,
                    const std::function<void(encoding::ImageResult&&)>& take);
  /// Counts items as done and says where the run stands.
  void report(const char* stage, std::size_t done);
  /// Once all is done: how fast.
  void set_rate();

  const workspace::Workspace& workspace_;
  EmbeddingCache& cache_;  // mutex_, once the pipeline runs
  const RunContext& context_;
  EncodeCounts& counts_;
  std::mutex mutex_;
  std::size_t total_ = 0;  ///< items of the run

 private:
  using Clock = std::chrono::steady_clock;
  std::size_t done_ = 0;
  Clock::time_point start_ = Clock::now();
  Clock::time_point refreshed_ = start_;
};

}  // namespace imagerank::embeddings
