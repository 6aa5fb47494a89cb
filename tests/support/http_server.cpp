#include "support/http_server.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>
#include <stdexcept>

namespace imagerank::test {
namespace {

bool send_all(int descriptor, const char* data, std::size_t size) {
  while (size > 0) {
    const ssize_t sent = send(descriptor, data, size, MSG_NOSIGNAL);
    if (sent <= 0) return false;
    data += sent;
    size -= static_cast<std::size_t>(sent);
  }
  return true;
}

/// Request line and headers, without the empty line.
HttpRequest parse_request(const std::string& head) {
  HttpRequest request;
  const std::size_t start = head.find(' ') + 1;
  request.method = head.substr(0, start - 1);
  request.path = head.substr(start, head.find(' ', start) - start);
  for (std::size_t at = head.find("\r\n"); at != std::string::npos;) {
    const std::size_t next = head.find("\r\n", at + 2);
    const std::string line = head.substr(at + 2, next == std::string::npos ? next : next - at - 2);
    const std::size_t colon = line.find(':');
    if (colon != std::string::npos) {
      std::string name = line.substr(0, colon);
      std::ranges::transform(name, name.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
      const std::size_t value = line.find_first_not_of(' ', colon + 1);
      request.headers.emplace_back(name, value == std::string::npos ? "" : line.substr(value));
    }
    at = next;
  }
  return request;
}

}  // namespace

std::string HttpRequest::header(const std::string& name) const {
  for (const auto& [key, value] : headers) {
    if (key == name) return value;
  }
  return "";
}

HttpServer::HttpServer(Handler handler) : handler_(std::move(handler)) {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (listener_ < 0 || bind(listener_, generic, size) != 0 || listen(listener_, 128) != 0 ||
      getsockname(listener_, generic, &size) != 0) {
    throw std::runtime_error(std::string("test server: ") + std::strerror(errno));
  }
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { accept_loop(); });
}

HttpServer::~HttpServer() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  closing_changed_.notify_all();
  shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  close(listener_);
  for (Connection& connection : open_) shutdown(connection.descriptor, SHUT_RDWR);
  for (Connection& connection : open_) {
    connection.thread.join();
    close(connection.descriptor);
  }
}

std::string HttpServer::url(const std::string& path) const { return fmt::format("http://127.0.0.1:{}{}", port_, path); }

int HttpServer::visits(const std::string& path) {
  const std::lock_guard lock(mutex_);
  for (const auto& [name, count] : visits_) {
    if (name == path) return count;
  }
  return 0;
}

void HttpServer::accept_loop() {
  for (;;) {
    const int descriptor = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    const std::lock_guard lock(mutex_);
    if (closing_ || descriptor < 0) {
      if (descriptor >= 0) close(descriptor);
      return;
    }
    const int number = connections_++;
    open_.push_back({descriptor, std::thread([this, descriptor, number] { serve(descriptor, number); })});
  }
}

void HttpServer::serve(int descriptor, int number) {
  std::string buffer;
  for (;;) {
    std::size_t end = 0;
    while ((end = buffer.find("\r\n\r\n")) == std::string::npos) {
      std::array<char, 4096> chunk;
      const ssize_t got = recv(descriptor, chunk.data(), chunk.size(), 0);
      if (got <= 0) return;
      buffer.append(chunk.data(), static_cast<std::size_t>(got));
    }
    HttpRequest request = parse_request(buffer.substr(0, end));
    request.connection = number;
    buffer.erase(0, end + 4);
    ++requests_;
    {
      const std::lock_guard lock(mutex_);
      auto found = std::ranges::find_if(visits_, [&](const auto& v) { return v.first == request.path; });
      if (found == visits_.end()) found = visits_.insert(visits_.end(), {request.path, 0});
      request.visit = found->second++;
    }
    const int now = ++at_once_;
    int most = most_at_once_;
    while (now > most && !most_at_once_.compare_exchange_weak(most, now)) {
    }
    const bool keep = answer(descriptor, handler_(request));
    --at_once_;
    if (!keep) {
      shutdown(descriptor, SHUT_RDWR);
      return;
    }
  }
}

bool HttpServer::answer(int descriptor, const HttpResponse& response) {
  if (!pause(response.delay_before)) return false;
  std::string head = fmt::format("HTTP/1.1 {} Status\r\nContent-Length: {}\r\n", response.status,
                                 response.claimed_length.value_or(response.body.size()));
  for (const auto& [name, value] : response.headers) head += fmt::format("{}: {}\r\n", name, value);
  head += "\r\n";
  if (!send_all(descriptor, head.data(), head.size())) return false;
  const std::size_t size = std::min(response.body.size(), response.drop_after.value_or(response.body.size()));
  const std::size_t piece = response.piece == 0 ? std::max<std::size_t>(size, 1) : response.piece;
  for (std::size_t at = 0; at < size; at += piece) {
    if (at > 0 && !pause(response.delay_between)) return false;
    if (!send_all(descriptor, response.body.data() + at, std::min(piece, size - at))) return false;
  }
  return !response.drop_after && !response.claimed_length;
}

bool HttpServer::pause(std::chrono::milliseconds time) {
  std::unique_lock lock(mutex_);
  return !closing_changed_.wait_for(lock, time, [this] { return closing_; });
}

}  // namespace imagerank::test
