#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "workspace/workspace.h"

namespace imagerank::cli {

struct LineRun {
  int code = 0;
  std::string out;
  std::string err;
  /// `out` of a run with --json.
  [[nodiscard]] nlohmann::json json() const { return nlohmann::json::parse(out); }
};

/// A whole command line in this process, as main() runs it.
LineRun run_line(const std::vector<std::string>& arguments);

/// A workspace of `prompts` rankings by two users, four noisy images each (every fifth ranking a tie), image files and
/// all, as `import` and `fetch` leave it.
void make_small_world(const std::filesystem::path& data, int prompts);
/// The image of one row of it: PNG, `side` pixels square, different for each seed.
std::string noisy_png(std::uint32_t seed, int side);

/// A CLIP of random weights with a byte-level vocabulary: 64 px, 48 numbers a vector.
void make_tiny_model(const std::filesystem::path& folder);

/// Opens every file below a folder that stands under its final name: Parquet, npy, safetensors, JSON, images; an
/// embedding cache's array and keys must agree. @return what is wrong, empty if nothing.
std::vector<std::string> broken_files(const std::filesystem::path& folder);

/// Every file below a folder with its bytes' hash, temporaries (".x") left out.
std::vector<std::string> final_files(const std::filesystem::path& folder);

}  // namespace imagerank::cli
