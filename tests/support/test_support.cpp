#include "support/test_support.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <fstream>

namespace imagerank::test {

TemporaryFolder::TemporaryFolder() {
  static std::atomic<int> counter = 0;
  path_ = std::filesystem::temp_directory_path() /
          ("imagerank-test-" + std::to_string(::getpid()) + "-" + std::to_string(counter++));
  std::filesystem::create_directories(path_);
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::filesystem::path testdata(const std::string& name) { return source_file("tests/testdata") / name; }

std::filesystem::path source_file(const std::string& name) {
  return std::filesystem::path(IMAGERANK_SOURCE_DIR) / name;
}

std::filesystem::path find_shared_data(const std::string& name) {
  const char* const configured = std::getenv("IMAGERANK_TEST_DATA");
  const std::filesystem::path root = configured != nullptr ? configured : source_file("../shared");
  std::filesystem::path path = root / name;
  if (std::filesystem::exists(path)) return path;
  const char* const required = std::getenv("IMAGERANK_REQUIRE_TEST_DATA");
  if (required != nullptr && std::string(required) == "1") {
    ADD_FAILURE() << "missing test data: " << path << " (IMAGERANK_REQUIRE_TEST_DATA=1)";
  }
  return {};
}

std::vector<std::string> lines_of(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

void write_text(const std::filesystem::path& path, const std::string& text) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

}  // namespace imagerank::test
