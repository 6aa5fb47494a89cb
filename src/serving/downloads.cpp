#include "serving/downloads.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace imagerank::serving {

struct Downloads::State {
  struct Wanted {
    std::string url;
    std::function<void(http::Download&&)> done;
  };
  std::vector<std::unique_ptr<http::Downloader>> downloaders;  // one a thread
  std::mutex mutex;                                            // all below
  std::condition_variable ready;
  std::deque<Wanted> waiting;
  bool stopped = false;
  std::vector<std::jthread> threads;  // the last: they use the others

  void work(http::Downloader& downloader) {
    for (;;) {
      Wanted wanted;
      {
        std::unique_lock lock(mutex);
        ready.wait(lock, [&] { return stopped || !waiting.empty(); });
        if (waiting.empty()) return;
        wanted = std::move(waiting.front());
        waiting.pop_front();
      }
      http::Download download;
      try {
        download = downloader.get(wanted.url);
      } catch (const std::exception& error) {
        download = {{}, "connection", error.what()};
      }
      wanted.done(std::move(download));
    }
  }
};

Downloads::Downloads(const http::DownloadLimits& limits, int threads, http::AddressCheck refused)
    : state_(std::make_unique<State>()) {
  for (int i = 0; i < threads; ++i) {
    state_->downloaders.push_back(std::make_unique<http::Downloader>(limits, refused));
  }
  for (const auto& downloader : state_->downloaders) {
    state_->threads.emplace_back([state = state_.get(), own = downloader.get()] { state->work(*own); });
  }
}

Downloads::~Downloads() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->stopped = true;
  }
  state_->ready.notify_all();
}

void Downloads::get(std::string url, std::function<void(http::Download&&)> done) {
  {
    const std::lock_guard lock(state_->mutex);
    state_->waiting.push_back({std::move(url), std::move(done)});
  }
  state_->ready.notify_one();
}

}  // namespace imagerank::serving
