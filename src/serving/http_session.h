#pragma once

// One connection. Included by http_server.cpp only: Beast stays there.

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "serving/http_server.h"

namespace imagerank::serving {

namespace beast = boost::beast;
namespace http = boost::beast::http;
namespace net = boost::asio;

/// What sessions need of their server; all of it on the server's one thread.
struct SessionHost {
  const ServerOptions& options;
  const std::shared_ptr<net::io_context>& network;
  Access& access;
  Metrics& metrics;
  std::function<void(HttpRequest&&, Respond)> handle;  ///< returns at once
  bool draining = false;
};

/// What the server tells a session.
class AnySession {
 public:
  virtual ~AnySession() = default;
  /// Closes it now if no request has begun, else after its answer.
  virtual void drain() = 0;
};

template <typename Stream>
class HttpSession : public AnySession, public std::enable_shared_from_this<HttpSession<Stream>> {
 public:
  HttpSession(Stream&& stream, SessionHost& host, std::function<void(AnySession*)> on_end)
      : stream_(std::move(stream)), host_(host), timer_(*host.network), on_end_(std::move(on_end)) {}
  ~HttpSession() override { on_end_(this); }
  HttpSession(const HttpSession&) = delete;
  HttpSession& operator=(const HttpSession&) = delete;

  void start() {
    if constexpr (kTls) {
      arm(host_.options.header_timeout_ms);
      stream_.async_handshake(net::ssl::stream_base::server, [self = self()](beast::error_code error) {
        if (!error) self->wait();
      });
    } else {
      wait();
    }
  }
  void drain() override {
    if (idle_) close();
  }

 private:
  /// A request that is out: the network's loop goes on as long. Any thread may answer it and be the last to let go of
  /// it; its session is touched, and ended, on the network's thread only.
  class Ticket {
   public:
    Ticket(std::shared_ptr<net::io_context> network, std::shared_ptr<HttpSession> session)
        : network_(std::move(network)), busy_(net::make_work_guard(*network_)), session_(std::move(session)) {}
    ~Ticket() {
      net::post(*network_, [session = std::move(session_), busy = std::move(busy_)] {});
    }
    Ticket(const Ticket&) = delete;
    Ticket& operator=(const Ticket&) = delete;

    void answer(HttpResponse&& response) {
      net::post(*network_, [session = session_, response = std::make_shared<HttpResponse>(std::move(response))] {
        session->write(std::move(*response), session->keep_alive_ && !session->host_.draining);
      });
    }

   private:
    std::shared_ptr<net::io_context> network_;  // outlives the last post of any thread
    net::executor_work_guard<net::io_context::executor_type> busy_;
    std::shared_ptr<HttpSession> session_;
  };

  static constexpr bool kTls = !std::is_same_v<Stream, beast::tcp_stream>;

  static std::string_view text(beast::string_view view) { return {view.data(), view.size()}; }
  std::shared_ptr<HttpSession> self() { return this->shared_from_this(); }
  beast::tcp_stream& socket() { return beast::get_lowest_layer(stream_); }
  void close() {
    timer_.cancel();
    beast::error_code ignored;
    socket().socket().shutdown(net::ip::tcp::socket::shutdown_both, ignored);
    socket().close();
  }

  /// From now on a read that takes longer ends with timed_out_.
  void arm(int timeout_ms) {
    timed_out_ = false;
    timer_.expires_after(std::chrono::milliseconds(timeout_ms));
    timer_.async_wait([weak = std::weak_ptr(self())](beast::error_code error) {
      const auto session = weak.lock();
      if (error || !session) return;
      session->timed_out_ = true;
      session->socket().cancel();
    });
  }

  /// For a request's first byte.
  void wait() {
    if (host_.draining) return close();
    parser_.emplace();
    parser_->header_limit(static_cast<std::uint32_t>(host_.options.max_header_bytes));
    parser_->body_limit(host_.options.max_body_bytes);
    if (buffer_.size() != 0) return read_header();  // of a request that was sent before the last answer
    idle_ = true;
    arm(host_.options.idle_timeout_ms);
    constexpr std::size_t kFirstBytes = 16'384;
    stream_.async_read_some(buffer_.prepare(kFirstBytes), [self = self()](beast::error_code error, std::size_t size) {
      self->idle_ = false;
      if (error) return self->close();
      self->buffer_.commit(size);
      self->read_header();
    });
  }

  void read_header() {
    arm(host_.options.header_timeout_ms);
    http::async_read_header(stream_, buffer_, *parser_, [self = self()](beast::error_code error, std::size_t) {
      if (error) return self->refuse(error);
      self->let_in();
    });
  }

  /// Decides by the header alone, so that a body that will not be taken is not read.
  void let_in() {
    const auto& header = parser_->get();
    keep_alive_ = header.keep_alive();
    is_head_ = header.method() == http::verb::head;
    const auto length = parser_->content_length();
    const bool is_health = text(header.target()).starts_with("/v2/health/");
    if (!is_health && !host_.access.allows(text(header[http::field::authorization]))) {
      HttpResponse response = error_response(401, "Authorization: expected Bearer with a token that is known here");
      response.headers["WWW-Authenticate"] = "Bearer";
      return end_with(std::move(response));
    }
    if (length && *length > host_.options.max_body_bytes) return refuse(http::error::body_limit);
    if (beast::iequals(header[http::field::expect], "100-continue")) return write_continue();
    read_body();
  }

  void write_continue() {
    const auto go_on = std::make_shared<http::response<http::empty_body>>(http::status::continue_, 11);
    http::async_write(stream_, *go_on, [self = self(), go_on](beast::error_code error, std::size_t) {
      if (error) return self->close();
      self->read_body();
    });
  }

  void read_body() {
    arm(host_.options.body_timeout_ms);
    http::async_read(stream_, buffer_, *parser_, [self = self()](beast::error_code error, std::size_t) {
      if (error) return self->refuse(error);
      self->timer_.cancel();
      self->hand_over();
    });
  }

  void hand_over() {
    auto message = parser_->release();
    const std::string_view target = text(message.target());
    HttpRequest request;
    request.method = text(message.method_string());
    request.path = target.substr(0, target.find_first_of("?#"));
    request.content_type = text(message[http::field::content_type]);
    request.body = std::move(message.body());
    const std::size_t mark = target.find('?');
    if (mark != std::string_view::npos) request.query = target.substr(mark + 1, target.find('#') - mark - 1);
    request.host = text(message[http::field::host]);
    request.origin = text(message[http::field::origin]);
    request.fetch_site = text(message["Sec-Fetch-Site"]);
    request.session_token = text(message["Session-Token"]);
    host_.handle(std::move(request), [ticket = std::make_shared<Ticket>(host_.network, self())](
                                         HttpResponse&& response) { ticket->answer(std::move(response)); });
  }

  /// A request that cannot be read on: the status that says why, where anybody may still listen.
  void refuse(beast::error_code error) {
    if (timed_out_) return end_with(error_response(408, "expected the request sooner"));
    if (error == http::error::body_limit) {
      return end_with(error_response(
          413, "body: expected at most " + std::to_string(host_.options.max_body_bytes) + " bytes, found more"));
    }
    if (error == http::error::header_limit || error == http::error::buffer_overflow) {
      return end_with(error_response(
          431, "header: expected at most " + std::to_string(host_.options.max_header_bytes) + " bytes, found more"));
    }
    if (error.category() == http::make_error_code(http::error::bad_method).category() &&
        error != http::error::end_of_stream && error != http::error::partial_message) {
      return end_with(error_response(400, "expected an HTTP request, found " + error.message()));
    }
    close();
  }
  /// The transport's own answer; the rest of the request is not read.
  void end_with(HttpResponse&& response) {
    timer_.cancel();
    timed_out_ = false;
    host_.metrics.add_request("none", response.status, 0.0);
    write(std::move(response), false);
  }

  void write(HttpResponse&& response, bool keep_alive) {
    message_.emplace(static_cast<http::status>(response.status), 11U);
    message_->set(http::field::content_type, response.content_type);
    message_->set(http::field::server, "imagerank");
    message_->set("X-Content-Type-Options", "nosniff");
    for (const auto& [name, value] : response.headers) message_->set(name, value);
    message_->body() = std::move(response.body);
    message_->keep_alive(keep_alive);
    message_->prepare_payload();
    if (is_head_) message_->body().clear();  // the length stays
    socket().expires_after(std::chrono::milliseconds(host_.options.write_timeout_ms));
    http::async_write(stream_, *message_, [self = self(), keep_alive](beast::error_code error, std::size_t) {
      self->socket().expires_never();
      self->message_.reset();
      if (error) return self->close();
      if (keep_alive) return self->wait();
      self->linger();
    });
  }

  /// Closes in a way that lets the answer arrive: what the client still sends is read and dropped, for a while.
  void linger() {
    beast::error_code ignored;
    socket().socket().shutdown(net::ip::tcp::socket::shutdown_send, ignored);
    constexpr int kLingerMs = 2000;
    arm(kLingerMs);
    drop();
  }
  void drop() {
    constexpr std::size_t kAtOnce = 65'536;
    buffer_.consume(buffer_.size());
    socket().socket().async_read_some(buffer_.prepare(kAtOnce), [self = self()](beast::error_code error, std::size_t) {
      if (error || self->timed_out_) return self->close();
      self->drop();
    });
  }

  Stream stream_;
  SessionHost& host_;
  net::steady_timer timer_;
  std::function<void(AnySession*)> on_end_;
  beast::flat_buffer buffer_;
  std::optional<http::request_parser<http::string_body>> parser_;
  std::optional<http::response<http::string_body>> message_;
  bool idle_ = false;
  bool timed_out_ = false;
  bool keep_alive_ = false;
  bool is_head_ = false;
};

}  // namespace imagerank::serving
