#pragma once

#include <cstdint>
#include <string>

#include "support/test_support.h"

namespace imagerank::test {

/// A PostgreSQL server of its own on 127.0.0.1, in a temporary folder, run by a user who is not root; stopped at the
/// end. Needs initdb and pg_ctl (Debian: postgresql).
class PostgresServer {
 public:
  /// Waits until it answers.
  PostgresServer();
  PostgresServer(const PostgresServer&) = delete;
  PostgresServer& operator=(const PostgresServer&) = delete;
  ~PostgresServer();

  /// Why there is none; "" if it runs.
  [[nodiscard]] const std::string& reason() const noexcept { return reason_; }
  /// A new, empty database. @return its URL.
  [[nodiscard]] std::string make_database();
  void stop();
  void start();

 private:
  [[nodiscard]] bool run(const std::string& command) const;

  TemporaryFolder folder_;
  std::string programs_;
  std::string reason_;
  std::uint16_t port_ = 0;
  int databases_ = 0;
  bool running_ = false;
};

}  // namespace imagerank::test
