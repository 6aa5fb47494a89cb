#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "core/atomic_file.h"
#include "preferences/import.h"
#include "support/test_support.h"

namespace imagerank::preferences {

/// A workspace, and small files made for a test.
class ImportWorld : public ::testing::Test {
 protected:
  std::filesystem::path write(const std::string& name, const std::string& select) {
    workspace::Database database;
    database.write_parquet(select, folder_ / name);
    return folder_ / name;
  }
  std::filesystem::path text(const std::string& name, const std::string& content) {
    test::write_text(folder_ / name, content);
    return folder_ / name;
  }
  ImportCounts import(const std::string& format, const std::vector<std::filesystem::path>& files,
                      const ImportOptions& options = {}) {
    return import_files(workspace_, format_of(format), files, options, {});
  }
  /// A query over the workspace's tables.
  workspace::Table query(const std::string& sql) {
    workspace::Database database;
    for (const char* table : {"rankings", "images", "ratings"}) workspace_.attach_or_empty(database, table);
    return database.query(sql);
  }
  /// Rows of one column, in the order of the query.
  std::vector<std::string> texts(const std::string& sql) { return query(sql).columns.at(0).text; }
  std::int64_t count(const std::string& sql) { return query(sql).columns.at(0).integer.at(0); }
  std::map<std::string, workspace::Ranking> rankings_by_prompt() {
    std::map<std::string, workspace::Ranking> rows;
    for (workspace::Ranking& row : workspace_.load_rankings()) rows.emplace(row.prompt, row);
    return rows;
  }

  /// The import fails with one line that names the file and holds `parts`, and leaves the workspace as it was.
  void expect_refused(const std::string& format, const std::vector<std::filesystem::path>& files, ErrorCode code,
                      const std::vector<std::string>& parts, const ImportOptions& options = {}) {
    const auto before = snapshot();
    try {
      import(format, files, options);
      ADD_FAILURE() << files.back();
    } catch (const Error& error) {
      const std::string message = error.what();
      EXPECT_EQ(error.code(), code) << message;
      EXPECT_EQ(message.find('\n'), std::string::npos) << message;
      EXPECT_NE(message.find(files.back().filename().string()), std::string::npos) << message;
      for (const std::string& part : parts) EXPECT_NE(message.find(part), std::string::npos) << message;
    }
    EXPECT_EQ(snapshot(), before);
  }
  /// Every file of the workspace with its bytes.
  std::map<std::string, std::string> snapshot() {
    std::map<std::string, std::string> files;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(workspace_.root())) {
      if (entry.is_regular_file()) files[entry.path().string()] = load_file(entry.path());
    }
    return files;
  }

  test::TemporaryFolder folder_;
  workspace::Workspace workspace_ = workspace::Workspace::create(folder_ / "w");
};

using Skipped = std::map<std::string, std::int64_t>;

}  // namespace imagerank::preferences
