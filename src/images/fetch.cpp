#include "images/fetch.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <deque>
#include <queue>
#include <unordered_map>
#include <vector>

#include "core/fail.h"
#include "core/hash.h"
#include "core/random.h"
#include "images/header.h"

namespace imagerank::images {
namespace {

using Clock = Fetcher::Clock;
using std::chrono::milliseconds;

template <typename Value>
void check_range(const char* name, Value value, Value low, Value high) {
  if (value < low || value > high) {
    fail(ErrorCode::kInvalidArgument, "{}: expected {} to {}, found {}", name, low, high, value);
  }
}

bool is_passing_status(int http_status) noexcept {
  if (http_status >= 500) return http_status != 501 && http_status != 505;
  return http_status == 408 || http_status == 425 || http_status == 429;
}

/// URLs waiting for one host. `not_before` holds all of them back.
struct Host {
  std::deque<std::size_t> ready;
  int in_flight = 0;
  bool in_turn = false;
  Clock::time_point not_before;
};

class Schedule {
 public:
  Schedule(std::span<const std::string> urls, const FetchOptions& options, Fetcher& fetcher, const FetchSink& sink,
           const RunContext& context)
      : urls_(urls), options_(options), fetcher_(fetcher), sink_(sink), context_(context), tries_(urls.size()) {}

  void run() {
    enqueue_all();
    while (done_ < urls_.size()) {
      context_.check_stop();
      wake_due();
      start_some();
      for (Transfer& transfer : fetcher_.wait(time_to_wait())) end_try(std::move(transfer));
    }
  }

 private:
  static constexpr std::size_t kWholeHost = static_cast<std::size_t>(-1);

  /// Something to do later: one URL's next try, or (kWholeHost) a host that may be asked again.
  struct Later {
    Clock::time_point when;
    std::size_t index;
    Host* host;
    bool operator>(const Later& other) const noexcept { return when > other.when; }
  };

  void enqueue_all() {
    for (std::size_t i = 0; i < urls_.size(); ++i) {
      const auto url = parse_url(urls_[i]);
      if (!url) {
        FetchedImage image;
        image.index = i;
        image.reason = "bad_url";
        image.detail = "expected an absolute http:, https: or file: URL";
        deliver(std::move(image));
        continue;
      }
      Host& host = hosts_[url->host_key()];
      host.ready.push_back(i);
      take_turn(host);
    }
  }

  void take_turn(Host& host) {
    if (host.in_turn || host.ready.empty() || host.in_flight >= options_.per_host) return;
    host.in_turn = true;
    turn_.push_back(&host);
  }

  void wake_due() {
    const auto now = fetcher_.now();
    while (!later_.empty() && later_.top().when <= now) {
      const Later due = later_.top();
      later_.pop();
      if (due.index != kWholeHost) due.host->ready.push_back(due.index);
      take_turn(*due.host);
    }
  }

  void start_some() {
    const auto now = fetcher_.now();
    while (in_flight_ < options_.concurrency && !turn_.empty()) {
      Host& host = *turn_.front();
      turn_.pop_front();
      host.in_turn = false;
      if (host.not_before > now) {
        later_.push({host.not_before, kWholeHost, &host});
        continue;
      }
      if (host.ready.empty() || host.in_flight >= options_.per_host) continue;
      const std::size_t index = host.ready.front();
      host.ready.pop_front();
      ++host.in_flight;
      ++in_flight_;
      ++tries_[index];
      fetcher_.start(index, *parse_url(urls_[index]));
      in_flight_hosts_[index] = &host;
      take_turn(host);
    }
  }

  [[nodiscard]] milliseconds time_to_wait() const {
    constexpr milliseconds kStopPoll(100);
    if (later_.empty()) return kStopPoll;
    const auto left = std::chrono::ceil<milliseconds>(later_.top().when - fetcher_.now());
    return std::clamp(left, milliseconds(0), kStopPoll);
  }

  void end_try(Transfer&& transfer) {
    const std::size_t index = transfer.ticket;
    Host& host = *in_flight_hosts_.at(index);
    in_flight_hosts_.erase(index);
    --host.in_flight;
    --in_flight_;

    FetchedImage image;
    image.index = index;
    image.tries = tries_[index];
    image.reason = std::move(transfer.reason);
    image.detail = std::move(transfer.detail);
    const int status = transfer.http_status;
    if (image.ok() && status != 0 && (status < 200 || status >= 300)) {
      image.reason = fmt::format("http_{}", status);
    } else if (image.ok()) {
      image.bytes = std::move(transfer.body);
      inspect_image(image);
    }
    if (!image.ok() && (is_passing_status(status) || may_pass(image.reason)) &&
        retry_later(image, host, transfer.retry_after)) {
      take_turn(host);
      return;
    }
    take_turn(host);
    deliver(std::move(image));
  }

  /// @return false if there is no try left or the server asks for more patience than options allow.
  bool retry_later(FetchedImage& image, Host& host, std::optional<milliseconds> retry_after) {
    if (image.tries > options_.retries) return false;
    // Half fixed, half random, so that what failed together does not come back together.
    const double doubled = static_cast<double>(options_.backoff_ms) * std::exp2(std::min(image.tries - 1, 30));
    const double capped = std::min(doubled, static_cast<double>(options_.max_backoff_ms));
    Random random(options_.seed, image.index * 64 + static_cast<std::uint64_t>(image.tries));
    milliseconds delay(static_cast<std::int64_t>(capped * (0.5 + 0.5 * random.uniform())));
    const auto now = fetcher_.now();
    if (retry_after) {
      if (retry_after->count() > options_.max_backoff_ms) {
        image.detail += fmt::format(", asks to wait {} s", retry_after->count() / 1000);
        return false;
      }
      delay = std::max(delay, *retry_after);
      host.not_before = std::max(host.not_before, now + *retry_after);
    }
    later_.push({now + delay, image.index, &host});
    return true;
  }

  void deliver(FetchedImage&& image) {
    ++done_;
    if (!image.ok()) {
      ++failed_;
      image.bytes.clear();
    }
    sink_(std::move(image));
    context_.report({"fetch images", done_, urls_.size(), failed_ == 0 ? "" : fmt::format("{} failed", failed_)});
  }

  std::span<const std::string> urls_;
  const FetchOptions& options_;
  Fetcher& fetcher_;
  const FetchSink& sink_;
  const RunContext& context_;
  std::vector<std::uint8_t> tries_;
  std::unordered_map<std::string, Host> hosts_;  // node-based: pointers into it stay
  std::unordered_map<std::size_t, Host*> in_flight_hosts_;
  std::deque<Host*> turn_;  ///< hosts that have something ready, asked one after the other
  std::priority_queue<Later, std::vector<Later>, std::greater<>> later_;
  int in_flight_ = 0;
  std::size_t done_ = 0;
  std::size_t failed_ = 0;
};

}  // namespace

void FetchOptions::validate() const {
  check_range("concurrency", concurrency, 1, 1024);
  check_range("per-host", per_host, 1, 1024);
  check_range("retries", retries, 0, 20);
  check_range("max-redirects", max_redirects, 0, 50);
  check_range<std::int64_t>("connect timeout in ms", connect_timeout_ms, 1, 3600000);
  check_range<std::int64_t>("timeout in s", stall_timeout_s, 1, 3600);
  check_range<std::int64_t>("total timeout in s", total_timeout_s, 1, 86400);
  check_range<std::int64_t>("backoff in ms", backoff_ms, 1, 3600000);
  check_range<std::int64_t>("longest backoff in ms", max_backoff_ms, 1, 86400000);
  check_range<std::size_t>("max-bytes", max_image_bytes, 1, std::size_t{1} << 31);
  check_range<std::size_t>("buffered bytes", max_buffered_bytes, 1, std::size_t{1} << 40);
}

bool may_pass(std::string_view reason) noexcept {
  constexpr std::string_view kStatus = "http_";
  if (reason.starts_with(kStatus)) {
    int status = 0;
    const char* const end = reason.data() + reason.size();
    const auto read = std::from_chars(reason.data() + kStatus.size(), end, status);
    return read.ec == std::errc() && read.ptr == end && is_passing_status(status);
  }
  constexpr std::array<std::string_view, 6> kPassing = {"timeout",   "dns",        "connect",
                                                        "truncated", "connection", "bad_response"};
  return std::ranges::find(kPassing, reason) != kPassing.end();
}

void inspect_image(FetchedImage& image) {
  const auto bytes = std::as_bytes(std::span(image.bytes));
  if (bytes.empty()) {
    image.reason = "empty";
    image.detail = "expected an image, found 0 bytes";
    return;
  }
  image.format = sniff_format(bytes);
  if (image.format == ImageFormat::kUnknown) {
    image.reason = "not_an_image";
    image.detail = fmt::format("expected JPEG, PNG, WebP or GIF, found {} bytes of something else", bytes.size());
    return;
  }
  if (!reaches_its_end(bytes, image.format)) {
    image.reason = "truncated";
    image.detail = fmt::format("expected a whole {} file, found its first {} bytes",
                               file_extension(image.format).substr(1), bytes.size());
    return;
  }
  if (const auto size = read_dimensions(bytes, image.format)) {
    image.width = size->width;
    image.height = size->height;
  }
  image.sha256 = sha256_hex(bytes);
}

void fetch_images(std::span<const std::string> urls, const FetchOptions& options, Fetcher& fetcher,
                  const FetchSink& sink, const RunContext& context) {
  options.validate();
  Schedule(urls, options, fetcher, sink, context).run();
}

}  // namespace imagerank::images
