#pragma once

#include <filesystem>
#include <string>

namespace imagerank::votes {

/// Where votes are kept.
struct DatabaseUrl {
  std::filesystem::path sqlite;  ///< the file; empty: PostgreSQL
  std::string postgresql;        ///< the whole URL, as libpq takes it
  std::string shown;             ///< for messages: without user and password
};

/// "sqlite://votes.db" (sqlite:///tmp/votes.db is absolute) or "postgresql://[user[:password]@]host[:port]/database".
/// @throws Error kInvalidArgument; the message holds no password.
[[nodiscard]] DatabaseUrl parse_database_url(const std::string& url);

}  // namespace imagerank::votes
