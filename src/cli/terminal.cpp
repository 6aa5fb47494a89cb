#include "cli/terminal.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <ostream>

namespace imagerank::cli {
namespace {

double now_s() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

std::string clock_text(double seconds) {
  const auto whole = std::lround(seconds);
  if (whole >= 3600) return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
  return fmt::format("{}:{:02}", whole / 60, whole % 60);
}

}  // namespace

void Terminal::result(const nlohmann::ordered_json& object, const std::function<void(std::ostream&)>& print) {
  const std::lock_guard lock(mutex_);
  clear_progress();
  if (options_.json) {
    // Texts from data may hold invalid UTF-8; the object must still be JSON.
    out_ << object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) << '\n';
  } else {
    print(out_);
  }
  out_.flush();
}

void Terminal::print(const std::string& text) {
  if (options_.json) return;
  const std::lock_guard lock(mutex_);
  clear_progress();
  out_ << text << std::flush;
}

void Terminal::note(const std::string& line) {
  if (options_.quiet) return;
  const std::lock_guard lock(mutex_);
  clear_progress();
  err_ << line << '\n';
}

void Terminal::warn(const std::string& line) {
  const std::lock_guard lock(mutex_);
  clear_progress();
  err_ << "warning: " << line << '\n';
}

RunContext Terminal::context() {
  RunContext context;
  context.stop = options_.stop;
  context.threads = options_.threads;
  if (options_.interactive && !options_.quiet) context.progress = [this](const Progress& progress) { show(progress); };
  return context;
}

void Terminal::show(const Progress& progress) {
  const std::lock_guard lock(mutex_);
  constexpr double kIntervalSeconds = 0.1;
  const double now = now_s();
  const bool finished = progress.total != 0 && progress.done >= progress.total;
  if (progress.stage != progress_stage_) {
    clear_progress();
    progress_stage_ = progress.stage;
    progress_started_s_ = now;
    progress_shown_s_ = 0.0;
  }
  if (now - progress_shown_s_ < kIntervalSeconds && !finished) return;
  progress_shown_s_ = now;
  const double elapsed = std::max(now - progress_started_s_, 1e-9);
  const double rate = static_cast<double>(progress.done) / elapsed;
  std::string line = fmt::format("{}: {}", progress.stage, with_thousands(progress.done));
  if (progress.total != 0) {
    line += fmt::format("/{} ({:.0f} %)", with_thousands(progress.total),
                        100.0 * static_cast<double>(progress.done) / static_cast<double>(progress.total));
  }
  if (progress.done != 0 && elapsed > 1.0) {
    line += fmt::format(", {:.1f}/s", rate);
    if (progress.total > progress.done)
      line += fmt::format(", {} left", clock_text(static_cast<double>(progress.total - progress.done) / rate));
  }
  if (!progress.note.empty()) line += ", " + progress.note;
  constexpr std::size_t kWidth = 78;
  if (line.size() > kWidth) line.resize(kWidth);
  err_ << '\r' << line << "\x1b[K" << std::flush;
  progress_visible_ = true;
}

void Terminal::clear_progress() {
  if (!progress_visible_) return;
  err_ << "\r\x1b[K" << std::flush;
  progress_visible_ = false;
}

std::string with_thousands(std::uint64_t value) {
  std::string digits = std::to_string(value);
  for (std::size_t at = digits.size(); at > 3;) digits.insert(at -= 3, 1, ',');
  return digits;
}

}  // namespace imagerank::cli
