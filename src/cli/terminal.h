#pragma once

#include <cstdint>
#include <functional>
#include <iosfwd>
#include <mutex>
#include <nlohmann/json.hpp>
#include <stop_token>
#include <string>

#include "core/progress.h"

namespace imagerank::cli {

/// Where a command speaks: results to `out`, all else to `err`. Progress may come from any thread.
class Terminal {
 public:
  struct Options {
    bool json = false;         ///< one JSON object on `out`, nothing else there
    bool quiet = false;        ///< no notes, no progress
    bool interactive = false;  ///< `err` is a terminal: progress bars allowed
    int threads = 0;
    std::stop_token stop;
  };
  Terminal(std::ostream& out, std::ostream& err, Options options)
      : out_(out), err_(err), options_(std::move(options)) {}

  /// The command's one result: the JSON object with --json, otherwise what `print` writes.
  void result(const nlohmann::ordered_json& object, const std::function<void(std::ostream&)>& print);
  /// Text on `out` before the result, for people only: nothing with --json.
  void print(const std::string& text);
  /// A line on `err`, unless --quiet.
  void note(const std::string& line);
  /// A line on `err`, always: "warning: ...".
  void warn(const std::string& line);
  /// Progress to this terminal (rate and time left), stop token and threads, for the stages.
  [[nodiscard]] RunContext context();
  [[nodiscard]] const Options& options() const noexcept { return options_; }
  /// A terminal of the same options whose results go elsewhere, for a command that runs others.
  [[nodiscard]] Terminal with_output(std::ostream& out) const { return {out, err_, options_}; }

 private:
  void show(const Progress& progress);
  void clear_progress();  // the caller holds mutex_

  std::ostream& out_;
  std::ostream& err_;
  Options options_;
  std::mutex mutex_;
  std::string progress_stage_;
  double progress_started_s_ = 0.0;
  double progress_shown_s_ = 0.0;
  bool progress_visible_ = false;
};

/// 12345678 -> "12,345,678".
[[nodiscard]] std::string with_thousands(std::uint64_t value);

}  // namespace imagerank::cli
