#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "cli/terminal.h"

namespace CLI {
class App;
}

namespace imagerank::cli {

struct ExportOptions {
  std::filesystem::path data;
  std::string to;
  std::filesystem::path out;
  std::string table;  ///< "": pairs for dpo, otherwise points
  std::string split;
  std::string encoder;
  std::string reward;
  std::string model;      ///< onnx: a model's name or folder; "": where the reward says
  std::string tokenizer;  ///< onnx: as `rank` has it
  std::int64_t shard_size = 10000;
  double margin = 0.0;              ///< dpo: least difference
  double beta = 1.0;                ///< weights: of exp(beta reward)
  std::optional<double> threshold;  ///< weights: of the sparse ones
  std::filesystem::path pretrain;   ///< weights: CSV
  double pretrain_weight = 0.5;     ///< weights
  std::filesystem::path report;     ///< weights: a report.json; "": the reward's own
  bool copy = false;                ///< weights: image files copied
  bool allow_missing = false;
  bool overwrite = false;
};

/// Returns the exit code; never exits. @throws Error.
int run_export(const ExportOptions& options, Terminal& terminal);
/// `--to onnx`, in a program with libtorch (model_commands.h). @throws Error.
int run_export_onnx(const ExportOptions& options, Terminal& terminal);
/// Declares the options on `command`; what it returns runs it.
std::function<int(Terminal&)> add_export(CLI::App& command);

}  // namespace imagerank::cli
