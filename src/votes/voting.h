#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/random.h"
#include "votes/gallery.h"
#include "votes/next_set.h"
#include "votes/vote_store.h"
#include "votes/watch.h"

namespace imagerank::votes {

struct VotingOptions {
  DatabaseUrl database;
  std::size_t max_waiting = 4096;  ///< requests that may wait for the database
  std::size_t max_batch = 256;     ///< of one transaction
};

/// What a voter is given next.
struct NextSet {
  std::optional<ShownSet> set;  ///< none: the session has seen all there are
  Progress progress;
};
struct StartedSession {
  std::string token;
  Session session;
};

/// Called once, from the voting's thread. `result` gives what was asked for, or throws why there is none: RefusedVote,
/// or Error.
template <typename T>
using Done = std::function<void(const std::function<T()>& result)>;

/// Many people choosing at once. One thread writes: it takes all requests that wait into one transaction, so that a
/// vote costs a share of a flush to disk, and answers them once that is done. Thread-safe.
class Voting {
 public:
  /// @throws Error as VoteStore; kInvalidArgument for a gallery without a set.
  Voting(Gallery gallery, const VotingOptions& options);
  Voting(const Voting&) = delete;
  Voting& operator=(const Voting&) = delete;
  /// Answers all that waits.
  ~Voting();

  /// Each returns at once. @return false if too many requests wait: then `done` is never called.
  [[nodiscard]] bool start_session(SessionStart start, Done<StartedSession> done);
  /// The session's open set, or a new one.
  [[nodiscard]] bool next_set(const std::string& token, Done<NextSet> done);
  [[nodiscard]] bool vote(const std::string& token, Vote vote, Done<Progress> done);
  /// Takes the session's last vote back, and gives its set again.
  [[nodiscard]] bool undo(const std::string& token, Done<NextSet> done);

  [[nodiscard]] const Gallery& gallery() const noexcept { return gallery_; }
  /// What a reward says of a prompt's images; rewards are told apart by name. The first one that is told of guides
  /// Strategy::kUncertain.
  void set_scores(const std::string& reward, std::uint32_t prompt, std::vector<ImageScore> scores);
  /// Reads all votes, on the caller's thread.
  [[nodiscard]] Watch watch_votes();

 private:
  struct Request {
    std::function<void()> work;                      ///< in a transaction; throws what goes wrong
    std::function<void(std::exception_ptr)> answer;  ///< null: it is stored
  };
  template <typename T>
  bool submit(std::function<T()> work, Done<T> done);
  [[nodiscard]] bool enqueue(Request request);
  void serve(const std::stop_token& stop);
  void answer_batch(std::vector<Request> batch);
  void remember(const ShownSet& set);
  NextSet find_next(const Session& session);

  Gallery gallery_;
  const VotingOptions options_;

  // The writing thread's own.
  VoteStore store_;
  ShownCounts shown_;
  std::unordered_map<std::string, SeenSets> seen_;  ///< by session
  std::vector<ShownSet> fresh_;                     ///< shown in the transaction under way
  Random random_;

  std::mutex read_mutex_;
  std::optional<VoteStore> reader_;  ///< opened when it is first asked for

  std::mutex scores_mutex_;
  std::vector<std::pair<std::string, ScoreTable>> scores_;

  std::mutex mutex_;  ///< of the queue
  std::condition_variable_any ready_;
  std::deque<Request> queue_;
  std::jthread thread_;  ///< the last: it uses the others
};

}  // namespace imagerank::votes
