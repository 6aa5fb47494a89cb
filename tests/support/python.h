#pragma once

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/child_process.h"

namespace imagerank::test {

inline constexpr const char* kPython = "/usr/bin/python3";

/// Whether the references that need PyTorch can run here; where they cannot, tests skip and say so.
inline bool has_torch() {
  static const bool has =
      std::system("/usr/bin/python3 -c 'import torch, torchvision, PIL, numpy' 2>/dev/null") == 0;  // NOLINT
  return has;
}
inline constexpr const char* kNeedsTorch = "needs /usr/bin/python3 with torch, torchvision, numpy and Pillow";

/// What a script prints. @throws std::runtime_error with what it said if it failed.
inline std::string run_python(const std::string& script, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"-B", script});
  const auto run = run_child(kPython, arguments);
  if (run.exit_code != 0) throw std::runtime_error(run.err);
  return run.out;
}

}  // namespace imagerank::test
