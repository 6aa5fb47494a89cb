#include "support/postgres_server.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "support/free_port.h"

namespace imagerank::test {
namespace {

std::string find_programs() {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/usr/lib/postgresql", ignored)) {
    if (std::filesystem::exists(entry.path() / "bin/initdb")) return (entry.path() / "bin").string();
  }
  return "";
}

}  // namespace

PostgresServer::PostgresServer() : programs_(find_programs()), port_(free_port()) {
  if (programs_.empty()) {
    reason_ = "needs PostgreSQL's initdb (Debian: postgresql)";
    return;
  }
  if (::geteuid() == 0) {  // the server refuses to run as root
    std::filesystem::permissions(folder_.path(), std::filesystem::perms::all);
  }
  const std::string data = (folder_.path() / "data").string();
  if (!run(fmt::format("initdb -D {} -A trust -U voter -E UTF8 --locale=C --no-sync", data))) {
    reason_ = "initdb failed: " + (folder_.path() / "log").string();
    return;
  }
  start();
}

PostgresServer::~PostgresServer() { stop(); }

bool PostgresServer::run(const std::string& command) const {
  const std::string who = ::geteuid() == 0 ? "runuser -u nobody -- " : "";
  const std::string line =
      fmt::format("cd {0} && {1}{2}/{3} >>{0}/log 2>&1", folder_.path().string(), who, programs_, command);
  return std::system(line.c_str()) == 0;  // NOLINT(cert-env33-c)
}

void PostgresServer::start() {
  if (running_) return;
  running_ =
      run(fmt::format("pg_ctl -D {0}/data -w -l {0}/data/log -o '-p {1} -k {0} -c listen_addresses=127.0.0.1 "
                      "-c max_connections=30 -c fsync=off' start",
                      folder_.path().string(), port_));
  if (!running_) reason_ = "the server did not start";
}

void PostgresServer::stop() {
  if (running_) running_ = !run(fmt::format("pg_ctl -D {}/data -w -m immediate stop", folder_.path().string()));
}

std::string PostgresServer::make_database() {
  const std::string name = fmt::format("votes{}", ++databases_);
  if (!run(fmt::format("createdb -h 127.0.0.1 -p {} -U voter {}", port_, name))) return "";
  return fmt::format("postgresql://voter@127.0.0.1:{}/{}", port_, name);
}

}  // namespace imagerank::test
