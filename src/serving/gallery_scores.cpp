#include "serving/gallery_scores.h"

#include <algorithm>
#include <chrono>
#include <future>
#include <limits>
#include <memory>
#include <utility>

#include "core/atomic_file.h"
#include "imagerank/error.h"

namespace imagerank::serving {
namespace {

constexpr std::size_t kMostFileBytes = std::size_t{64} << 20;
constexpr std::size_t kAtOnce = 8;  ///< images: requests of others wait for no more than that

/// Scores of images for one prompt, waited for; of a service that is about to stop, nothing.
Results score(ScoringService& service, const Work& work, const std::stop_token& stop) {
  while (!stop.stop_requested() && !service.draining()) {
    const auto promise = std::make_shared<std::promise<Results>>();
    if (service.submit(work, [promise](Results&& results) { promise->set_value(std::move(results)); })) {
      return promise->get_future().get();
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(50));  // the queue is full
  }
  return {};
}

}  // namespace

GalleryScores::GalleryScores(ScoringService& service, votes::Voting& voting) : service_(service), voting_(voting) {
  if (!service.rewards().empty()) thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

void GalleryScores::run(const std::stop_token& stop) const {
  const votes::Gallery& gallery = voting_.gallery();
  const std::size_t rewards = service_.rewards().size();
  for (std::uint32_t prompt = 0; prompt < gallery.prompts.size() && !stop.stop_requested(); ++prompt) {
    const std::vector<std::uint32_t>& images = gallery.prompts[prompt].images;
    const votes::ImageScore unknown{std::numeric_limits<double>::quiet_NaN(), 0.0};
    std::vector<std::vector<votes::ImageScore>> scores(rewards, std::vector<votes::ImageScore>(images.size(), unknown));
    for (std::size_t begin = 0; begin < images.size(); begin += kAtOnce) {
      Work work;
      std::vector<std::size_t> places;
      for (std::size_t i = begin; i < std::min(begin + kAtOnce, images.size()); ++i) {
        try {
          std::string bytes = load_file(gallery.images[images[i]].file, kMostFileBytes);
          Item& item = work.items.emplace_back();
          item.image = std::move(bytes);
          item.prompt = gallery.prompts[prompt].text;
          places.push_back(i);
        } catch (const Error&) {
          continue;  // it stays without a score
        }
      }
      for (std::size_t reward = 0; reward < rewards; ++reward) work.rewards.push_back(reward);
      if (work.items.empty()) continue;
      const Results results = score(service_, work, stop);
      if (results.empty()) return;
      for (std::size_t i = 0; i < results.size(); ++i) {
        if (results[i].failure) continue;
        for (std::size_t reward = 0; reward < rewards; ++reward) {
          scores[reward][places[i]] = {results[i].scores[reward], results[i].deviations[reward]};
        }
      }
    }
    for (std::size_t reward = 0; reward < rewards; ++reward) {
      voting_.set_scores(service_.rewards()[reward].name, prompt, std::move(scores[reward]));
    }
  }
}

}  // namespace imagerank::serving
