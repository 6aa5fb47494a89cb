#include "preferences/sql_rules.h"

#include <fmt/format.h>

#include "workspace/database.h"

namespace imagerank::preferences {

std::string uid_of_path(const std::string& expression, std::string_view dataset) {
  const std::string_view uuid = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}";
  return fmt::format(
      R"(CASE WHEN {0} IS NULL OR {0} = '' OR regexp_matches({0}, '^/|(^|/)\.\.(/|$)|[\x00-\x1f\x7f]') THEN {0}
              WHEN regexp_matches({0}, '(^|/){2}\.[A-Za-z0-9]+$') THEN regexp_extract({0}, '({2})\.[A-Za-z0-9]+$', 1)
              ELSE {1} || md5({0}) END)",
      expression, workspace::sql_literal(fmt::format("{}-", dataset)), uuid);
}

std::string uid_of_url(const std::string& expression) { return fmt::format("('url-' || md5({}))", expression); }

std::string is_url(const std::string& expression) {
  return fmt::format("regexp_matches({}, '(?i)^(https?|file)://')", expression);
}

std::string dense_ranks(const std::string& expression) {
  return fmt::format(R"(
    CASE WHEN len(list_filter({0}, v -> v IS NOT NULL AND isfinite(v))) = len({0})
         THEN CAST(list_transform({0}, v -> list_position(list_sort(list_distinct({0})), v)) AS INTEGER[])
         ELSE CAST([] AS INTEGER[]) END)",
                     expression);
}

std::string best_by_ranks(const std::string& uids, const std::string& ranks) {
  return fmt::format("CASE WHEN len(list_filter({1}, v -> v = 1)) = 1 THEN {0}[list_position({1}, 1)] END", uids,
                     ranks);
}

}  // namespace imagerank::preferences
