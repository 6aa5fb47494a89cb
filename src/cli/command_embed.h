#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "cli/terminal.h"

namespace CLI {
class App;
}

namespace imagerank::cli {

/// Exactly one of images, texts, pixels and tokens.
struct EmbedOptions {
  std::string model;
  std::vector<std::string> images;  ///< files, folders (searched below, in name order) and @lists (a path a line)
  std::filesystem::path texts;      ///< a text a line; .jsonl: {"text"} a line
  std::filesystem::path pixels;     ///< .npy, floats [N, 3, S, S], preprocessed
  std::filesystem::path tokens;     ///< .npy, integers [N, T]
  std::filesystem::path out;
  std::string precision = "fp32";
  std::string device = "cpu";
  std::filesystem::path tokenizer;
  std::string text_cleaning = "huggingface";
  std::size_t batch = 0;  ///< images a tower call; 0: what suits the encoder
  bool normalize = false;
  bool strict = false;
  bool exif_orientation = false;  ///< of images, as if the model's preprocessor_config.json said so
  bool allow_untrained = false;   ///< accepted as `encode` has it; here an untrained model is only named
};

/// Images, texts, pixels or tokens to the float32 [N, D] vectors of a model. A broken input is a row of NaN.
/// @return 0; 1, with nothing written, if every input failed, or with `strict` any. @throws Error.
int run_embed(const EmbedOptions& options, Terminal& terminal);
/// Declares the options on `command`; what it returns runs it.
std::function<int(Terminal&)> add_embed(CLI::App& command);

}  // namespace imagerank::cli
