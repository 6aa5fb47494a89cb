#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace imagerank::test {

struct ChildOptions {
  std::function<bool()> kill_when;              ///< kill -9 once this is true; asked every millisecond
  std::function<bool()> interrupt_when;         ///< the same with SIGINT, as Ctrl-C sends it
  std::optional<std::uint64_t> max_file_bytes;  ///< RLIMIT_FSIZE: writing beyond fails, as on a full disk
  std::string standard_output;                  ///< a file to write to, such as "/dev/full"; "" captures
};

struct ChildResult {
  int exit_code = -1;  ///< -1 if a signal ended it
  int signal = 0;
  std::string out;
  std::string err;
  std::chrono::milliseconds time{0};
};

/// Runs a program to its end, or to its killing. Waits at most two minutes. @throws std::runtime_error.
ChildResult run_child(const std::filesystem::path& program, const std::vector<std::string>& arguments,
                      const ChildOptions& options = {});

/// A tmpfs of so many bytes on a fresh folder, in a mount namespace of the calling thread's own: children see it.
/// Threads that exist already do not.
class SmallDisk {
 public:
  /// Whether this process may mount; `reason` says why not.
  explicit SmallDisk(std::uint64_t bytes);
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  ~SmallDisk();
  /// "" if it is mounted.
  [[nodiscard]] const std::string& reason() const noexcept { return reason_; }
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  /// Shrinks it to what is used and so many bytes more.
  void leave(std::uint64_t bytes);
  void resize(std::uint64_t bytes);

 private:
  std::filesystem::path path_;
  std::string reason_;
};

}  // namespace imagerank::test
