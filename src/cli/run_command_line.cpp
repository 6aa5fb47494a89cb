#include <unistd.h>

#include <CLI/CLI.hpp>
#include <exception>
#include <new>
#include <ostream>

#include "cli/commands.h"
#include "core/fail.h"
#include "imagerank/version.h"

namespace imagerank::cli {
namespace {

struct GlobalOptions {
  bool json = false;
  bool quiet = false;
  int threads = 0;
};

/// Every command takes these; declared on each, so that they may stand behind the command's name.
void add_global_options(CLI::App& command, GlobalOptions& options) {
  command.add_flag("--json", options.json, "Print one JSON object on standard output, nothing else there");
  command.add_flag("--quiet", options.quiet, "No notes and no progress");
  command.add_option("--threads", options.threads, "Threads to use (default: all cores)")->check(CLI::Range(1, 1024));
}

/// CLI11 2.1 reads "-1" into an unsigned number as its largest value.
void refuse_negative_counts(CLI::App& command) {
  for (CLI::Option* const option : command.get_options()) {
    if (!option->get_type_name().starts_with("UINT")) continue;
    option->check([](const std::string& text) {
      return text.starts_with('-') ? "expected 0 or more, found " + text : std::string();
    });
  }
  for (CLI::App* const nested : command.get_subcommands([](CLI::App*) { return true; }))
    refuse_negative_counts(*nested);
}

/// One line, as every error of this program is.
int report(std::ostream& err, const std::string& command, const std::string& message, int code) {
  err << "imagerank" << (command.empty() ? "" : " ") << command << ": ";
  for (const char character : message) err << (character == '\n' ? ' ' : character);
  err << '\n';
  return code;
}

}  // namespace

int run_command_line(int argc, const char* const* argv, std::ostream& out, std::ostream& err, std::stop_token stop) {
  CLI::App app{"Rewards learned from human preferences about generated images", "imagerank"};
  app.require_subcommand(1);
  app.set_version_flag("--version", std::string("imagerank ") + version());
  app.get_formatter()->column_width(34);
  app.footer(
      "Start: imagerank simulate --data world, or imagerank import pickapic-v0 rankings.parquet images.parquet --data "
      "mine.\n"
      "Each command: imagerank COMMAND --help");
  GlobalOptions global;
  std::string name;
  std::function<int(Terminal&)> run;
  for (const Command& command : commands()) {
    CLI::App* const subcommand = app.add_subcommand(command.name, command.summary);
    if (command.add == nullptr) continue;
    const std::function<int(Terminal&)> action = command.add(*subcommand);
    add_global_options(*subcommand, global);
    refuse_negative_counts(*subcommand);
    subcommand->callback([&name, &run, action, title = std::string(command.name)] {
      name = title;
      run = action;
    });
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help, out, err);
  } catch (const CLI::CallForVersion& version_call) {
    return app.exit(version_call, out, err);
  } catch (const CLI::ParseError& error) {
    const auto parsed = app.get_subcommands();
    const std::string command = parsed.empty() ? "" : parsed.front()->get_name();
    return report(err, command,
                  std::string(error.what()) + " (see `imagerank" + (command.empty() ? "" : " " + command) + " --help`)",
                  2);
  }
  try {
    Terminal terminal(out, err,
                      {global.json, global.quiet, ::isatty(STDERR_FILENO) == 1, global.threads, std::move(stop)});
    return run(terminal);
  } catch (const Error& error) {
    return report(err, name, error.what(), exit_code(error.code()));
  } catch (const std::bad_alloc&) {
    return report(err, name, "out of memory", 1);
  } catch (const std::exception& error) {
    return report(err, name, error.what(), 1);
  }
}

}  // namespace imagerank::cli
