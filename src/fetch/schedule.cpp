#include "fetch/schedule.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <deque>
#include <queue>
#include <unordered_map>
#include <vector>

#include "core/fail.h"
#include "core/random.h"
#include "fetch/hosts.h"

namespace imagerank::fetch {
namespace {

using Clock = Transport::Clock;

constexpr std::size_t kWindow = std::size_t{1} << 14;
constexpr std::size_t kMostWindow = std::size_t{1} << 17;

template <typename Value>
void check_range(const char* name, Value value, Value low, Value high) {
  if (value < low || value > high) {
    fail(ErrorCode::kInvalidArgument, "{}: expected {} to {}, found {}", name, low, high, value);
  }
}

void check_ms(const char* name, milliseconds value, std::int64_t high) {
  if (value.count() < 1 || value.count() > high) {
    fail(ErrorCode::kInvalidArgument, "{}: expected {} to {} s, found {}", name, 0.001,
         static_cast<double>(high) / 1000.0, static_cast<double>(value.count()) / 1000.0);
  }
}

bool is_passing_status(int http_status) noexcept {
  if (http_status >= 500) return http_status != 501 && http_status != 505;
  return http_status == 408 || http_status == 425 || http_status == 429;
}

/// One wanted image in the window.
struct Job {
  Wanted wanted;
  Host* host = nullptr;
  int tries = 0;
  bool quiet = false;     ///< under way, and waiting for its server
  bool unsure = false;    ///< may have to wait
  bool answered = false;  ///< the host knows when this try was
  bool noted = false;     ///< the host knows whether this try had to wait
  bool silent = false;    ///< its last try waited in vain: the next counts as quiet from the start
  std::string reason;     ///< of that last try
  bool probes = false;    ///< it has all its tries, whatever others came to
  Clock::time_point started;
};

class Schedule {
 public:
  Schedule(const WantedSource& source, const NetworkSettings& settings, Transport& transport, const FetchedSink& sink,
           const RunContext& context, const SinkBacklog& backlog)
      : source_(source),
        settings_(settings),
        transport_(transport),
        sink_(sink),
        context_(context),
        backlog_(backlog) {}

  void run() {
    for (;;) {
      context_.check_stop();
      unstored_ = backlog_ ? static_cast<int>(backlog_()) : 0;
      fill_window();
      wake_due();
      start_some();
      if (jobs_in_use_ == 0 && exhausted_) return;
      for (Transfer& transfer : transport_.wait(time_to_wait())) end_try(std::move(transfer));
      look_for_quiet();
    }
  }

 private:
  static constexpr std::size_t kWholeHost = static_cast<std::size_t>(-1);

  /// Something to do later: one URL's next try, or (kWholeHost) a host that may be asked again.
  struct Later {
    Clock::time_point when;
    std::size_t ticket;
    Host* host;
    bool operator>(const Later& other) const noexcept { return when > other.when; }
  };

  /// More of the list: as far as the window goes, and beyond it where all that it holds must wait.
  void fill_window() {
    constexpr std::size_t kMore = 1024;
    std::size_t target = kWindow;
    if (turn_.empty() && has_global_room()) target = std::clamp(jobs_in_use_ + kMore, kWindow, kMostWindow);
    Wanted wanted;
    while (!exhausted_ && jobs_in_use_ < target) {
      if (source_(wanted)) {
        add(std::move(wanted));
      } else {
        exhausted_ = true;
      }
    }
  }

  void add(Wanted&& wanted) {
    const auto url = parse_url(wanted.url);
    if (!url) {
      Fetched fetched;
      fetched.wanted = std::move(wanted);
      fetched.reason = "bad_url";
      fetched.detail = "expected an absolute http:, https: or file: URL";
      sink_(std::move(fetched));
      return;
    }
    std::size_t ticket = jobs_.size();
    if (free_.empty()) {
      jobs_.emplace_back();
    } else {
      ticket = free_.back();
      free_.pop_back();
    }
    Job& job = jobs_[ticket];
    job = Job{};
    job.wanted = std::move(wanted);
    ++jobs_in_use_;
    job.host = &host_of(url->host_key());
    ++job.host->jobs;
    job.host->ready.push_back(ticket);
    take_turn(*job.host);
  }

  Host& host_of(const std::string& key) {
    constexpr std::size_t kKept = 8192;
    if (hosts_.size() > kKept) {  // a list may name a million hosts
      std::erase_if(hosts_, [](const auto& entry) { return entry.second.jobs == 0; });
    }
    Host& host = hosts_[key];
    host.key = key;
    return host;
  }

  void take_turn(Host& host) {
    if (host.in_turn || next_queue(host, settings_, transport_.now(), {0, most_waiting()}) == nullptr) return;
    host.in_turn = true;
    turn_.push_back(&host);
  }

  void wake_due() {
    const auto now = transport_.now();
    while (!later_.empty() && later_.top().when <= now) {
      const Later due = later_.top();
      later_.pop();
      if (due.ticket != kWholeHost) {
        (jobs_[due.ticket].silent ? due.host->silent : due.host->failed).push_back(due.ticket);
      } else {
        --due.host->jobs;
      }
      take_turn(*due.host);
    }
  }

  [[nodiscard]] bool has_global_room() const noexcept {
    return in_flight_ - quiet_ + unstored_ < settings_.concurrency && in_flight_ < transport_.most_open();
  }

  /// The other places are for hosts that answer.
  [[nodiscard]] int most_waiting() const noexcept {
    const int most = transport_.most_open();
    return most - std::min(settings_.concurrency, most / 4);
  }

  /// Places that each host may have while others want some too: one that is slow to answer holds each for longer, and
  /// by turns alone would have nearly all of them.
  [[nodiscard]] int fair_share() const noexcept {
    const int hosts = static_cast<int>(turn_.size());
    return (settings_.concurrency + hosts - 1) / hosts;
  }

  void start_some() {
    const auto now = transport_.now();
    while (has_global_room() && !turn_.empty()) {
      Host& host = *turn_.front();
      const bool has_its_share = host.live() >= fair_share();  // not all have: together they have less than all
      turn_.pop_front();
      if (has_its_share) {
        turn_.push_back(&host);
        continue;
      }
      host.in_turn = false;
      if (host.down && now < host.next_probe) {
        fail_waiting(host);
        continue;
      }
      if (host.not_before > now) {
        ++host.jobs;  // keeps the host
        later_.push({host.not_before, kWholeHost, &host});
        continue;
      }
      auto* const queue = next_queue(host, settings_, now, {quiet_ + unsure_, most_waiting()});
      if (queue == nullptr) {
        if (next_queue(host, settings_, now, {0, most_waiting()}) != nullptr) hold(host);
        continue;
      }
      if (host.down) host.next_probe = now + kProbeInterval;
      const std::size_t ticket = queue->front();
      queue->pop_front();
      if (queue == &host.silent && !is_worth_another_try(jobs_[ticket])) {
        give_up(ticket);
      } else {
        start(host, ticket);
      }
      take_turn(host);
    }
  }

  /// For a while: what it has may have to wait, and there is no room for that.
  void hold(Host& host) {
    host.in_turn = true;
    held_.push_back(&host);
  }

  /// As many as there may be room for.
  void release() {
    constexpr int kLeast = 64;  // some may have begun to answer
    for (int count = std::max(kLeast, most_waiting() - quiet_ - unsure_); count > 0 && !held_.empty(); --count) {
      turn_.push_back(held_.front());
      held_.pop_front();
    }
  }

  void start(Host& host, std::size_t ticket) {
    Job& job = jobs_[ticket];
    ++host.in_flight;
    ++in_flight_;
    job.started = transport_.now();
    transport_.start({ticket, job.wanted.url, job.wanted.etag, job.wanted.last_modified,
                      patience(host, job.tries, settings_.retries, settings_.first_byte_timeout),
                      patience(host, job.tries, settings_.retries, settings_.stall_timeout), job.silent});
    ++job.tries;
    job.noted = job.silent;
    host.asked_again += job.silent ? 1 : 0;
    job.answered = false;
    job.unsure = !host.answers_most(job.started);
    unsure_ += job.unsure ? 1 : 0;
    set_quiet(job, job.silent);
  }

  [[nodiscard]] bool is_worth_another_try(Job& job) const {
    if (job.probes || !job.host->is_silence_final(transport_.now())) return true;
    job.probes = job.host->probes_silence();
    return job.probes;
  }

  void give_up(std::size_t ticket) {
    const Job& job = jobs_[ticket];
    Fetched fetched;
    fetched.tries = job.tries;
    fetched.reason = job.reason;
    fetched.detail = kSilenceIsFinal;
    finish(ticket, std::move(fetched));
  }

  /// All that waits for a host that is down.
  void fail_waiting(Host& host) {
    while (host.waiting()) {
      auto& queue = !host.ready.empty() ? host.ready : !host.failed.empty() ? host.failed : host.silent;
      const std::size_t ticket = queue.front();
      queue.pop_front();
      Fetched fetched;
      fetched.tries = jobs_[ticket].tries;
      fetched.reason = host.down_reason;
      fetched.detail = fmt::format("{} gives no answer: {} tries in a row failed", host.key, host.silent_in_a_row);
      finish(ticket, std::move(fetched));
    }
  }

  [[nodiscard]] milliseconds time_to_wait() const {
    constexpr milliseconds kStopPoll(100);
    constexpr milliseconds kBacklogPoll(1);
    if (unstored_ > 0 && !has_global_room()) return kBacklogPoll;
    if (later_.empty()) return kStopPoll;
    const auto left = std::chrono::ceil<milliseconds>(later_.top().when - transport_.now());
    return std::clamp(left, milliseconds(0), kStopPoll);
  }

  /// Marks the transfers that wait for a byte, which makes room for others.
  void look_for_quiet() {
    constexpr milliseconds kInterval(10);
    const auto now = transport_.now();
    if (now - last_look_ < kInterval) return;
    last_look_ = now;
    for (const Silence& silence : transport_.silences()) {
      Job& job = jobs_[silence.ticket];
      if (silence.answered_after) note_answer(job, *silence.answered_after);
      const bool quiet = job.silent || silence.time > quiet_after(*job.host);
      if (quiet == job.quiet) continue;
      set_quiet(job, quiet);
      if (!job.noted && !job.answered) {
        job.noted = true;
        job.host->note_try(true);
      }
      take_turn(*job.host);
    }
    release();
  }

  void set_quiet(Job& job, bool quiet) {
    if (job.quiet == quiet) return;
    job.quiet = quiet;
    if (job.unsure) unsure_ += quiet ? -1 : 1;
    quiet_ += quiet ? 1 : -1;
    job.host->quiet += quiet ? 1 : -1;
  }

  void end_try(Transfer&& transfer) {
    const std::size_t ticket = transfer.ticket;
    Job& job = jobs_[ticket];
    Host& host = *job.host;
    set_quiet(job, false);
    unsure_ -= job.unsure ? 1 : 0;
    if (!job.noted) host.note_try(transfer.reason == "timeout");
    const bool was_silent = job.silent;
    host.asked_again -= was_silent ? 1 : 0;
    job.silent = !transfer.answered_after || transfer.reason == "timeout";
    if (job.silent) job.reason = transfer.reason;
    if (was_silent && (!job.silent || job.tries > settings_.retries)) host.note_silent(!job.silent, transport_.now());
    --host.in_flight;
    --in_flight_;
    note_behaviour(host, job, transfer);

    Fetched fetched;
    fetched.tries = job.tries;
    fetched.reason = std::move(transfer.reason);
    fetched.detail = std::move(transfer.detail);
    fetched.body = std::move(transfer.body);
    fetched.etag = std::move(transfer.etag);
    fetched.last_modified = std::move(transfer.last_modified);
    const int status = transfer.http_status;
    bool may_help = may_pass(fetched.reason) || is_passing_status(status);
    if (fetched.ok()) {
      judge(fetched, status, !job.wanted.etag.empty() || !job.wanted.last_modified.empty());
      // A file that ends too early may have been cut on the way, unless as much came as the server said: it has no
      // more.
      may_help = may_help || (may_pass(fetched.reason) && !transfer.length_known);
    }
    const bool again = !fetched.ok() && may_help && retry_later(ticket, fetched, transfer.retry_after);
    if (!again) finish(ticket, std::move(fetched));
    take_turn(host);
  }

  static void judge(Fetched& fetched, int status, bool conditional) {
    if (status == 304 && conditional) {
      fetched.not_modified = true;
    } else if (status != 0 && (status < 200 || status >= 300)) {
      fetched.reason = fmt::format("http_{}", status);
    } else {
      fetched.file = images::inspect_image(fetched.body.bytes());
      fetched.reason = fetched.file.reason;
      if (!fetched.ok()) fetched.detail = fetched.file.detail;
    }
  }

  /// Once for each try: as soon as it is known, since the rest of an answer may be long in coming.
  void note_answer(Job& job, milliseconds after) {
    if (job.answered) return;
    job.answered = true;
    job.host->last_answer = transport_.now();
    job.host->answers.add(after);
  }

  void note_behaviour(Host& host, Job& job, const Transfer& transfer) {
    const auto now = transport_.now();
    if (!transfer.answered_after) {
      if (job.started <= host.last_answer) return;
      if (host.silent_in_a_row++ == 0) host.silent_since = job.started;
      if (host.down || !may_pass(transfer.reason) || !is_silent(host, now)) return;
      host.down = true;
      host.down_reason = transfer.reason;
      host.next_probe = now + kProbeInterval;
      return;
    }
    note_answer(job, *transfer.answered_after);
    host.last_answer = now;
    host.silent_in_a_row = 0;
    host.down = false;
    if (transfer.reason != "timeout") host.last_prompt = now;
  }

  /// @return false if there is no try left or the server asks for more patience than the settings allow.
  bool retry_later(std::size_t ticket, Fetched& fetched, std::optional<milliseconds> retry_after) {
    Job& job = jobs_[ticket];
    Host& host = *job.host;
    if (job.tries > settings_.retries || host.down) return false;
    if (job.silent && !is_worth_another_try(job)) {
      fetched.detail = kSilenceIsFinal;
      return false;
    }
    // Half fixed, half random, so that what failed together does not come back together.
    const double doubled = static_cast<double>(settings_.backoff.count()) * std::exp2(std::min(job.tries - 1, 30));
    const double capped = std::min(doubled, static_cast<double>(settings_.max_backoff.count()));
    Random random(settings_.seed, ++retries_);
    milliseconds delay(static_cast<std::int64_t>(capped * (0.5 + 0.5 * random.uniform())));
    const auto now = transport_.now();
    if (retry_after) {
      if (*retry_after > settings_.max_backoff) {
        fetched.detail += fmt::format(", asks to wait {} s", retry_after->count() / 1000);
        return false;
      }
      delay = std::max(delay, *retry_after);
      host.not_before = std::max(host.not_before, now + *retry_after);
    }
    later_.push({now + delay, ticket, &host});
    return true;
  }

  void finish(std::size_t ticket, Fetched&& fetched) {
    Job& job = jobs_[ticket];
    fetched.wanted = std::move(job.wanted);
    --job.host->jobs;
    job = Job{};
    free_.push_back(ticket);
    --jobs_in_use_;
    if (!fetched.ok()) fetched.body.clear();
    sink_(std::move(fetched));
  }

  const WantedSource& source_;
  const NetworkSettings& settings_;
  Transport& transport_;
  const FetchedSink& sink_;
  const RunContext& context_;
  const SinkBacklog& backlog_;
  int unstored_ = 0;      ///< the sink's backlog as of this round
  std::deque<Job> jobs_;  ///< by ticket
  std::vector<std::size_t> free_;
  std::size_t jobs_in_use_ = 0;
  bool exhausted_ = false;
  std::unordered_map<std::string, Host> hosts_;  // node-based: pointers into it stay
  std::deque<Host*> turn_;                       ///< hosts that have something ready, asked one after the other
  std::deque<Host*> held_;                       ///< those for which there is no room now; in_turn too
  std::priority_queue<Later, std::vector<Later>, std::greater<>> later_;
  int in_flight_ = 0;
  int quiet_ = 0;
  int unsure_ = 0;  ///< not quiet, but may be soon: of hosts that do not answer most
  std::uint64_t retries_ = 0;
  Clock::time_point last_look_;

  static constexpr std::chrono::seconds kProbeInterval{60};
  static constexpr const char* kSilenceIsFinal = "no answer, as from others of its host in all their tries";
};

}  // namespace

void NetworkSettings::validate() const {
  constexpr std::int64_t kHour = 3600000;
  check_range("concurrency", concurrency, 1, kMostOpen);
  check_range("per-host", per_host, 1, kMostOpen);
  check_range("retries", retries, 0, 20);
  check_range("max-redirects", max_redirects, 0, 50);
  check_ms("connect timeout", connect_timeout, kHour);
  check_ms("first byte timeout", first_byte_timeout, kHour);
  check_ms("timeout", stall_timeout, kHour);
  check_ms("total timeout", total_timeout, 24 * kHour);
  check_ms("backoff", backoff, kHour);
  check_ms("longest backoff", max_backoff, 24 * kHour);
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

void fetch_all(const WantedSource& source, const NetworkSettings& settings, Transport& transport,
               const FetchedSink& sink, const RunContext& context, const SinkBacklog& backlog) {
  settings.validate();
  Schedule(source, settings, transport, sink, context, backlog).run();
}

}  // namespace imagerank::fetch
