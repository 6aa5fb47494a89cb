#include "workspace/file_patterns.h"

#include <string>
#include <unordered_set>

#include "core/fail.h"
#include "workspace/database.h"

namespace imagerank::workspace {

std::vector<std::filesystem::path> expand_patterns(const std::vector<std::filesystem::path>& patterns,
                                                   std::string_view example) {
  std::vector<std::filesystem::path> found;
  std::unordered_set<std::string> seen;
  const auto add = [&](const std::filesystem::path& file) {
    if (seen.insert(file.string()).second) found.push_back(file);
  };
  for (const std::filesystem::path& pattern : patterns) {
    std::error_code error;
    if (std::filesystem::is_directory(pattern, error)) {
      fail(ErrorCode::kInvalidArgument, "{}: expected a file, found a folder; '{}/{}' names the files in it",
           pattern.string(), pattern.string(), example);
    }
    if (std::filesystem::exists(pattern, error)) {
      add(pattern);
      continue;
    }
    if (pattern.string().find_first_of("*?[") == std::string::npos)
      fail(ErrorCode::kNotFound, "{}: expected a file, found nothing", pattern.string());
    Database database(1);
    const Table matches =
        database.query(fmt::format("SELECT file FROM glob({}) ORDER BY file", sql_literal(pattern.string())));
    if (matches.row_count == 0)
      fail(ErrorCode::kNotFound, "{}: expected at least one file, found no match", pattern.string());
    for (const std::string& match : matches.columns[0].text) add(match);
  }
  return found;
}

}  // namespace imagerank::workspace
