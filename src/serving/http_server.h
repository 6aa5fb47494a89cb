#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>

#include "serving/access.h"
#include "serving/http_message.h"
#include "serving/metrics.h"

namespace imagerank::serving {

struct ServerOptions {
  std::string host = "127.0.0.1";  ///< an address to listen on
  std::uint16_t port = 8080;       ///< 0: any that is free
  std::size_t max_header_bytes = 16'384;
  std::size_t max_body_bytes = std::size_t{64} << 20;
  std::size_t max_connections = 8192;
  int idle_timeout_ms = 75'000;           ///< between requests, and before the first
  int header_timeout_ms = 10'000;         ///< from a request's first byte to its last header
  int body_timeout_ms = 60'000;           ///< of the body
  int write_timeout_ms = 60'000;          ///< of an answer
  std::filesystem::path tls_certificate;  ///< PEM, the chain; empty: no TLS
  std::filesystem::path tls_key;          ///< PEM

  /// @throws Error kInvalidArgument.
  void validate() const;
};

/// Answers a request; see HttpResponse and Respond. Called on one thread of the server's, one call after the other.
using RequestHandler = std::function<void(HttpRequest&&, Respond)>;

/// HTTP/1.1 with keep-alive, on one thread for all connections. It lets in, reads whole requests within their limits
/// and writes answers; what they mean is the handler's. Errors of its own: 400 (not HTTP, two lengths), 401, 408, 413,
/// 431.
class HttpServer {
 public:
  /// Listens at once. `access` and `metrics` outlive it. @throws Error kInvalidArgument, kUnavailable (the address is
  /// taken or not ours), kNotFound and kCorruptData (TLS files).
  HttpServer(const ServerOptions& options, RequestHandler handler, Access& access, Metrics& metrics);
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;
  ~HttpServer();

  [[nodiscard]] std::uint16_t port() const noexcept;
  /// Serves until a stop is requested; then takes no connection any more, closes those that are idle, answers each
  /// request that has begun, and returns. SIGHUP reads the tokens again.
  /// @param note  gets a line for whoever runs the server.
  void run(const std::stop_token& stop, const std::function<void(const std::string&)>& note);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace imagerank::serving
