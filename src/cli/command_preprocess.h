#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "cli/terminal.h"

namespace CLI {
class App;
}

namespace imagerank::cli {

struct PreprocessOptions {
  std::string model;  ///< as in clip::resolve_model
  std::vector<std::filesystem::path> images;
  std::filesystem::path out;
  bool strict = false;
  bool exif_orientation = false;  ///< as if the model's preprocessor_config.json said so
};

/// Image files to the float32 [N, 3, S, S] tensor that the model's vision tower takes. A broken image is a row of NaN.
/// @return 0; 1, with nothing written, if every image failed, or with `strict` any. @throws Error.
int run_preprocess(const PreprocessOptions& options, Terminal& terminal);
/// Declares the options on `command`; what it returns runs it.
std::function<int(Terminal&)> add_preprocess(CLI::App& command);

}  // namespace imagerank::cli
