#include "cli/command_coverage.h"

#include <CLI/CLI.hpp>
#include <memory>

#include "cli/coverage_output.h"
#include "core/atomic_file.h"
#include "fetch/schedule.h"

namespace imagerank::cli {

int run_coverage(const CoverageOptions& options, Terminal& terminal) {
  const auto workspace = workspace::Workspace::open(options.data);
  if (!options.csv.empty())  // of a run that was killed
    remove_stale_temporaries(options.csv.has_parent_path() ? options.csv.parent_path() : ".");
  statistics::CoverageSettings settings;
  settings.min_group = options.min_group;
  settings.top = options.top;
  settings.csv = options.csv;
  settings.may_pass = fetch::may_pass;
  const auto report = statistics::measure_survival(workspace, settings, terminal.context());
  const auto warnings = coverage_warnings(report, options.data);
  terminal.result(coverage_json(report, warnings),
                  [&](std::ostream& out) { print_coverage(out, report, warnings, options.data); });
  return 0;
}

std::function<int(Terminal&)> add_coverage(CLI::App& command) {
  const auto options = std::make_shared<CoverageOptions>();
  command.add_option("--data", options->data, "The workspace folder")->required();
  command.add_option("--csv", options->csv, "Also write every month, user and model here, one a row");
  command.add_option("--min-group", options->min_group, "Smaller groups are summed up")->capture_default_str();
  command.add_option("--top", options->top, "Busiest users that are named; the others are summed up")
      ->capture_default_str();
  command.footer("Example:\n  imagerank coverage --data mine --csv coverage.csv");
  return [options](Terminal& terminal) { return run_coverage(*options, terminal); };
}

}  // namespace imagerank::cli
