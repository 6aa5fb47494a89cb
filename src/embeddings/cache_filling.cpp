#include "embeddings/cache_filling.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace imagerank::embeddings {

void CacheFilling::run_pipeline(const encoding::Tower& tower, encoding::ImageList& list,
                                const std::function<void(encoding::ImageResult&&)>& take) {
  constexpr std::chrono::milliseconds kRefreshInterval{100};
  list.in_order = false;
  list.hash = true;
  encoding::encode_images(tower, list, context_, [&](encoding::ImageResult&& result) {
    const std::lock_guard lock(mutex_);
    take(std::move(result));
    if (Clock::now() - refreshed_ < kRefreshInterval) return;
    cache_.refresh();
    refreshed_ = Clock::now();
  });
}

void CacheFilling::report(const char* stage, std::size_t done) {
  done_ += done;
  context_.report(
      {stage, done_, total_, counts_.failed.empty() ? "" : fmt::format("{} failed", counts_.failed.size())});
}

void CacheFilling::set_rate() {
  const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
  if (counts_.encoded != 0) counts_.images_per_s = static_cast<double>(counts_.encoded) / std::max(seconds, 1e-9);
}

}  // namespace imagerank::embeddings
