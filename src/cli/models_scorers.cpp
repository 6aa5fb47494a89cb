#include <fmt/format.h>

#include <cmath>
#include <ostream>
#include <string>

#include "cli/models_output.h"
#include "core/fail.h"
#include "reward/published_head.h"
#include "reward/published_scorers.h"
#include "reward/reward.h"

namespace imagerank::cli {
namespace {

using nlohmann::ordered_json;

const char* rule_text(reward::ScoreRule rule) {
  switch (rule) {
    case reward::ScoreRule::kScaledCosine:
      return "exp(logit_scale) * cosine";
    case reward::ScoreRule::kClipScore:
      return "2.5 * max(cosine, 0)";
    case reward::ScoreRule::kLinearHead:
      return "weight . image / |image| + bias";
    case reward::ScoreRule::kCross:
      return "image and prompt together";
    default:
      return "cosine";
  }
}

/// A head, folded into one vector.
ordered_json folded_json(const reward::PublishedHead& head) {
  double square = 0.0;
  for (const double value : head.weight) square += value * value;
  return {{"dim", head.weight.size()}, {"bias", head.bias}, {"norm", std::sqrt(square)}, {"weight", head.weight}};
}

void print_folded(std::ostream& out, const ordered_json& folded) {
  out << fmt::format("folded         one vector of {} numbers, of length {:.4f}, and bias {:.6f}\n",
                     folded["dim"].get<std::size_t>(), folded["norm"].get<double>(), folded["bias"].get<double>());
}

}  // namespace

ordered_json scorer_json(const reward::PublishedScorer& scorer) {
  const std::string problem = reward::scorer_problem(scorer);
  return {{"name", scorer.name},
          {"title", scorer.title},
          {"rule", rule_text(scorer.rule)},
          {"encoder", scorer.encoder.repository},
          {"weights", scorer.encoder.file.empty() ? ordered_json() : ordered_json(scorer.encoder.file)},
          {"head", scorer.head.file.empty() ? ordered_json() : ordered_json(scorer.head.file)},
          {"vocabulary", scorer.vocabulary.file.empty() ? ordered_json() : ordered_json(scorer.vocabulary.file)},
          {"dim", scorer.dim == 0 ? ordered_json() : ordered_json(scorer.dim)},
          {"text_prefix", scorer.text_prefix},
          {"range", scorer.range},
          {"source", scorer.source},
          {"problem", problem.empty() ? ordered_json() : ordered_json(problem)}};
}

void print_scorers(std::ostream& out, const ordered_json& scorers) {
  out << "scorers, which --reward takes by name\n";
  for (const ordered_json& scorer : scorers) {
    out << fmt::format("  {:<14} {:<20} {:<32} {}\n", scorer["name"].get<std::string>(),
                       scorer["title"].get<std::string>(), scorer["rule"].get<std::string>(),
                       scorer["problem"].is_null() ? "ready"
                                                   : fmt::format("`imagerank models info {}` says what is missing",
                                                                 scorer["name"].get<std::string>()));
  }
}

bool show_scorer(const std::string& place, Terminal& terminal) {
  const reward::PublishedScorer* const scorer = reward::find_scorer(place);
  std::error_code ignored;
  const bool file = std::filesystem::is_regular_file(place, ignored);
  ordered_json object;
  if (file) {
    try {
      object = {{"file", place}, {"folded", folded_json(reward::load_published_head(place))}};
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kCorruptData) throw;
      return false;  // a model's weights may be in a file too
    }
  } else if (scorer != nullptr) {
    object = scorer_json(*scorer);
    if (scorer->rule == reward::ScoreRule::kLinearHead && reward::scorer_head_problem(*scorer).empty()) {
      object["folded"] = folded_json(reward::load_published_head(reward::find_scorer_head(*scorer)));
    }
  } else {
    return false;
  }
  terminal.result({{"scorer", object}}, [&](std::ostream& out) {
    for (const auto& [key, value] : object.items()) {
      if (value.is_null() || value.is_object() || value == "") continue;
      out << fmt::format("{:<14} {}\n", key, value.is_string() ? value.get<std::string>() : value.dump());
    }
    if (object.contains("folded")) print_folded(out, object["folded"]);
  });
  return true;
}

}  // namespace imagerank::cli
