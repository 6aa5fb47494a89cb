#include "votes/connection.h"

#include <soci/postgresql/soci-postgresql.h>
#include <soci/sqlite3/soci-sqlite3.h>
#include <sys/stat.h>

#include <algorithm>
#include <cctype>
#include <memory>
#include <utility>

#include "core/fail.h"
#include "core/shown.h"

namespace imagerank::votes {
namespace {

/// What a database says, as one line.
std::string one_line(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  std::ranges::replace(text, '\n', ' ');
  constexpr std::size_t kMost = 300;
  return imagerank::shown(text, kMost);
}

/// "host='...' port='...'": SOCI takes no URL. @throws Error kInvalidArgument, without a word of the URL's values.
std::string connect_string(const DatabaseUrl& url) {
  const std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> options(
      PQconninfoParse(url.postgresql.c_str(), nullptr), PQconninfoFree);
  if (options == nullptr) {
    fail(ErrorCode::kInvalidArgument, "database: expected postgresql://HOST:PORT/NAME, found what is no such URL");
  }
  std::string text;
  for (const PQconninfoOption* option = options.get(); option->keyword != nullptr; ++option) {
    if (option->val == nullptr) continue;
    std::string value;
    for (const char* c = option->val; *c != '\0'; ++c) {
      // SOCI splits at white space, quoted or not.
      if (std::isspace(static_cast<unsigned char>(*c)) != 0) {
        fail(ErrorCode::kInvalidArgument, "database: expected a URL without white space, found some in its {}",
             option->keyword);
      }
      if (*c == '\'' || *c == '\\') value += '\\';
      value += *c;
    }
    text += fmt::format("{}{}='{}'", text.empty() ? "" : " ", option->keyword, value);
  }
  return text;
}

}  // namespace

Connection::Connection(DatabaseUrl url, OpenMode mode) : url_(std::move(url)), mode_(mode) { open(); }

void Connection::open() {
  try {
    if (!is_sqlite()) {
      sql_.open(soci::postgresql, connect_string(url_));
      // Whoever holds a lock is waited for, but not for ever. Answers are acknowledgements: on disk first.
      sql_ << "SET lock_timeout = '3s'";
      sql_ << "SET statement_timeout = '60s'";
      sql_ << "SET client_min_messages = 'warning'";
      sql_ << "SET synchronous_commit = 'on'";
      if (mode_ == OpenMode::kReadOnly) sql_ << "SET default_transaction_read_only = 'on'";
    } else {
      const bool read_only = mode_ == OpenMode::kReadOnly;
      if (read_only && !std::filesystem::exists(url_.sqlite)) {
        fail(ErrorCode::kNotFound, "{}: expected a votes database, found no file", url_.shown);
      }
      sql_.open(soci::sqlite3,
                fmt::format("db=\"{}\" timeout=3 {}", url_.sqlite.string(), read_only ? "readonly=1" : ""));
      if (!read_only) {
        std::string journal;
        sql_ << "PRAGMA journal_mode = WAL", soci::into(journal);
        sql_ << "PRAGMA synchronous = FULL";
        sql_ << "PRAGMA foreign_keys = ON";
      }
      struct stat status{};
      if (inode_ == 0 && ::stat(url_.sqlite.c_str(), &status) == 0) {
        device_ = status.st_dev;
        inode_ = status.st_ino;
      }
    }
    lost_ = false;
  } catch (const soci::soci_error& error) {
    translate(error);
  }
}

/// SQLite goes on writing to a file that was deleted or replaced; votes in it would be lost.
void Connection::check_file() const {
  if (!is_sqlite()) return;
  struct stat status{};
  if (::stat(url_.sqlite.c_str(), &status) != 0 || status.st_dev != device_ || status.st_ino != inode_) {
    fail(ErrorCode::kUnavailable, "{}: expected the database that was opened, found {}", url_.shown,
         std::filesystem::exists(url_.sqlite) ? "another file" : "none");
  }
}

void Connection::translate(const soci::soci_error& error) {
  const std::string message = one_line(error.get_error_message());
  if (const auto* const sqlite = dynamic_cast<const soci::sqlite3_soci_error*>(&error)) {
    constexpr int kPrimary = 0xff;  // of SQLite's extended codes
    switch (sqlite->result() & kPrimary) {
      case SQLITE_BUSY:
      case SQLITE_LOCKED:
        fail(ErrorCode::kUnavailable, "{}: the database is locked by another program", url_.shown);
      case SQLITE_FULL:
        fail(ErrorCode::kUnavailable, "{}: the disk is full", url_.shown);
      case SQLITE_NOTADB:
      case SQLITE_CORRUPT:
        fail(ErrorCode::kCorruptData, "{}: expected a SQLite database: {}", url_.shown, message);
      default:
        fail(ErrorCode::kUnavailable, "{}: {}", url_.shown, message);
    }
  }
  if (!is_sqlite()) lost_ = true;  // a new connection settles whatever state this one is in
  if (const auto* const postgres = dynamic_cast<const soci::postgresql_soci_error*>(&error)) {
    const std::string state = postgres->sqlstate();
    if (state == "55P03") fail(ErrorCode::kUnavailable, "{}: the database is locked by another program", url_.shown);
    if (state == "53100") fail(ErrorCode::kUnavailable, "{}: the disk is full", url_.shown);
  }
  fail(ErrorCode::kUnavailable, "{}: {}", url_.shown, message);
}

void Connection::transact(const std::function<void(soci::session&)>& statements) {
  check_file();
  if (lost_) {
    sql_.close();
    open();
  }
  const bool writes = mode_ == OpenMode::kWrite;
  try {
    // A transaction that starts by reading could not be waited for when it comes to write.
    sql_ << (is_sqlite() && writes ? "BEGIN IMMEDIATE" : "BEGIN");
    statements(sql_);
    sql_ << "COMMIT";
  } catch (...) {
    try {
      sql_ << "ROLLBACK";
    } catch (const soci::soci_error&) {
      lost_ = true;
    }
    try {
      throw;
    } catch (const soci::soci_error& error) {
      translate(error);
    }
  }
  check_file();
}

}  // namespace imagerank::votes
