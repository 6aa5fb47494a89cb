#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "core/progress.h"
#include "fetch/transport.h"
#include "images/inspect.h"

namespace imagerank::fetch {

/// An image that is wanted.
struct Wanted {
  std::string image_uid;
  std::string url;
  std::int64_t copies = 1;    ///< rows that want this URL
  std::string etag;           ///< of the file that is there: a conditional request; "" where there is none
  std::string last_modified;  ///< the same
  bool has_file = false;      ///< it is there; a failure leaves it
};

/// What became of it.
struct Fetched {
  Wanted wanted;
  std::string reason;  ///< "" the body is here, or nothing changed; else countable: Transfer's reasons, "http_404",
                       ///< "bad_url", and those of images::inspect_image
  std::string detail;  ///< one line for a person
  int tries = 0;       ///< 0 where the URL was never tried
  bool not_modified = false;  ///< the file that is there is still the server's
  Body body;                  ///< the whole file
  images::Inspection file;    ///< of the body
  std::string etag;
  std::string last_modified;

  [[nodiscard]] bool ok() const noexcept { return reason.empty(); }
};

/// Whether another try may help: a reason of the network, or "http_" and a status that servers give for a while.
[[nodiscard]] bool may_pass(std::string_view reason) noexcept;

/// Fills in the next image that is wanted. @return false if there is none.
using WantedSource = std::function<bool(Wanted&)>;
/// Called once for each image. What it throws ends the fetch.
using FetchedSink = std::function<void(Fetched&&)>;
/// Images that the sink was given and has not begun to store.
using SinkBacklog = std::function<std::size_t()>;

/// Fetches what `source` names through `transport`: hosts take turns, what may help is tried again.
///
/// - Retries wait: exponential backoff with jitter, or what Retry-After asks, which holds back the whole host.
/// - A transfer that waits for its server does not hold up others: after four times what that host usually takes to
///   answer (a second, while that is not known) it no longer counts against `concurrency`, nor against `per_host` while
///   that host answers others (up to eight times per_host). Those that wait leave `concurrency` places of most_open()
///   to hosts that answer.
/// - Hosts share the places of `concurrency` evenly, however long each transfer holds its own.
/// - Once a host has answered often, the first try of a URL waits for a byte not much longer than that host usually
///   takes to answer; the last try has the whole time-outs.
/// - Where sixteen URLs in a row of a host that answers others kept us waiting in all their tries, others
///   that wait have one try only; every sixteenth of them has all, which may find that this has changed.
/// - A host that gives no answer to anything for 20 s (60 s where it did before) is down: its other URLs fail at
///   once with the same reason, but for one a minute that looks whether it is back.
///
/// A URL that fails is an outcome, never an exception. Memory: a window of the list (16,384 URLs, up to 131,072 where
/// hosts hold back), never all of it.
/// @param backlog  each image of it holds the place of a transfer, so that a process that is killed loses no more
/// images
///                 than it has places. Without it the sink stores what it is given.
/// @throws Error kInvalidArgument (settings), kCancelled once a stop was requested.
void fetch_all(const WantedSource& source, const NetworkSettings& settings, Transport& transport,
               const FetchedSink& sink, const RunContext& context, const SinkBacklog& backlog = {});

}  // namespace imagerank::fetch
