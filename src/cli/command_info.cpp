#include "cli/command_info.h"

#include <CLI/CLI.hpp>
#include <memory>

#include "cli/info_output.h"
#include "statistics/statistics.h"

namespace imagerank::cli {

int run_info(const InfoOptions& options, Terminal& terminal) {
  const auto workspace = workspace::Workspace::open(options.data);
  const auto statistics = statistics::measure_workspace(workspace, terminal.context());
  terminal.result(info_json(statistics), [&](std::ostream& out) { print_info(out, statistics, options.data); });
  return 0;
}

std::function<int(Terminal&)> add_info(CLI::App& command) {
  const auto options = std::make_shared<InfoOptions>();
  command.add_option("--data", options->data, "The workspace folder")->required();
  command.footer("Example:\n  imagerank info --data mine");
  return [options](Terminal& terminal) { return run_info(*options, terminal); };
}

}  // namespace imagerank::cli
