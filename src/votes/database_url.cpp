#include "votes/database_url.h"

#include <string_view>

#include "core/fail.h"

namespace imagerank::votes {

DatabaseUrl parse_database_url(const std::string& url) {
  constexpr std::string_view kSqlite = "sqlite://";
  constexpr std::string_view kPostgres = "postgres://", kPostgresql = "postgresql://";
  DatabaseUrl result;
  if (url.starts_with(kSqlite)) {
    const std::string file = url.substr(kSqlite.size());
    // SOCI takes the name between quotes.
    if (file.empty() || file.find_first_of("\"\n") != std::string::npos) {
      fail(ErrorCode::kInvalidArgument, "database: expected sqlite://FILE with a file's name, found '{}'", url);
    }
    result.sqlite = file;
    result.shown = file;
    return result;
  }
  if (url.starts_with(kPostgres) || url.starts_with(kPostgresql)) {
    const std::size_t begin = url.find("://") + 3;
    const std::string rest = url.substr(begin, url.find('?', begin) - begin);
    const std::size_t at = rest.rfind('@');
    result.postgresql = url;
    result.shown = "postgresql://" + (at == std::string::npos ? rest : rest.substr(at + 1));
    return result;
  }
  fail(ErrorCode::kInvalidArgument, "database: expected sqlite://FILE or postgresql://HOST/NAME, found '{}'",
       url.substr(0, url.find_first_of(":/@")));
}

}  // namespace imagerank::votes
