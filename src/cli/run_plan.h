#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace imagerank::cli {

/// One stage of a config: a command with its arguments, and the files by which to tell whether it must run.
struct Stage {
  std::string name;                    ///< "label", "train mlp"
  std::vector<std::string> arguments;  ///< a command line without the program: {"label", "--data", ...}
  std::vector<std::filesystem::path> inputs;
  std::vector<std::filesystem::path> outputs;
};

/// The stages of a TOML config in the order of the flow. Top level: `data` (required), `model` (for encode and train).
/// A table for each stage ([simulate], [import], [fetch], [label], [encode], [[train]], [[eval]], [compare]) whose keys
/// are that command's options; import takes `format` and `files`, compare `rewards`.
/// @throws Error kNotFound, kInvalidArgument (naming the line or the key).
[[nodiscard]] std::vector<Stage> load_run_plan(const std::filesystem::path& config);

/// Names, sizes and times of all files at or below the paths: equal if nothing was written since.
[[nodiscard]] std::string fingerprint(const std::vector<std::filesystem::path>& paths);

/// What the last run of each stage saw and left, as <data>/run-state.json keeps it.
class RunState {
 public:
  explicit RunState(const std::filesystem::path& data);
  /// Whether the stage ran to its end with these arguments and inputs, and its outputs are as it left them.
  [[nodiscard]] bool is_current(const Stage& stage) const;
  void record(const Stage& stage);

 private:
  std::filesystem::path path_;
  nlohmann::json stages_;
};

/// The workspace that the config names.
[[nodiscard]] std::filesystem::path data_folder(const std::filesystem::path& config);

}  // namespace imagerank::cli
