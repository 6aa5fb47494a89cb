#pragma once

#include "serving/http_message.h"
#include "votes/voting.h"

namespace imagerank::serving {

/// {"set": {"id", "prompt", "strategy", "images": [{"uid", "url"}]} or null, "progress": {"votes", "ties", "skipped"}}.
[[nodiscard]] HttpResponse next_set_answer(const votes::NextSet& next);
/// {"progress"}, 201.
[[nodiscard]] HttpResponse vote_answer(const votes::Progress& progress);
/// {"token", "choices", "strategy"}, 201.
[[nodiscard]] HttpResponse session_answer(const votes::StartedSession& started);
/// What /v1/watch gives (docs/cli/serve.md). @param half_width  what "more" counts the votes to.
[[nodiscard]] HttpResponse watch_answer(const votes::Watch& watch, double half_width);
/// The status that a refused vote is told by: 401, 404, 409, 422.
[[nodiscard]] int vote_status(votes::Refusal refusal) noexcept;

}  // namespace imagerank::serving
