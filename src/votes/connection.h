#pragma once

// A database through SOCI. Included by this stage's .cpp files only: SOCI stays there.

#include <soci/soci.h>
#include <sys/types.h>

#include <functional>
#include <string>

#include "votes/database_url.h"

namespace imagerank::votes {

enum class OpenMode {
  kReadOnly,  ///< it must be there
  kWrite,     ///< made if missing, brought to this version's schema
};

/// One connection, used by one thread at a time. What the database reports comes as Error: kUnavailable (locked, full,
/// gone), kCorruptData (no database), kNotFound.
class Connection {
 public:
  Connection(DatabaseUrl url, OpenMode mode);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() = default;

  [[nodiscard]] bool is_sqlite() const noexcept { return !url_.sqlite.empty(); }
  [[nodiscard]] const std::string& shown() const noexcept { return url_.shown; }

  /// Runs statements in a transaction of their own: all of them hold afterwards, safe from a crash, or none.
  /// A connection that was lost is made anew first.
  void transact(const std::function<void(soci::session& sql)>& statements);

 private:
  void open();
  void check_file() const;
  [[noreturn]] void translate(const soci::soci_error& error);

  DatabaseUrl url_;
  OpenMode mode_;
  soci::session sql_;
  bool lost_ = false;  ///< the connection is to be made anew
  dev_t device_ = 0;   ///< of the SQLite file that is open
  ino_t inode_ = 0;
};

}  // namespace imagerank::votes
