#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace imagerank::test {

struct HttpRequest {
  std::string path;                                          ///< "/a.png"
  int visit = 0;                                             ///< how often this path was asked for before
  int connection = 0;                                        ///< number of the connection it came on
  std::string method;                                        ///< "GET"
  std::vector<std::pair<std::string, std::string>> headers;  ///< lower-case names

  /// "" if there was none.
  [[nodiscard]] std::string header(const std::string& name) const;
};

/// What to answer, and what to do wrong while answering.
struct HttpResponse {
  int status = 200;
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;
  std::optional<std::uint64_t> claimed_length;  ///< Content-Length, where it is to differ from the body's
  std::optional<std::size_t> drop_after;        ///< closes the connection after so many bytes of the body
  std::chrono::milliseconds delay_before{0};    ///< before the first byte of the answer
  std::size_t piece = 0;                        ///< the body goes out in pieces of so many bytes; 0: all at once
  std::chrono::milliseconds delay_between{0};   ///< between pieces
};

/// A small HTTP/1.1 server on 127.0.0.1 that misbehaves as told: one thread a connection, connections kept alive.
/// The handler is called from those threads.
class HttpServer {
 public:
  using Handler = std::function<HttpResponse(const HttpRequest&)>;

  explicit HttpServer(Handler handler);
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;
  /// Cuts all connections, delays included.
  ~HttpServer();

  [[nodiscard]] int port() const noexcept { return port_; }
  /// "http://127.0.0.1:<port><path>"
  [[nodiscard]] std::string url(const std::string& path) const;
  [[nodiscard]] int requests() const noexcept { return requests_; }
  [[nodiscard]] int connections() const noexcept { return connections_; }
  [[nodiscard]] int visits(const std::string& path);
  /// The most requests that were being answered at one time.
  [[nodiscard]] int most_at_once() const noexcept { return most_at_once_; }

 private:
  struct Connection {
    int descriptor;
    std::thread thread;
  };
  void accept_loop();
  void serve(int descriptor, int number);
  bool answer(int descriptor, const HttpResponse& response);
  /// @return false if the server is closing.
  bool pause(std::chrono::milliseconds time);

  Handler handler_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<int> requests_{0};
  std::atomic<int> connections_{0};
  std::atomic<int> at_once_{0};
  std::atomic<int> most_at_once_{0};
  std::mutex mutex_;
  std::condition_variable closing_changed_;
  bool closing_ = false;
  std::vector<std::pair<std::string, int>> visits_;
  std::list<Connection> open_;
  std::thread acceptor_;
};

}  // namespace imagerank::test
