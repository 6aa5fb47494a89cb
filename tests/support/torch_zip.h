#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace imagerank::test {

/// A zip archive of stored files, with just what readers of such archives need.
[[nodiscard]] std::string zip_of(const std::vector<std::pair<std::string, std::string>>& files);

/// Opcodes of a pickle, one behind the other.
class PickleWriter {
 public:
  PickleWriter& raw(const std::string& bytes);
  PickleWriter& text(const std::string& value);
  PickleWriter& integer(std::int64_t value);
  PickleWriter& integers(const std::vector<std::int64_t>& values);  ///< a tuple
  PickleWriter& global(const std::string& module, const std::string& name);
  [[nodiscard]] const std::string& bytes() const noexcept { return bytes_; }

 private:
  std::string bytes_ = "\x80\x02";
};

}  // namespace imagerank::test
