#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <mutex>
#include <span>
#include <stop_token>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

#include "cli/commands.h"
#include "cli/model_commands.h"

namespace {

std::atomic<int> signals_received = 0;
static_assert(std::atomic<int>::is_always_lock_free, "a signal handler may touch nothing else");

/// A handler, not a blocked mask: libraries start threads before main(), and a signal that such a thread takes would
/// end the process.
extern "C" void on_signal(int /*number*/) {
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
  return std::jthread([source = std::move(source)](const std::stop_token& done) mutable {
    std::mutex mutex;
    std::condition_variable_any end;
    std::unique_lock lock(mutex);
    while (!done.stop_requested()) {
      // Returns at once when the program is done.
      end.wait_for(lock, done, std::chrono::milliseconds(20), [] { return false; });
      if (signals_received > 0) source.request_stop();
    }
  });
}

/// Whether the program with libtorch must run this: one of its own commands, or an export that has to do with a reward.
bool needs_libtorch(std::span<char* const> arguments) {
  if (imagerank::cli::model_export() != nullptr || arguments.size() < 2) return false;  // this is that program
  const std::string_view name = arguments[1];
  if (name == "export") {
    return std::ranges::any_of(arguments, [](std::string_view word) {
      return word == "onnx" || word == "--to=onnx" || word == "weights" || word == "--to=weights" ||
             word.starts_with("--reward");
    });
  }
  return std::ranges::any_of(imagerank::cli::commands(), [&](const imagerank::cli::Command& command) {
    return command.add == nullptr && command.name == name;
  });
}

/// OpenBLAS knows processors by their model, and takes kernels of 2004 for one that is newer than itself (Debian 12's
/// on Emerald Rapids: products 2.5 times slower). It reads this before main(), so it is said to the program that loads
/// it.
void name_blas_kernels() {
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  constexpr int kKeepTheUsers = 0;
  if (avx512 || avx2) setenv("OPENBLAS_CORETYPE", avx512 ? "SKYLAKEX" : "HASWELL", kKeepTheUsers);
}

/// Replaces this process by the program with libtorch.
[[noreturn]] void hand_over(char** argv) {
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  const std::filesystem::path program = self.parent_path() / "imagerank-torch";
  name_blas_kernels();
  execv(program.c_str(), argv);
  std::cerr << "imagerank: " << program.string() << ": expected the part of this program that runs `" << argv[1]
            << "`: " << std::strerror(errno) << '\n';
  std::exit(1);
}

}  // namespace

int main(int argc, char** argv) {
  if (needs_libtorch({argv, static_cast<std::size_t>(argc)})) hand_over(argv);
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
