#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "cli/terminal.h"
#include "serving/http_server.h"
#include "serving/requests.h"
#include "serving/scoring_service.h"

namespace CLI {
class App;
}

namespace imagerank::cli {

struct ServeOptions {
  std::vector<std::string> rewards;  ///< folders, or with `data` names; NAME=FOLDER gives one another name
  std::filesystem::path data;
  reward::EncoderPlace encoder;
  std::filesystem::path token_file;
  std::string database;               ///< where votes go; "": no voting
  std::filesystem::path guideline;    ///< a text file that voters agree to
  std::string strategy = "balanced";  ///< how the next set is found
  int choices = 2;                    ///< images a set
  double max_body_mb = 64;
  double max_image_mb = 64;
  double max_image_mpixels = 64;
  serving::ServerOptions server;
  serving::ServiceOptions service;
  serving::RequestLimits limits;
};

/// Serves until a stop is requested. The result is printed as soon as it listens: {"address", "port", "rewards"}.
int run_serve(ServeOptions options, Terminal& terminal);
[[nodiscard]] std::function<int(Terminal&)> add_serve(CLI::App& command);

}  // namespace imagerank::cli
