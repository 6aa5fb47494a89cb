#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace imagerank::test {

/// A fresh folder, removed at the end.
class TemporaryFolder {
 public:
  TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder();
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

/// tests/testdata/<name>.
[[nodiscard]] std::filesystem::path testdata(const std::string& name);
/// <root of the source tree>/<name>.
[[nodiscard]] std::filesystem::path source_file(const std::string& name);
/// A file of the shared test data ($IMAGERANK_TEST_DATA, default ../shared of the source tree); "" if it is not there.
/// With IMAGERANK_REQUIRE_TEST_DATA=1 a missing file fails the test. Use through IMAGERANK_SHARED_DATA.
[[nodiscard]] std::filesystem::path find_shared_data(const std::string& name);

void write_text(const std::filesystem::path& path, const std::string& text);
/// A text file's lines, without their ends.
[[nodiscard]] std::vector<std::string> lines_of(const std::filesystem::path& path);

}  // namespace imagerank::test

/// Binds `variable` to the path of a shared data file, or skips the test, saying which file is missing.
#define IMAGERANK_SHARED_DATA(variable, name)                                       \
  const std::filesystem::path variable = ::imagerank::test::find_shared_data(name); \
  if ((variable).empty()) GTEST_SKIP() << "needs " << (name) << " in IMAGERANK_TEST_DATA"
