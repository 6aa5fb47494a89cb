#pragma once

#include <stdexcept>
#include <string>

namespace imagerank {

/// Why an operation could not go on. The command line's exit code and HTTP's status follow from it.
enum class ErrorCode {
  kInvalidArgument,  ///< the caller's option or value is wrong: exit 2
  kNotFound,         ///< a file, table, reward or model is missing: exit 1
  kCorruptData,      ///< input does not parse, or lies about itself: exit 1
  kResourceLimit,    ///< a size limit, memory or disk: exit 1
  kIo,               ///< reading or writing failed: exit 1
  kUnavailable,      ///< network, or a feature that was not compiled in: exit 1
  kRefused,          ///< possible, but dishonest or unsafe without an explicit flag: exit 1
  kCancelled,        ///< stopped on request; the same command resumes: exit 130
};

/// The one exception of the library: thrown only when the operation asked for cannot go on.
/// what() is one line: place, thing, what was expected, what was found.
class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  [[nodiscard]] ErrorCode code() const noexcept { return code_; }

 private:
  ErrorCode code_;
};

/// The process exit code of an error: 2 for kInvalidArgument, 130 for kCancelled, otherwise 1.
[[nodiscard]] int exit_code(ErrorCode code) noexcept;

}  // namespace imagerank
