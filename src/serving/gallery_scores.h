#pragma once

#include <thread>

#include "serving/scoring_service.h"
#include "votes/voting.h"

namespace imagerank::serving {

/// Scores a gallery's images by all rewards that are served, prompt after prompt, on a thread of its own and only while
/// the service has room: for Strategy::kUncertain and for agreement with the reward.
class GalleryScores {
 public:
  /// Both outlive it.
  GalleryScores(ScoringService& service, votes::Voting& voting);

 private:
  void run(const std::stop_token& stop) const;

  ScoringService& service_;
  votes::Voting& voting_;
  std::jthread thread_;
};

}  // namespace imagerank::serving
