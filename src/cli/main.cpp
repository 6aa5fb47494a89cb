#include <csignal>
#include <iostream>
#include <stop_token>
#include <thread>

#include "cli/commands.h"

namespace {

/// Turns the first Ctrl-C or SIGTERM into a stop request, so that work ends at a point that resumes; a second one
/// kills. A thread of its own waits for the signals: nothing but a blocked mask is async-signal-safe enough.
std::jthread watch_signals(std::stop_source source) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return std::jthread([source, signals](const std::stop_token& done) mutable {
    const timespec interval{0, 100'000'000};
    while (!done.stop_requested()) {
      if (sigtimedwait(&signals, nullptr, &interval) < 0) continue;
      if (source.stop_requested()) std::_Exit(130);
      source.request_stop();
    }
  });
}

}  // namespace

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // beyond a limit on file sizes a write then fails and is reported, as on a full disk
  const std::stop_source source;
  const std::jthread watcher = watch_signals(source);
  const int code = imagerank::cli::run_command_line(argc, argv, std::cout, std::cerr, source.get_token());
  if (code == 0 && !std::cout.flush()) {
    std::cerr << "imagerank: standard output: expected to write the result, found it full or closed\n";
    return 1;
  }
  return code;
}
