#include "cli/command_run.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <memory>
#include <ostream>
#include <sstream>

#include "cli/commands.h"
#include "cli/run_plan.h"
#include "core/fail.h"

namespace imagerank::cli {
namespace {

/// Parses a stage's arguments as its command would, so that a wrong key is found before anything runs.
std::function<int(Terminal&)> prepare(const Stage& stage) {
  for (const Command& command : commands()) {
    if (command.name != stage.arguments.front()) continue;
    const auto app = std::make_shared<CLI::App>(command.summary, command.name);
    const std::function<int(Terminal&)> action = command.add(*app);
    std::vector<std::string> reversed(stage.arguments.rbegin(), stage.arguments.rend() - 1);  // as CLI11 wants them
    try {
      app->parse(std::move(reversed));
    } catch (const CLI::ParseError& error) {
      fail(ErrorCode::kInvalidArgument, "[{}]: {}", stage.name, error.what());
    }
    return [app, action](Terminal& terminal) { return action(terminal); };
  }
  fail(ErrorCode::kInvalidArgument, "no command '{}'", stage.arguments.front());
}

}  // namespace

int run_run(const RunOptions& options, Terminal& terminal) {
  using Clock = std::chrono::steady_clock;
  const std::vector<Stage> stages = load_run_plan(options.config);
  std::vector<std::function<int(Terminal&)>> actions;
  for (const Stage& stage : stages) actions.push_back(prepare(stage));

  const std::filesystem::path data = data_folder(options.config);
  RunState state(data);
  nlohmann::ordered_json report = nlohmann::ordered_json::array();
  int code = 0;
  for (std::size_t i = 0; i < stages.size() && code == 0; ++i) {
    terminal.context().check_stop();
    const Stage& stage = stages[i];
    const bool skipped = !options.force && state.is_current(stage);
    const Clock::time_point start = Clock::now();
    nlohmann::ordered_json result;
    terminal.print(fmt::format("== {}{}\n", stage.name, skipped ? ": nothing changed, skipped" : ""));
    if (!skipped) {
      std::ostringstream captured;
      Terminal inner = terminal.with_output(captured);
      // For people each stage speaks when it is done; for programs all of them in one object at the end.
      code = actions[i](terminal.options().json ? inner : terminal);
      if (terminal.options().json) {
        result = nlohmann::ordered_json::parse(captured.str(), nullptr, /*allow_exceptions=*/false);
      }
      if (code == 0) state.record(stage);
    }
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    report.push_back({{"name", stage.name}, {"seconds", seconds}, {"skipped", skipped}, {"result", result}});
  }
  terminal.result({{"stages", report}}, [](std::ostream&) {});
  return code;
}

std::function<int(Terminal&)> add_run(CLI::App& command) {
  const auto options = std::make_shared<RunOptions>();
  command.add_option("CONFIG", options->config, "A TOML file; see docs/cli/run.md")->required();
  command.add_flag("--force", options->force, "Run every stage, changed or not");
  command.footer("Example:\n  imagerank run examples/quickstart.toml");
  return [options](Terminal& terminal) { return run_run(*options, terminal); };
}

}  // namespace imagerank::cli
