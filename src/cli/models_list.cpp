#include <fmt/format.h>

#include <algorithm>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "cli/models_output.h"
#include "cli/transfer_output.h"
#include "clip/published.h"
#include "core/atomic_file.h"
#include "hub_cache/cache.h"
#include "hub_cache/environment.h"

namespace imagerank::cli {
namespace {

using nlohmann::ordered_json;

/// What a model's card says of its licence, in the block between two lines of "---"; "" if it says nothing.
std::string card_licence(const std::filesystem::path& folder) {
  constexpr std::size_t kMostBytes = std::size_t{1} << 20;
  std::string text;
  try {
    text = load_file(folder / "README.md", kMostBytes);
  } catch (const Error&) {  // no card, or none that one would read
    return "";
  }
  std::string licence;
  std::size_t start = 0;
  for (int line_number = 0; start < text.size(); ++line_number) {
    const std::size_t end = std::min(text.find('\n', start), text.size());
    const std::string line = hub_cache::trimmed(text.substr(start, end - start));
    start = end + 1;
    if ((line == "---") != (line_number == 0)) break;
    for (const std::string_view key : {"license:", "license_name:"}) {  // the second, if there, is the precise one
      if (line.starts_with(key)) licence = hub_cache::trimmed(line.substr(key.size()));
    }
  }
  return licence;
}

ordered_json text_or_null(std::string_view text) { return text.empty() ? ordered_json() : ordered_json(text); }

/// What is said of a model whether or not it is here.
void add_facts(ordered_json& object, const clip::PublishedModel* published, const std::string& licence,
               std::uint64_t bytes, const char* source) {
  object["source"] = source;
  object["open_clip"] = text_or_null(published == nullptr ? "" : published->open_clip);
  object["kind"] = published == nullptr ? "encoder" : published->kind;
  object["bytes"] = bytes == 0 ? ordered_json() : ordered_json(bytes);
  object["licence"] = text_or_null(licence);
  object["about"] = text_or_null(published == nullptr ? "" : published->about);
}

std::uint64_t size_of(const std::filesystem::path& path) {
  std::error_code error;
  const auto size = std::filesystem::file_size(path, error);
  return error ? 0 : size;
}

ordered_json builtin(const clip::ModelInfo& info) {
  ordered_json object = model_json(info);
  add_facts(object, nullptr, "Apache-2.0", size_of(info.weights), "builtin");
  object["about"] = "made-up scenes only: it knows nothing of photographs";
  return object;
}

/// A repository of the cache at one revision; null for one that is no CLIP.
ordered_json cached(const std::string& name, const std::filesystem::path& folder,
                    const clip::PublishedModel* published) {
  ordered_json object;
  std::uint64_t bytes = 0;
  try {
    const clip::ModelInfo info = clip::load_model_info(name);
    object = model_json(info);
    bytes = size_of(info.weights);
    object["problem"] = nullptr;
  } catch (const Error& error) {
    if (published == nullptr) return nullptr;
    object = {{"name", name}, {"path", folder.string()}, {"parameters", published->parameters}, {"pretrained", true}};
    object["dim"] = published->dim;
    object["problem"] = error.what();
  }
  add_facts(object, published, card_licence(folder), bytes, "cache");
  return object;
}

ordered_json cached_models() {
  ordered_json models = ordered_json::array();
  const auto root = hub_cache::cache_folder(hub_cache::process_environment());
  for (const hub_cache::Repository& repository :
       hub_cache::list_repositories(root, hub_cache::RepositoryKind::kModel)) {
    for (const std::string& ref : hub_cache::RepositoryCache(root, repository).refs()) {
      const std::string name = ref == "main" ? repository.id : fmt::format("{}@{}", repository.id, ref);
      std::optional<std::filesystem::path> folder;
      try {
        folder = clip::find_cached_model({repository.id, ref});
      } catch (const Error&) {
        continue;  // a ref that cannot be read: nothing that --model would find
      }
      if (!folder) continue;
      ordered_json model = cached(name, *folder, clip::find_published(repository.id));
      if (!model.is_null()) models.push_back(std::move(model));
    }
  }
  return models;
}

ordered_json available(const clip::PublishedModel& published) {
  ordered_json object = {{"name", published.repository},
                         {"path", nullptr},
                         {"parameters", published.parameters},
                         {"pretrained", true},
                         {"dim", published.dim}};
  add_facts(object, &published, std::string(published.licence), published.download_bytes, "hub");
  return object;
}

void print_one(std::ostream& out, const ordered_json& model) {
  const auto text = [&](const char* field, const char* missing) {
    return model[field].is_null() ? std::string(missing) : model[field].get<std::string>();
  };
  // As most are published: four bytes a number.
  const std::string size = model["bytes"].is_null() ? "about " + amount(4 * model["parameters"].get<std::uint64_t>())
                                                    : amount(model["bytes"].get<std::uint64_t>());
  out << fmt::format("  {:<42} {:>7.1f} M  {:>4}  {:>14}  licence {}\n", model["name"].get<std::string>(),
                     model["parameters"].get<double>() / 1e6, model["dim"].get<int>(), size,
                     text("licence", "unknown"));
  std::vector<std::string> lines;
  if (!model["open_clip"].is_null()) lines.push_back(text("open_clip", ""));
  if (model["kind"] == "scorer") lines.emplace_back("scorer");
  if (!model["pretrained"].get<bool>()) lines.emplace_back("random weights");
  if (!model["about"].is_null()) lines.push_back(text("about", ""));
  if (!lines.empty()) out << fmt::format("      {}\n", fmt::join(lines, "; "));
  if (!model["path"].is_null()) out << fmt::format("      {}\n", text("path", ""));
  if (model.contains("problem") && !model["problem"].is_null())
    out << fmt::format("      not usable: {}\n", text("problem", ""));
}

void print_part(std::ostream& out, const ordered_json& models, const char* source, const char* heading) {
  bool first = true;
  for (const ordered_json& model : models) {
    if (model["source"] != source) continue;
    if (std::exchange(first, false)) out << heading << '\n';
    print_one(out, model);
  }
}

}  // namespace

int list_models(Terminal& terminal) {
  ordered_json models = ordered_json::array();
  for (const clip::ModelInfo& info : clip::list_builtin_models()) models.push_back(builtin(info));
  const ordered_json here = cached_models();
  for (const ordered_json& model : here) models.push_back(model);
  for (const clip::PublishedModel& published : clip::published_models()) {
    const bool is_here =
        std::ranges::any_of(here, [&](const ordered_json& model) { return model["name"] == published.repository; });
    if (!is_here) models.push_back(available(published));
  }
  ordered_json scorers = ordered_json::array();
  for (const reward::PublishedScorer& scorer : reward::published_scorers()) scorers.push_back(scorer_json(scorer));
  terminal.result({{"models", models}, {"scorers", scorers}}, [&](std::ostream& out) {
    out << fmt::format("  {:<42} {:>9}  {:>4}  {:>12}\n", "name", "numbers", "dim", "weights");
    print_part(out, models, "builtin", "built in");
    print_part(out, models, "cache", "pulled");
    print_part(out, models, "hub", "to be had by `imagerank models pull NAME`");
    print_scorers(out, scorers);
  });
  return 0;
}

}  // namespace imagerank::cli
