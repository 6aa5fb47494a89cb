#include "support/child_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <stdexcept>
#include <string_view>

namespace imagerank::test {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

[[noreturn]] void throw_errno(const char* action) {
  throw std::runtime_error(fmt::format("{}: {}", action, std::strerror(errno)));
}

/// Between fork and exec: only what is safe there.
[[noreturn]] void become(const char* program, char* const* arguments, const ChildOptions& options, int out, int err) {
  ::setpgid(0, 0);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  if (!options.standard_output.empty()) out = ::open(options.standard_output.c_str(), O_WRONLY);
  const int nothing = ::open("/dev/null", O_RDONLY);
  if (::dup2(nothing, 0) < 0 || ::dup2(out, 1) < 0 || ::dup2(err, 2) < 0) ::_exit(126);
  if (options.max_file_bytes) {
    const rlimit limit{*options.max_file_bytes, *options.max_file_bytes};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ::execv(program, arguments);
  ::_exit(127);
}

/// Reads what is there; false at the end of the pipe.
bool drain(int descriptor, std::string& text) {
  std::array<char, 65536> buffer;
  const ssize_t count = ::read(descriptor, buffer.data(), buffer.size());
  if (count <= 0) return false;
  text.append(buffer.data(), static_cast<std::size_t>(count));
  return true;
}

}  // namespace

ChildResult run_child(const std::filesystem::path& program, const std::vector<std::string>& arguments,
                      const ChildOptions& options) {
  std::vector<std::string> owned = {program.string()};
  owned.insert(owned.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& argument : owned) argv.push_back(argument.data());
  argv.push_back(nullptr);
  std::array<int, 2> out{};
  std::array<int, 2> err{};
  if (::pipe2(out.data(), O_CLOEXEC) != 0 || ::pipe2(err.data(), O_CLOEXEC) != 0) throw_errno("pipe");
  const auto start = Clock::now();
  const pid_t child = ::fork();
  if (child < 0) throw_errno("fork");
  if (child == 0) become(argv[0], argv.data(), options, out[1], err[1]);
  ::close(out[1]);
  ::close(err[1]);

  ChildResult result;
  bool killed = false;
  bool interrupted = false;
  std::array<pollfd, 2> waiting = {{{out[0], POLLIN, 0}, {err[0], POLLIN, 0}}};
  while (waiting[0].fd >= 0 || waiting[1].fd >= 0) {
    const auto elapsed = std::chrono::duration_cast<milliseconds>(Clock::now() - start);
    if (!killed && ((options.kill_when && options.kill_when()) || elapsed > std::chrono::minutes(2))) {
      ::kill(child, SIGKILL);
      killed = true;
    }
    if (!interrupted && options.interrupt_when && options.interrupt_when()) {
      ::kill(child, SIGINT);
      interrupted = true;
    }
    ::poll(waiting.data(), waiting.size(), 1);
    if (waiting[0].revents != 0 && !drain(out[0], result.out)) waiting[0].fd = -1;
    if (waiting[1].revents != 0 && !drain(err[0], result.err)) waiting[1].fd = -1;
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  ::close(out[0]);
  ::close(err[0]);
  result.time = std::chrono::duration_cast<milliseconds>(Clock::now() - start);
  if (WIFEXITED(status)) result.exit_code = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) result.signal = WTERMSIG(status);
  return result;
}

SmallDisk::SmallDisk(std::uint64_t bytes) {
  std::string pattern = (std::filesystem::temp_directory_path() / "imagerank-disk-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) throw_errno("mkdtemp");
  path_ = pattern;
  // Private, so that the mount does not travel back to the machine's own namespace.
  if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      ::mount("tmpfs", path_.c_str(), "tmpfs", 0, fmt::format("size={}", bytes).c_str()) != 0) {
    reason_ = fmt::format("cannot mount a tmpfs here: {}", std::strerror(errno));
  }
}

SmallDisk::~SmallDisk() {
  if (reason_.empty()) ::umount2(path_.c_str(), MNT_DETACH);
  std::error_code error;
  std::filesystem::remove_all(path_, error);
}

void SmallDisk::leave(std::uint64_t bytes) {
  struct statvfs status = {};
  if (::statvfs(path_.c_str(), &status) != 0) throw_errno("statvfs");
  const std::uint64_t used = (status.f_blocks - status.f_bfree) * status.f_frsize;
  resize(std::max<std::uint64_t>(used, status.f_frsize) + bytes);  // a size of 0 would mean no limit
}

void SmallDisk::resize(std::uint64_t bytes) {
  const std::string size = fmt::format("size={}", bytes);
  if (::mount("tmpfs", path_.c_str(), "tmpfs", MS_REMOUNT, size.c_str()) != 0) throw_errno("remount");
}

}  // namespace imagerank::test
