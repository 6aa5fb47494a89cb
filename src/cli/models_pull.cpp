#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "cli/models_output.h"
#include "cli/transfer_output.h"
#include "clip/model_config.h"
#include "clip/published.h"
#include "core/fail.h"
#include "hub/pull.h"
#include "reward/published_scorers.h"

namespace imagerank::cli {
namespace {

using nlohmann::ordered_json;

/// What a model's files may be called; which of them are taken, clip::choose_model_files says.
const std::vector<std::string> kPatterns = {"*.json", "*.txt", "*.gz", "*.md", "*.safetensors", "*.bin", "*.pt"};
constexpr std::array kConfigs = {"config.json", "open_clip_config.json"};

/// Which of a repository's files.
using Choose = std::function<std::vector<std::string>(const hub::Repository&, const std::vector<std::string>& paths)>;

hub::PullRequest request_for(const clip::HubName& name) {
  hub::PullRequest request;
  request.repository = {hub::RepositoryKind::kModel, name.repository, name.revision};
  request.repository.validate();
  request.patterns = kPatterns;
  return request;
}

/// The files of a model, weights among them.
std::vector<std::string> choose_model(const hub::Repository& repository, const std::vector<std::string>& paths,
                                      std::string_view weights) {
  std::vector<std::string> chosen = clip::choose_model_files(paths, weights);
  if (std::ranges::none_of(chosen, [](const std::string& path) { return clip::is_weight_file(path); })) {
    constexpr std::size_t kMostShown = 8;
    const std::vector<std::string> shown(paths.begin(), paths.begin() + std::min(paths.size(), kMostShown));
    fail(
        ErrorCode::kNotFound,
        "{} at '{}': expected model.safetensors, open_clip_model.safetensors, pytorch_model.bin or their shards, found "
        "{}{}",
        repository.title(), repository.revision, fmt::join(shown, ", "), paths.size() > kMostShown ? ", ..." : "");
  }
  return chosen;
}

void check_config(const std::filesystem::path& folder) {
  try {
    static_cast<void>(clip::load_model_config(folder));
  } catch (const Error& error) {
    throw Error(ErrorCode::kCorruptData, error.what());  // kUnavailable is the network's here
  }
}

/// Config first: a repository that holds another kind of model is told apart before its gigabytes come.
hub::PullResult pull_files(const hub::HubSettings& settings, hub::PullRequest request, const Choose& choose,
                           bool dry_run, const RunContext& context) {
  const hub::Repository repository = request.repository;
  hub::PullResult configs;
  if (!dry_run) {
    request.choose = [&](const std::vector<std::string>& paths) {
      std::vector<std::string> names = choose(repository, paths);
      std::erase_if(names, [](const std::string& path) { return std::ranges::find(kConfigs, path) == kConfigs.end(); });
      return names;
    };
    configs = hub::pull(settings, request, {{}, context.stop, context.threads});
    if (!configs.files.empty() && configs.failed.empty()) check_config(configs.files.front().local.parent_path());
  }
  request.dry_run = dry_run;
  request.choose = [&](const std::vector<std::string>& paths) { return choose(repository, paths); };
  hub::PullResult result = hub::pull(settings, request, in_megabytes(context));
  result.transferred += configs.transferred;
  for (hub::PulledFile& file : result.files) {  // what came first was not there before this run
    const bool new_here = std::ranges::any_of(
        configs.files, [&](const hub::PulledFile& config) { return config.path == file.path && !config.cached; });
    if (file.cached && new_here) {
      file.cached = false;
      --result.cached;
    }
  }
  return result;
}

/// Without a network, what the cache holds.
hub::PullResult pull_or_find(hub::HubSettings settings, const hub::PullRequest& request, const Choose& choose,
                             bool dry_run, Terminal& terminal) {
  try {
    return pull_files(settings, request, choose, dry_run, terminal.context());
  } catch (const Error& error) {
    const bool not_there = error.code() == ErrorCode::kNotFound || error.code() == ErrorCode::kRefused;
    if (not_there && clip::find_published(request.repository.id) == nullptr)
      throw Error(error.code(), error.what() + clip::suggestion(request.repository.id));
    if (error.code() != ErrorCode::kUnavailable || settings.offline || dry_run) throw;
    settings.offline = true;
    hub::PullResult found;
    try {
      found = pull_files(settings, request, choose, dry_run, terminal.context());
    } catch (const Error&) {
      throw error;  // what the cache lacks is not the news
    }
    if (!found.failed.empty()) throw;
    terminal.warn(fmt::format("the cache's copy is used, which may not be the newest: {}", error.what()));
    return found;
  }
}

/// What was pulled, if this program can load it.
std::optional<clip::ModelInfo> load_pulled(const std::filesystem::path& folder, const std::string& name,
                                           Terminal& terminal) {
  try {
    clip::ModelInfo info = clip::load_model_info(folder.string());
    info.name = name;
    if (info.tokenizer.empty()) terminal.note("no tokenizer lies beside the weights: texts need --tokenizer DIR");
    return info;
  } catch (const Error& error) {
    terminal.warn(fmt::format("pulled, but it cannot be used: {}", error.what()));
    return std::nullopt;
  }
}

ordered_json files_json(const std::vector<hub::PulledFile>& files) {
  ordered_json list = ordered_json::array();
  for (const hub::PulledFile& file : files) {
    list.push_back(
        {{"path", file.path}, {"local", file.local.string()}, {"bytes", file.size}, {"cached", file.cached}});
  }
  return list;
}

/// A part of a scorer: which files of which repository.
struct ScorerPart {
  std::string_view repository;
  Choose choose;
};

/// What of a scorer is not put in place by hand.
std::vector<ScorerPart> parts_of(const reward::PublishedScorer& scorer) {
  std::vector<ScorerPart> parts;
  parts.push_back({scorer.encoder.repository, [&scorer](const auto& repository, const auto& paths) {
                     std::vector<std::string> chosen = choose_model(repository, paths, scorer.encoder.file);
                     const std::string_view config = scorer.encoder_config;
                     if (!config.empty() && std::ranges::find(paths, config) != paths.end())
                       chosen.emplace_back(config);
                     return chosen;
                   }});
  if (!scorer.head.repository.empty()) {
    parts.push_back({scorer.head.repository, [&scorer](const auto& repository, const auto& paths) {
                       if (std::ranges::find(paths, scorer.head.file) == paths.end()) {
                         fail(ErrorCode::kNotFound, "{}: expected {}, found none; put {} into {}", repository.title(),
                              scorer.head.file, scorer.head_page, reward::scorers_folder().string());
                       }
                       return std::vector<std::string>{std::string(scorer.head.file)};
                     }});
  }
  return parts;
}

/// The vocabulary of a scorer that has its own kind, or CLIP's tokenizer from a repository that stands in for one that
/// lacks it.
ScorerPart tokenizer_part(const reward::PublishedScorer& scorer) {
  if (!scorer.vocabulary.file.empty()) {
    return {scorer.vocabulary.repository, [&scorer](const auto&, const auto&) {
              return std::vector<std::string>{std::string(scorer.vocabulary.file)};
            }};
  }
  return {reward::kTokenizerRepository, [](const auto&, const std::vector<std::string>& paths) {
            std::vector<std::string> chosen;
            for (const char* name : {"tokenizer.json", "vocab.json", "merges.txt"}) {
              if (std::ranges::find(paths, name) != paths.end()) chosen.emplace_back(name);
            }
            return chosen;
          }};
}

/// Whether a tokenizer is to be pulled: what is there already is not.
bool needs_tokenizer(const reward::PublishedScorer& scorer, bool dry_run) {
  if (!scorer.reads_text() || (dry_run && scorer.vocabulary.file.empty())) return false;
  try {
    const std::string model = reward::find_scorer_model(scorer);
    if (scorer.vocabulary.file.empty()) {
      (void)reward::find_clip_tokenizer(std::string(scorer.name), model);
    } else {
      (void)reward::find_scorer_vocabulary(scorer, model);
    }
    return false;
  } catch (const Error&) {  // weights that did not come are said later
    return true;
  }
}

/// One part's transfer. @return its JSON.
ordered_json pull_part(const ScorerPart& part, const ModelsOptions& options, const hub::HubSettings& settings,
                       Terminal& terminal) {
  hub::PullRequest request = request_for({std::string(part.repository), "main"});
  request.patterns.emplace_back("*.pth");
  const hub::PullResult result = pull_or_find(settings, request, part.choose, options.dry_run, terminal);
  for (const ItemFailure& failure : result.failed)
    terminal.warn(fmt::format("{}: {}: {}", failure.item, failure.reason, failure.detail));
  ordered_json object = {{"repository", part.repository},
                         {"revision", result.commit},
                         {"bytes", result.bytes},
                         {"cached", result.cached},
                         {"transferred", result.transferred}};
  add_failures(object, result.failed);
  object["files"] = files_json(result.files);
  return object;
}

int pull_scorer(const reward::PublishedScorer& scorer, const ModelsOptions& options, const hub::HubSettings& settings,
                Terminal& terminal) {
  if (!options.revision.empty()) {
    fail(ErrorCode::kInvalidArgument, "--revision: expected a repository, found the scorer {}", scorer.name);
  }
  ordered_json pulls = ordered_json::array();
  for (const ScorerPart& part : parts_of(scorer)) pulls.push_back(pull_part(part, options, settings, terminal));
  if (needs_tokenizer(scorer, options.dry_run)) {
    pulls.push_back(pull_part(tokenizer_part(scorer), options, settings, terminal));
  }
  const std::string problem = options.dry_run ? "" : reward::scorer_problem(scorer);
  const ordered_json object = {{"scorer", scorer.name},
                               {"problem", problem.empty() ? ordered_json() : ordered_json(problem)},
                               {"dry_run", options.dry_run},
                               {"pulls", pulls}};
  terminal.result(object, [&](std::ostream& out) {
    for (const ordered_json& pull : pulls) {
      out << fmt::format("{:<42} {} files, {}\n", pull["repository"].get<std::string>(), pull["files"].size(),
                         amount(pull["bytes"].get<std::uint64_t>()));
    }
    if (problem.empty()) out << fmt::format("next           imagerank score --reward {} FILE.csv\n", scorer.name);
  });
  if (!problem.empty()) terminal.warn(problem);
  return problem.empty() ? 0 : 1;
}

void print(std::ostream& out, const hub::PullRequest& request, const hub::PullResult& result, bool dry_run,
           const std::optional<clip::ModelInfo>& info) {
  const std::string& id = request.repository.id;
  if (dry_run) out << file_lines(id, result.files);
  out << fmt::format("model          {} at {}\n", id, result.commit);
  out << fmt::format("files          {}, {}; {} of them there before\n", with_thousands(result.files.size()),
                     amount(result.bytes), with_thousands(result.cached));
  if (!info) return;
  print_model(out, *info);
  const bool main = request.repository.revision == "main";
  out << fmt::format("next           imagerank encode --data DIR --model {}{}\n", id,
                     main ? "" : fmt::format("@{}", request.repository.revision));
}

}  // namespace

int pull_model(const ModelsOptions& options, hub::HubSettings settings, Terminal& terminal) {
  settings.concurrency = options.concurrency;
  settings.retries = options.retries;
  if (const auto* const scorer = reward::find_scorer(options.model)) {
    return pull_scorer(*scorer, options, settings, terminal);
  }
  std::optional<clip::HubName> name = clip::parse_hub_name(options.model);
  if (!name || options.model.starts_with("builtin/")) {
    fail(ErrorCode::kInvalidArgument,
         "NAME: expected a hub id such as openai/clip-vit-base-patch32 or an open_clip pair such as "
         "ViT-H-14/laion2b_s32b_b79k, found '{}'{}",
         options.model, name ? ", which needs no pull" : clip::suggestion(options.model));
  }
  if (!options.revision.empty()) name->revision = options.revision;
  const hub::PullRequest request = request_for(*name);
  const clip::PublishedModel* const published = clip::find_published(name->repository);
  const auto choose = [&](const hub::Repository& repository, const std::vector<std::string>& paths) {
    return choose_model(repository, paths, published == nullptr ? "" : published->weights);
  };
  const hub::PullResult result = pull_or_find(settings, request, choose, options.dry_run, terminal);
  for (const ItemFailure& failure : result.failed)
    terminal.warn(fmt::format("{}: {}: {}", failure.item, failure.reason, failure.detail));

  const bool whole = result.failed.empty();
  const std::filesystem::path folder = result.files.empty() ? "" : result.files.front().local.parent_path();
  const std::optional<clip::ModelInfo> info =
      whole && !options.dry_run ? load_pulled(folder, options.model, terminal) : std::nullopt;
  ordered_json object = {{"models", ordered_json::array()}};
  object["models"].push_back(
      info ? model_json(*info)
           : ordered_json{
                 {"name", options.model}, {"path", folder.string()}, {"parameters", nullptr}, {"pretrained", nullptr}});
  object["repository"] = request.repository.id;
  object["revision"] = result.commit;
  object["bytes"] = result.bytes;
  object["cached"] = result.cached;
  object["transferred"] = result.transferred;
  add_failures(object, result.failed);
  object["dry_run"] = options.dry_run;
  object["files"] = files_json(result.files);
  terminal.result(object, [&](std::ostream& out) { print(out, request, result, options.dry_run, info); });
  if (!whole) terminal.warn("not all files came; run the same command again");
  return whole ? 0 : 1;
}

}  // namespace imagerank::cli
