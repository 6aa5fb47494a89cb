#include "cli/run_plan.h"

#include <toml++/toml.h>

#include <algorithm>
#include <array>
#include <sstream>
#include <string_view>
#include <system_error>

#include "core/atomic_file.h"
#include "core/fail.h"
#include "core/hash.h"
#include "imagerank/version.h"

namespace imagerank::cli {
namespace {

/// A stage's command, which of its keys are positional, and what it reads and leaves, relative to the workspace.
/// "{name}" stands for the stage's name; images.parquet is no output of import, since fetch fills it in.
struct StageKind {
  std::string_view command;
  std::vector<std::string_view> positional;
  bool takes_model = false;
  std::vector<std::string_view> inputs;
  std::vector<std::string_view> outputs;
};

const std::vector<StageKind>& stage_kinds() {
  static const std::vector<StageKind> kKinds = {
      {"simulate", {}, false, {}, {"rankings.parquet", "truth.parquet"}},
      {"import", {"format", "files"}, false, {}, {"rankings.parquet"}},
      {"fetch", {}, false, {"images.parquet"}, {"images.parquet"}},
      {"label", {}, false, {"rankings.parquet"}, {"points.parquet", "pairs.parquet"}},
      {"perturb", {}, false, {"rankings.parquet"}, {"perturbed.parquet"}},
      {"encode", {}, true, {"rankings.parquet", "images.parquet", "perturbed.parquet"}, {"embeddings"}},
      {"train", {}, true, {"points.parquet", "pairs.parquet", "embeddings"}, {"rewards/{name}"}},
      {"eval", {}, false, {"points.parquet", "pairs.parquet", "embeddings", "rewards/{name}"}, {"reports/{name}"}},
      {"compare",
       {"rewards"},
       false,
       {"points.parquet", "pairs.parquet", "embeddings", "rewards"},
       {"reports/compare"}},
  };
  return kKinds;
}

toml::table parse(const std::filesystem::path& config) {
  const std::string text = load_file(config, std::size_t{1} << 20U);
  try {
    return toml::parse(text, config.string());
  } catch (const toml::parse_error& error) {
    fail(ErrorCode::kInvalidArgument, "{}:{}: {}", config.string(), error.source().begin.line, error.description());
  }
}

std::string required_text(const toml::table& table, std::string_view key, const std::filesystem::path& config) {
  const auto value = table[key].value<std::string>();
  if (!value)
    fail(ErrorCode::kInvalidArgument, "{}: expected {} = \"...\" at the top, found none", config.string(), key);
  return *value;
}

std::string scalar_text(const toml::node& node, const std::string& where) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* number = node.as_integer()) return std::to_string(number->get());
  if (const auto* real = node.as_floating_point()) return fmt::format("{}", real->get());
  fail(ErrorCode::kInvalidArgument, "{}: expected a text, a number, true or false, or a list of these", where);
}

std::vector<std::string> values_of(const toml::node& node, const std::string& where) {
  std::vector<std::string> values;
  if (const auto* list = node.as_array()) {
    for (const toml::node& item : *list) values.push_back(scalar_text(item, where));
  } else {
    values.push_back(scalar_text(node, where));
  }
  return values;
}

std::string replace_name(std::string_view pattern, const std::string& name) {
  std::string text(pattern);
  if (const std::size_t at = text.find("{name}"); at != std::string::npos) text.replace(at, 6, name);
  return text;
}

Stage make_stage(const StageKind& kind, const toml::table& table, const std::string& data, const std::string& model,
                 const std::filesystem::path& config) {
  const std::string title(kind.command);
  Stage stage;
  std::vector<std::string> positional;
  std::vector<std::string> options = {"--data", data};
  const auto where = [&](std::string_view key) { return fmt::format("{}: [{}] {}", config.string(), title, key); };
  for (const std::string_view key : kind.positional) {
    const toml::node* const node = table.get(key);
    if (node == nullptr) fail(ErrorCode::kInvalidArgument, "{}: expected a value, found none", where(key));
    for (std::string& value : values_of(*node, where(key))) {
      if (title == "import" && key == "files") stage.inputs.emplace_back(value);
      positional.push_back(std::move(value));
    }
  }
  for (const auto& [key, node] : table) {
    if (std::ranges::find(kind.positional, key.str()) != kind.positional.end()) continue;
    if (const auto* flag = node.as_boolean()) {
      if (flag->get()) options.push_back("--" + std::string(key.str()));
      continue;
    }
    options.push_back("--" + std::string(key.str()));
    for (std::string& value : values_of(node, where(key.str()))) options.push_back(std::move(value));
  }
  if (kind.takes_model && !table.contains("model") && !model.empty()) {
    options.insert(options.end(), {"--model", model});
  }
  const std::string label = table["name"].value_or(table["reward"].value_or(std::string()));
  stage.name = label.empty() ? title : title + " " + label;
  stage.arguments.push_back(title);
  stage.arguments.insert(stage.arguments.end(), positional.begin(), positional.end());
  stage.arguments.insert(stage.arguments.end(), options.begin(), options.end());
  for (const std::string_view input : kind.inputs)
    stage.inputs.push_back(std::filesystem::path(data) / replace_name(input, label));
  for (const std::string_view output : kind.outputs)
    stage.outputs.push_back(std::filesystem::path(data) / replace_name(output, label));
  return stage;
}

void check_keys(const toml::table& root, const std::filesystem::path& config) {
  for (const auto& [key, node] : root) {
    if (key.str() == "data" || key.str() == "model") continue;
    const bool known = std::ranges::any_of(
        stage_kinds(), [&, name = key.str()](const StageKind& kind) { return kind.command == name; });
    if (!known) {
      std::string names;
      for (const StageKind& kind : stage_kinds()) names += fmt::format(", {}", kind.command);
      fail(ErrorCode::kInvalidArgument, "{}:{}: expected data, model{}; found '{}'", config.string(),
           key.source().begin.line, names, key.str());
    }
  }
}

}  // namespace

std::filesystem::path data_folder(const std::filesystem::path& config) {
  return required_text(parse(config), "data", config);
}

std::vector<Stage> load_run_plan(const std::filesystem::path& config) {
  const toml::table root = parse(config);
  check_keys(root, config);
  const std::string data = required_text(root, "data", config);
  const std::string model = root["model"].value_or(std::string());
  std::vector<Stage> stages;
  for (const StageKind& kind : stage_kinds()) {
    const toml::node* const node = root.get(kind.command);
    if (node == nullptr) continue;
    if (const auto* table = node->as_table()) {
      stages.push_back(make_stage(kind, *table, data, model, config));
    } else if (const auto* list = node->as_array()) {
      for (const toml::node& item : *list) {
        const auto* table_item = item.as_table();
        if (table_item == nullptr)
          fail(ErrorCode::kInvalidArgument, "{}: {}: expected tables", config.string(), kind.command);
        stages.push_back(make_stage(kind, *table_item, data, model, config));
      }
    } else {
      fail(ErrorCode::kInvalidArgument, "{}: {}: expected a table [{}]", config.string(), kind.command, kind.command);
    }
  }
  if (stages.empty()) fail(ErrorCode::kInvalidArgument, "{}: expected at least one stage, found none", config.string());
  return stages;
}

std::string fingerprint(const std::vector<std::filesystem::path>& paths) {
  std::vector<std::string> lines;
  const auto add = [&](const std::filesystem::path& path) {
    std::error_code error;
    const auto size = std::filesystem::file_size(path, error);
    const auto time = std::filesystem::last_write_time(path, error).time_since_epoch().count();
    lines.push_back(error ? fmt::format("{} missing", path.string())
                          : fmt::format("{} {} {}", path.string(), size, time));
  };
  for (const std::filesystem::path& path : paths) {
    std::error_code error;
    if (!std::filesystem::is_directory(path, error)) {
      add(path);
      continue;
    }
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path, error)) {
      if (entry.is_regular_file() && !entry.path().filename().string().starts_with('.')) add(entry.path());
    }
  }
  std::ranges::sort(lines);
  Digest hash;
  for (const std::string& line : lines) hash.update(line + "\n");
  return hash.hex_digest();
}

RunState::RunState(const std::filesystem::path& data)
    : path_(data / "run-state.json"), stages_(nlohmann::json::object()) {
  if (!std::filesystem::exists(path_)) return;
  nlohmann::json stored = nlohmann::json::parse(load_file(path_), nullptr, /*allow_exceptions=*/false);
  // An unreadable state only costs a run that could have been skipped.
  if (stored.is_object()) stages_ = std::move(stored);
}

bool RunState::is_current(const Stage& stage) const {
  const auto entry = stages_.find(stage.name);
  if (entry == stages_.end() || !entry->is_object()) return false;
  const auto same = [&](const char* key, const nlohmann::json& value) {
    return entry->contains(key) && (*entry)[key] == value;
  };
  const bool outputs_exist = std::ranges::all_of(
      stage.outputs, [](const std::filesystem::path& path) { return std::filesystem::exists(path); });
  return outputs_exist && same("version", version()) && same("arguments", stage.arguments) &&
         same("inputs", fingerprint(stage.inputs)) && same("outputs", fingerprint(stage.outputs));
}

void RunState::record(const Stage& stage) {
  stages_[stage.name] = {{"version", version()},
                         {"arguments", stage.arguments},
                         {"inputs", fingerprint(stage.inputs)},
                         {"outputs", fingerprint(stage.outputs)}};
  write_file_atomically(path_, stages_.dump(1) + "\n");
}

}  // namespace imagerank::cli
