#pragma once

// What the tests of kills and of full disks share: the program itself, and a look at what it left.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "support/child_process.h"
#include "support/test_support.h"
#include "workspace/database.h"

namespace imagerank::cli {

using Arguments = std::vector<std::string>;
using Path = std::filesystem::path;
using test::ChildOptions;
using test::ChildResult;
using test::TemporaryFolder;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

inline ChildResult run_program(const Arguments& arguments, const ChildOptions& options = {}) {
  return test::run_child(IMAGERANK_PROGRAM, arguments, options);
}

inline std::size_t count_files(const Path& folder, const std::function<bool(const Path&)>& wanted) {
  std::error_code error;
  std::size_t count = 0;
  for (std::filesystem::recursive_directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    if (at->is_regular_file(error) && wanted(at->path())) ++count;
  }
  return count;
}

inline bool is_hidden(const Path& path) { return path.filename().string().starts_with("."); }

inline std::size_t temporaries(const Path& folder) { return count_files(folder, is_hidden); }

inline void write_rankings_file(const Path& path, int rows) {
  workspace::Database database;
  database.write_parquet(
      fmt::format(
          "SELECT i AS ranking_id, 'u' || (i % 7) AS user_id, 'prompt ' || (i // 3) AS prompt, "
          "md5('a' || i) AS image_1_uid, md5('b' || i) AS image_2_uid, md5('c' || i) AS image_3_uid, "
          "md5('d' || i) AS image_4_uid, CASE WHEN i % 4 = 0 THEN 'none' ELSE md5('b' || i) END AS "
          "best_image_uid, TIMESTAMP '2023-01-01 00:00:00' + INTERVAL (i) SECOND AS created_at FROM range({}) t(i)",
          rows),
      path);
}

}  // namespace imagerank::cli
