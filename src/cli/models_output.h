#pragma once

#include <iosfwd>
#include <nlohmann/json.hpp>
#include <string>

#include "cli/command_models.h"
#include "clip/models.h"
#include "hub/settings.h"
#include "reward/published_scorers.h"

namespace imagerank::cli {

/// What `models` says of one model.
[[nodiscard]] nlohmann::ordered_json model_json(const clip::ModelInfo& info);
void print_model(std::ostream& out, const clip::ModelInfo& info);

/// What `models list` and `models info` say of a published scorer.
[[nodiscard]] nlohmann::ordered_json scorer_json(const reward::PublishedScorer& scorer);
void print_scorers(std::ostream& out, const nlohmann::ordered_json& scorers);
/// `models info` of a scorer's name or a head's file. @return false if `place` is neither.
bool show_scorer(const std::string& place, Terminal& terminal);

/// `models list`: what is built in, what the cache of Hugging Face's tools holds, what can be pulled.
int list_models(Terminal& terminal);
/// `models pull`: a model's files into that cache. `options` decides on concurrency and retries. @throws Error.
int pull_model(const ModelsOptions& options, hub::HubSettings settings, Terminal& terminal);

}  // namespace imagerank::cli
