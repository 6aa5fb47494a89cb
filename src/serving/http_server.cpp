#include "serving/http_server.h"

#include <sys/resource.h>

#include <algorithm>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/thread_pool.hpp>
#include <csignal>
#include <unordered_set>
#include <utility>

#include "core/fail.h"
#include "serving/http_session.h"

namespace imagerank::serving {
namespace {

using net::ip::tcp;

/// As many connections as the system allows this process.
void raise_file_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

std::optional<net::ssl::context> make_tls(const ServerOptions& options) {
  if (options.tls_certificate.empty() && options.tls_key.empty()) return std::nullopt;
  for (const auto& path : {options.tls_certificate, options.tls_key}) {
    if (path.empty()) fail(ErrorCode::kInvalidArgument, "TLS: expected a certificate and a key, found one of them");
    if (!std::filesystem::exists(path))
      fail(ErrorCode::kNotFound, "{}: expected a PEM file, found none", path.string());
  }
  net::ssl::context context(net::ssl::context::tls_server);
  context.set_options(net::ssl::context::default_workarounds | net::ssl::context::no_tlsv1 |
                      net::ssl::context::no_tlsv1_1);
  boost::system::error_code error;
  context.use_certificate_chain_file(options.tls_certificate.string(), error);
  if (error) {
    fail(ErrorCode::kCorruptData, "{}: expected a PEM certificate: {}", options.tls_certificate.string(),
         error.message());
  }
  context.use_private_key_file(options.tls_key.string(), net::ssl::context::pem, error);
  if (error) {
    fail(ErrorCode::kCorruptData, "{}: expected the certificate's PEM key: {}", options.tls_key.string(),
         error.message());
  }
  return context;
}

}  // namespace

void ServerOptions::validate() const {
  const bool times = idle_timeout_ms > 0 && header_timeout_ms > 0 && body_timeout_ms > 0 && write_timeout_ms > 0;
  if (!times || max_header_bytes < 1024 || max_body_bytes == 0 || max_connections == 0) {
    fail(ErrorCode::kInvalidArgument,
         "serve: expected time-outs above 0 ms, headers of 1024 bytes or more, bodies and connections of 1 or more");
  }
}

struct HttpServer::State {
  ServerOptions options;
  RequestHandler handler;
  std::optional<net::ssl::context> tls;
  std::unordered_set<AnySession*> sessions;
  SessionHost host;
  std::shared_ptr<net::io_context> network = std::make_shared<net::io_context>(1);  // after what its sessions use
  net::thread_pool handlers{1};  // parsing a large body holds no connection up
  tcp::acceptor acceptor{*network};
  net::steady_timer accept_again{*network};
  net::signal_set hang_up{*network};
  std::uint16_t port = 0;  ///< that it listens on

  State(const ServerOptions& given, RequestHandler handle, Access& access, Metrics& metrics)
      : options(given),
        handler(std::move(handle)),
        tls(make_tls(given)),
        host{options, network, access, metrics, [this](HttpRequest&& request, Respond respond) {
               net::post(handlers, [this, request = std::make_shared<HttpRequest>(std::move(request)),
                                    respond = std::move(respond)] { handler(std::move(*request), respond); });
             }} {}

  void listen();
  void accept();
  template <typename Stream>
  void begin(Stream&& stream);
  void watch_hang_up(const std::function<void(const std::string&)>& note);
  void drain();
};

void HttpServer::State::listen() {
  boost::system::error_code error;
  const auto address = net::ip::make_address(options.host, error);
  if (error) fail(ErrorCode::kInvalidArgument, "--host: expected an address, found '{}'", options.host);
  const tcp::endpoint endpoint(address, options.port);
  const auto check = [&] {
    if (error) fail(ErrorCode::kUnavailable, "{}:{}: cannot listen: {}", options.host, options.port, error.message());
  };
  acceptor.open(endpoint.protocol(), error);
  check();
  acceptor.set_option(net::socket_base::reuse_address(true), error);
  acceptor.bind(endpoint, error);
  check();
  acceptor.listen(4096, error);
  check();
  port = acceptor.local_endpoint().port();
}

void HttpServer::State::accept() {
  acceptor.async_accept([this](beast::error_code error, tcp::socket socket) {
    if (!acceptor.is_open()) return;
    if (error) {  // out of files: wait for connections to end
      accept_again.expires_after(std::chrono::milliseconds(50));
      accept_again.async_wait([this](beast::error_code stopped) {
        if (!stopped && acceptor.is_open()) accept();
      });
      return;
    }
    if (sessions.size() < options.max_connections) {
      boost::system::error_code ignored;
      socket.set_option(tcp::no_delay(true), ignored);
      if (tls) {
        begin(beast::ssl_stream<beast::tcp_stream>(beast::tcp_stream(std::move(socket)), *tls));
      } else {
        begin(beast::tcp_stream(std::move(socket)));
      }
    }
    accept();
  });
}

template <typename Stream>
void HttpServer::State::begin(Stream&& stream) {
  const auto session = std::make_shared<HttpSession<std::remove_cvref_t<Stream>>>(std::forward<Stream>(stream), host,
                                                                                  [this](AnySession* ended) {
                                                                                    sessions.erase(ended);
                                                                                    host.metrics.remove_connection();
                                                                                  });
  sessions.insert(session.get());
  host.metrics.add_connection();
  session->start();
}

void HttpServer::State::watch_hang_up(const std::function<void(const std::string&)>& note) {
  hang_up.async_wait([this, note](beast::error_code error, int) {
    if (error) return;
    try {
      host.access.reload();
      note("SIGHUP: tokens read again");
    } catch (const Error& problem) {
      note(std::string("SIGHUP: tokens stay as they were: ") + problem.what());
    }
    watch_hang_up(note);
  });
}

void HttpServer::State::drain() {
  host.draining = true;
  acceptor.close();
  accept_again.cancel();
  hang_up.cancel();
  const std::vector<AnySession*> open(sessions.begin(), sessions.end());
  for (AnySession* const session : open) session->drain();
}

HttpServer::HttpServer(const ServerOptions& options, RequestHandler handler, Access& access, Metrics& metrics) {
  options.validate();
  state_ = std::make_unique<State>(options, std::move(handler), access, metrics);
  state_->listen();
}

HttpServer::~HttpServer() { state_->handlers.join(); }

std::uint16_t HttpServer::port() const noexcept { return state_->port; }

void HttpServer::run(const std::stop_token& stop, const std::function<void(const std::string&)>& note) {
  raise_file_limit();
  state_->hang_up.add(SIGHUP);
  state_->watch_hang_up(note);
  state_->accept();
  const std::stop_callback on_stop(stop, [this] { net::post(*state_->network, [this] { state_->drain(); }); });
  state_->network->run();
  state_->handlers.join();
}

}  // namespace imagerank::serving
