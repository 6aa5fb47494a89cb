#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "cli/terminal.h"
#include "reward/reward.h"

namespace CLI {
class App;
}

namespace imagerank::cli {

struct BenchOptions {
  std::filesystem::path prompts;        ///< as load_bench_prompts takes it
  std::vector<std::string> generators;  ///< "NAME=FOLDER"
  std::filesystem::path images;         ///< instead: a folder with a folder a generator
  std::filesystem::path manifest;       ///< instead: CSV with columns generator, image, prompt
  std::vector<std::string> rewards;
  std::filesystem::path data;  ///< the workspace that rewards are names of
  reward::EncoderPlace encoder;
  std::uint64_t bootstrap = 1000;
  std::size_t batch = 80;     ///< prompts, of HPSv2's deviation
  std::filesystem::path out;  ///< a folder for bench.json, bench.html and scores.csv
  bool strict = false;
};

/// Returns the exit code: 1 if nothing was scored, or something was not and `strict`; never exits. @throws Error.
int run_bench(const BenchOptions& options, Terminal& terminal);
/// Declares the options on `command`; what it returns runs it.
std::function<int(Terminal&)> add_bench(CLI::App& command);

}  // namespace imagerank::cli
