#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "imagerank/error.h"

namespace imagerank::votes {

/// How the next set is found.
enum class Strategy {
  kRandom,     ///< a prompt by chance, then images of it by chance
  kBalanced,   ///< the images that were shown least
  kUncertain,  ///< where the reward that is served is least sure
};
[[nodiscard]] std::string_view name_of(Strategy strategy) noexcept;
/// @throws Error kInvalidArgument listing the names.
[[nodiscard]] Strategy parse_strategy(std::string_view name);

/// Somebody who came to choose.
struct Session {
  std::string id;         ///< 32 hex digits, of its token's hash
  std::string user_hash;  ///< 32 hex digits: the same for one name, in one database
  int choices = 2;        ///< images a set: 2 or 4
  Strategy strategy = Strategy::kRandom;
  std::string guideline_hash;  ///< SHA-256 of the text that was agreed to; "" if there was none
  std::int64_t started_at_ms = 0;
};

/// Images that were shown to a session, to choose from.
struct ShownSet {
  std::string id;  ///< 32 hex digits, random
  std::string session;
  std::string prompt;
  std::vector<std::string> images;  ///< uids, from left to right (four: the upper two first)
  Strategy strategy = Strategy::kRandom;
  std::int64_t shown_at_ms = 0;  ///< since 1970
};

/// What was said of a set.
struct Vote {
  std::string set;
  std::optional<std::string> choice;  ///< the uid of the best; none: no preference
  bool skipped = false;               ///< no answer; `choice` is none then
  std::int64_t taken_ms = 0;          ///< by the voter's clock, from seeing the set to the answer; 0..86,400,000

  /// @throws Error kInvalidArgument.
  void check() const;
};

/// A vote with its set and its voter, as it is stored.
struct StoredVote {
  ShownSet set;
  std::string user_hash;
  std::optional<std::string> choice;
  bool skipped = false;
  std::int64_t taken_ms = 0;
  std::int64_t voted_at_ms = 0;
};

/// What a session has done so far.
struct Progress {
  std::int64_t votes = 0;  ///< choices and ties
  std::int64_t ties = 0;
  std::int64_t skipped = 0;
};

/// Why a vote is not taken. Nothing was changed then.
enum class Refusal {
  kUnknownSession,  ///< no such token
  kNotShown,        ///< the set was never shown to this session
  kNotInSet,        ///< the choice is none of the set's images
  kTwice,           ///< the set has its vote
  kNothingToUndo,
};
class RefusedVote : public Error {
 public:
  RefusedVote(Refusal reason, const std::string& message) : Error(ErrorCode::kRefused, message), reason_(reason) {}
  [[nodiscard]] Refusal reason() const noexcept { return reason_; }

 private:
  Refusal reason_;
};

}  // namespace imagerank::votes
