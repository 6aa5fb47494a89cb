#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/item_failure.h"
#include "images/decode.h"
#include "scoring/rewarded_encoder.h"
#include "serving/downloads.h"

namespace imagerank::serving {

struct ServiceOptions {
  int threads = 0;                       ///< that decode and run the towers; 0: all cores
  std::size_t max_batch = 0;             ///< images a call of a tower; 0: what suits the encoder
  int max_wait_ms = 2;                   ///< how long the oldest item of a batch may wait for it to fill
  std::size_t max_queued = 1024;         ///< items that wait; beyond it a request is turned away
  std::size_t cached_vectors = 1 << 16;  ///< of images and of prompts, each, by content
  images::DecodeLimits decode;
  bool image_urls = false;    ///< items may name their image by URL
  int url_threads = 8;        ///< that get them
  http::DownloadLimits urls;  ///< max_bytes is decode's

  /// @throws Error kInvalidArgument.
  void validate() const;
};

/// A reward to serve: what requests call it, and where it is.
struct RewardSource {
  std::string name;
  std::filesystem::path folder;
};

/// What is known of a reward that is served.
struct RewardInfo {
  std::string name;
  std::string head;
  std::string loss;
  std::string encoder;
  std::size_t dim = 0;                ///< of the first encoder's vectors; 0: it has none
  bool untrained = false;             ///< its encoder was never trained
  std::optional<double> temperature;  ///< of its calibration, above 0: score / temperature is in units of log odds
};

[[nodiscard]] std::optional<std::size_t> find_reward(const std::vector<RewardInfo>& rewards,
                                                     const std::string& name) noexcept;

/// One thing to do: an image, a prompt, or both. Scores need both.
struct Item {
  std::optional<std::string> image;     ///< the bytes of a whole file
  std::optional<std::string> prompt;    ///< UTF-8
  std::optional<std::string> url = {};  ///< of the image, http or https, instead of its bytes
};

/// What is asked of all items of a request.
struct Work {
  std::vector<Item> items;
  std::vector<std::size_t> rewards;  ///< indices of ScoringService::rewards(); one at least
  bool vectors = false;              ///< give the vectors of the first reward's encoder, and no scores
};

struct ItemResult {
  std::vector<float> scores;  ///< [rewards], in the order they were asked for; NaN where there is a failure
  /// [rewards] standard deviation of the heads' scores of an ensemble; 0 of a single head
  std::vector<float> deviations;
  std::vector<float> vector;  ///< [dim], of the image if there is one, else of the prompt; with Work::vectors
  bool truncated = false;     ///< the prompt did not fit an encoder's context
  std::size_t tokens = 0;     ///< of a prompt, with Work::vectors: those that the tower read
  std::optional<ItemFailure> failure;
};
/// In the order of the items.
using Results = std::vector<ItemResult>;

/// What the service has done so far, and what waits.
struct ServiceCounts {
  std::uint64_t items = 0;
  std::uint64_t failed = 0;
  std::uint64_t batches = 0;
  std::uint64_t images_encoded = 0;
  std::uint64_t image_cache_hits = 0;
  std::uint64_t prompts_encoded = 0;
  std::uint64_t prompt_cache_hits = 0;
  std::size_t queued = 0;
};

/// Rewards behind one bounded queue: workers take what waits in batches, decode, encode and score it. A score has the
/// same bits as `imagerank score` gives, whatever shares its batch. Thread-safe.
class ScoringService {
 public:
  /// @param rewards  of different names; none: nothing can be asked for. @throws Error as
  /// scoring::load_rewarded_encoder; kInvalidArgument.
  ScoringService(const std::vector<RewardSource>& rewards, const scoring::EncoderPlace& place,
                 const ServiceOptions& options);
  ScoringService(const ScoringService&) = delete;
  ScoringService& operator=(const ScoringService&) = delete;
  /// Finishes what is queued.
  ~ScoringService();

  /// @param done  called once, on a worker's thread, when the last item is done; must not throw.
  /// @throws Error kInvalidArgument without items or rewards, where an item lacks what is asked of it, for the vectors
  /// of
  ///   a reward that has none, for a URL unless ServiceOptions::image_urls.
  /// @return false if the queue has no room for all items, or the service is draining: then `done` is never called.
  [[nodiscard]] bool submit(Work work, std::function<void(Results&&)> done);
  /// Turns new work away from now on.
  void drain();
  [[nodiscard]] bool draining() const;

  [[nodiscard]] const std::vector<RewardInfo>& rewards() const noexcept;
  [[nodiscard]] ServiceCounts counts() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace imagerank::serving
