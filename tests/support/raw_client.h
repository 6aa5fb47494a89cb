#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>

namespace imagerank::test {

/// A connection to 127.0.0.1 that sends what it is told, right or wrong.
class RawClient {
 public:
  struct Answer {
    int status = 0;                              ///< 0: the connection was closed without an answer
    std::map<std::string, std::string> headers;  ///< lower-case names
    std::string body;
  };

  explicit RawClient(std::uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
      ::close(socket_);
      throw std::runtime_error("cannot connect");
    }
  }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;
  ~RawClient() { ::close(socket_); }

  void send(std::string_view text) {
    while (!text.empty()) {
      const ssize_t sent = ::send(socket_, text.data(), text.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;  // the server may have closed; read() tells
      text.remove_prefix(static_cast<std::size_t>(sent));
    }
  }
  /// One answer. @param head  of a HEAD request: no body follows.
  Answer read(bool head = false, int timeout_ms = 20'000) {
    Answer answer;
    while (received_.find("\r\n\r\n") == std::string::npos) {
      if (!receive(timeout_ms)) return answer;
    }
    const std::size_t end = received_.find("\r\n\r\n");
    parse_head(received_.substr(0, end), answer);
    received_.erase(0, end + 4);
    if (answer.status == 100) return read(head, timeout_ms);
    const std::size_t length = head || !answer.headers.contains("content-length")
                                   ? 0
                                   : static_cast<std::size_t>(std::stoul(answer.headers["content-length"]));
    while (received_.size() < length) {
      if (!receive(timeout_ms)) break;
    }
    answer.body = received_.substr(0, length);
    received_.erase(0, length);
    return answer;
  }
  /// Whether the server closes within the time.
  bool closed(int timeout_ms = 10'000) {
    while (receive(timeout_ms)) {
    }
    return ended_;
  }

 private:
  bool receive(int timeout_ms) {
    pollfd wait{socket_, POLLIN, 0};
    if (::poll(&wait, 1, timeout_ms) != 1) return false;
    char buffer[65536];
    const ssize_t count = ::recv(socket_, buffer, sizeof(buffer), 0);
    if (count <= 0) {
      ended_ = true;
      return false;
    }
    received_.append(buffer, static_cast<std::size_t>(count));
    return true;
  }
  static void parse_head(const std::string& head, Answer& answer) {
    answer.status = std::stoi(head.substr(head.find(' ') + 1, 3));
    for (std::size_t at = head.find("\r\n"); at != std::string::npos; at = head.find("\r\n", at + 2)) {
      const std::string line = head.substr(at + 2, head.find("\r\n", at + 2) - at - 2);
      const std::size_t colon = line.find(':');
      std::string name = line.substr(0, colon);
      std::ranges::transform(name, name.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
      answer.headers[name] = line.substr(std::min(line.find_first_not_of(' ', colon + 1), line.size()));
    }
  }

  int socket_;
  bool ended_ = false;
  std::string received_;
};

/// A whole request. @param headers  lines that end in CRLF.
inline std::string http_request(std::string_view method, std::string_view path, std::string_view body = "",
                                std::string_view headers = "") {
  std::string text;
  text.append(method).append(" ").append(path).append(" HTTP/1.1\r\nHost: here\r\n").append(headers);
  if (!body.empty()) text.append("Content-Length: ").append(std::to_string(body.size())).append("\r\n");
  return text.append("\r\n").append(body);
}

}  // namespace imagerank::test
