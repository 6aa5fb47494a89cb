#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "votes/database_url.h"
#include "votes/records.h"

namespace imagerank::votes {

/// What a new session is made of.
struct SessionStart {
  std::string token;  ///< the secret that it is known by
  std::string user;   ///< a name, which is stored as a salted hash only; "": a person of their own
  int choices = 2;
  Strategy strategy = Strategy::kRandom;
  std::string guideline_hash;
};

/// Sessions, sets and votes in SQLite or PostgreSQL. What changes them runs inside transact(), and holds, whatever
/// happens to this process, once that returned; until then nothing was stored. Not thread-safe.
/// @throws Error from every function: kUnavailable where the database is locked, full or gone; RefusedVote where a vote
/// is not taken, which leaves a transaction as it was.
class VoteStore {
 public:
  enum class Mode { kReadOnly, kWrite };
  /// kWrite makes what is missing and brings an older schema up to date.
  /// @throws Error kNotFound, kCorruptData, kUnavailable; kRefused for a newer schema.
  VoteStore(const DatabaseUrl& url, Mode mode);
  VoteStore(VoteStore&&) noexcept;
  VoteStore& operator=(VoteStore&&) noexcept;
  ~VoteStore();

  void transact(const std::function<void()>& work);

  /// Inside transact():
  Session add_session(const SessionStart& start);
  /// @throws RefusedVote kUnknownSession.
  [[nodiscard]] Session load_session(const std::string& token);
  /// The set that was shown to a session last and has no vote.
  [[nodiscard]] std::optional<ShownSet> find_open_set(const Session& session);
  void add_set(const ShownSet& set);
  /// @throws RefusedVote kNotShown, kNotInSet, kTwice; Error kInvalidArgument for a skipped choice or a time out of
  /// range.
  void add_vote(const Session& session, const Vote& vote);
  /// Takes the last vote back, which makes its set the open one. @throws RefusedVote kNothingToUndo.
  ShownSet undo(const Session& session);
  [[nodiscard]] Progress progress(const Session& session);

  /// In transactions of their own:
  /// By time. @param newest  at most so many, the newest; 0: all.
  [[nodiscard]] std::vector<StoredVote> votes(std::size_t newest = 0);
  /// All that were shown, oldest first, with or without votes: session, prompt and images.
  [[nodiscard]] std::vector<ShownSet> shown_sets();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace imagerank::votes
