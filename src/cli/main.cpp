#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <stop_token>
#include <thread>

#include "cli/commands.h"

namespace {

std::atomic<int> signals_received = 0;
static_assert(std::atomic<int>::is_always_lock_free, "a signal handler may touch nothing else");

/// A handler, not a blocked mask: libraries start threads before main(), and a signal that such a thread takes would
/// end the process.
extern "C" void on_signal(int) {
  if (signals_received.fetch_add(1) > 0) std::_Exit(130);
}

/// Turns the first Ctrl-C or SIGTERM into a stop request, so that work ends at a point that resumes; a second one
/// kills.
std::jthread watch_signals(std::stop_source source) {
  struct sigaction action = {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  return std::jthread([source](const std::stop_token& done) mutable {
    while (!done.stop_requested()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      if (signals_received > 0) source.request_stop();
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
