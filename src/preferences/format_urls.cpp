#include <algorithm>
#include <cctype>
#include <fstream>

#include "core/fail.h"
#include "preferences/formats.h"
#include "preferences/source.h"
#include "preferences/sql_rules.h"

namespace imagerank::preferences {
namespace {

/// A select of url and prompt from a table, whose columns may be called as img2dataset's inputs are.
std::string from_table(Incoming& incoming, const Source& source) {
  const auto find = [&](std::initializer_list<std::string_view> names) {
    for (const auto& [column, type] : source.columns()) {
      std::string lower = column;
      std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
      if (std::ranges::find(names, lower) != names.end()) return column;
    }
    return std::string();
  };
  const std::string url = find({"url", "image_url"});
  const std::string prompt = find({"prompt", "caption", "text"});
  if (url.empty())
    fail(ErrorCode::kCorruptData, "expected a column 'url', or one URL a line, found columns {}", source.column_list());
  for (const auto& [column, type] : source.columns()) {
    if (column != url && column != prompt) incoming.ignore_column(column);
  }
  return fmt::format("SELECT trim({}) AS url, {} AS prompt FROM {}", source.text(url), source.text(prompt),
                     source.from());
}

/// A select of url and prompt from lines. Neither quotes nor commas mean anything in them.
std::string from_lines(const std::filesystem::path& file) {
  return fmt::format(R"(
    SELECT trim(split_part(line, chr(9), 1)) AS url, substr(line, strpos(line || chr(9), chr(9)) + 1) AS prompt
    FROM (SELECT trim(replace(line, chr(13), '')) AS line
          FROM read_csv({}, auto_detect=false, header=false, delim=chr(1), quote='', escape='', strict_mode=false, columns={{'line': 'VARCHAR'}}))
    WHERE line <> '' AND NOT starts_with(line, '#'))",
                     workspace::sql_literal(file.string()));
}

/// Whether the first line that says something is a URL (or nothing does), rather than a table's header.
bool is_list_of_lines(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  constexpr int kMaxComments = 1000;
  std::string line;
  for (int i = 0; i < kMaxComments && std::getline(stream, line); ++i) {
    if (i == 0 && line.starts_with("PAR1")) return false;
    if (i == 0 && line.starts_with("\xEF\xBB\xBF")) line.erase(0, 3);
    const std::size_t start = line.find_first_not_of(" \t\r");
    if (start == std::string::npos || line[start] == '#') continue;
    return line.substr(0, line.find('\t')).find("://") != std::string::npos && line[start] != '{' && line[start] != '[';
  }
  return false;
}

}  // namespace

void read_urls(Incoming& incoming, const std::filesystem::path& file, const ImportOptions& options) {
  static_cast<void>(options);
  workspace::Database& database = incoming.database();
  database.execute("CREATE OR REPLACE TABLE url_row AS " +
                   (is_list_of_lines(file) ? from_lines(file) : from_table(incoming, Source(incoming, file))));
  incoming.skip("bad_url", database.query_integer(
                               fmt::format("SELECT count(*) FROM url_row WHERE url IS NULL OR NOT {}", is_url("url"))));
  incoming.add_images(fmt::format(
      "SELECT {}, url, '', '', prompt, 0, 0, '', '' FROM (SELECT url, coalesce(min(prompt), '') AS prompt FROM url_row "
      "WHERE {} GROUP BY url)",
      uid_of_url("url"), is_url("url")));
}

}  // namespace imagerank::preferences
