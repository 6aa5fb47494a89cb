// A server of trouble on 127.0.0.1:PORT, by the first part of the path: silent (never answers); half (1,000 bytes of
// 100,000, then nothing); long (claims 100,000 bytes, sends half, hangs up). One thread under epoll, since it shares
// the machine with what it troubles. usage: trouble_server PORT
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>
#include <unordered_map>

namespace {

constexpr std::size_t kClaimed = 100'000;

/// The head of an answer, then as many bytes of a JPEG file as it claims.
std::string make_answer() {
  std::string answer =
      "HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: " + std::to_string(kClaimed) + "\r\n\r\n";
  const std::size_t size = answer.size() + kClaimed;
  answer += std::string_view("\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00", 20);
  answer.resize(size, '\x12');
  return answer;
}

struct Connection {
  std::string request;
  std::string_view left;  ///< to be sent
  bool hangs_up = false;  ///< once it is
};

class TroubleServer {
 public:
  explicit TroubleServer(std::uint16_t port)
      : listener_(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)), epoll_(epoll_create1(0)) {
    const int on = 1;
    setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ready_ = bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 &&
             listen(listener_, 4096) == 0 && watch(listener_, EPOLLIN, EPOLL_CTL_ADD);
  }

  /// Serves until it is killed. @return false if the port cannot be had.
  bool run() {
    std::array<epoll_event, 256> events = {};
    while (ready_) {
      const int count = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), -1);
      for (int i = 0; i < count; ++i) {
        const epoll_event& event = events[static_cast<std::size_t>(i)];
        if (event.data.fd == listener_) {
          accept_all();
        } else if (!serve(event.data.fd)) {
          connections_.erase(event.data.fd);
          close(event.data.fd);
        }
      }
    }
    return ready_;
  }

 private:
  bool watch(int socket, std::uint32_t what, int action) const {
    epoll_event event = {};
    event.events = what;
    event.data.fd = socket;
    return epoll_ctl(epoll_, action, socket, &event) == 0;
  }

  void accept_all() {
    for (int socket = 0; (socket = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK)) >= 0;) {
      connections_.insert_or_assign(socket, Connection());
      watch(socket, EPOLLIN, EPOLL_CTL_ADD);
    }
  }

  /// @return false if the connection is at its end.
  bool serve(int socket) {
    Connection& connection = connections_.at(socket);
    std::array<char, 4096> buffer = {};
    ssize_t count = 0;
    while ((count = read(socket, buffer.data(), buffer.size())) > 0) {
      connection.request.append(buffer.data(), static_cast<std::size_t>(count));
    }
    if (count == 0 || errno != EAGAIN) return false;
    if (connection.request.find("\r\n\r\n") != std::string::npos) begin_answer(connection);
    return send_rest(socket, connection);
  }

  void begin_answer(Connection& connection) const {
    const std::string_view answer = answer_;
    const std::size_t head = answer.size() - kClaimed;
    const std::string_view path = std::string_view(connection.request).substr(connection.request.find(' ') + 1);
    if (path.starts_with("/half/")) connection.left = answer.substr(0, head + 1000);
    if (path.starts_with("/long/")) connection.left = answer.substr(0, head + kClaimed / 2);
    connection.hangs_up = path.starts_with("/long/");
    connection.request.clear();
  }

  /// @return false if the connection is at its end.
  bool send_rest(int socket, Connection& connection) const {
    while (!connection.left.empty()) {
      const ssize_t count = send(socket, connection.left.data(), connection.left.size(), MSG_NOSIGNAL);
      if (count < 0) return errno == EAGAIN && watch(socket, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
      connection.left.remove_prefix(static_cast<std::size_t>(count));
      if (connection.left.empty() && !connection.hangs_up) watch(socket, EPOLLIN, EPOLL_CTL_MOD);
    }
    return !connection.hangs_up;
  }

  const std::string answer_ = make_answer();
  int listener_;
  int epoll_;
  bool ready_ = false;
  std::unordered_map<int, Connection> connections_;
};

}  // namespace

int main(int argc, char** argv) {
  const std::string_view text = argc == 2 ? argv[1] : "";
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port == 0) {
    std::fputs("usage: trouble_server PORT\n", stderr);
    return 2;
  }
  if (!TroubleServer(port).run()) std::fprintf(stderr, "port %u: %s\n", unsigned{port}, std::strerror(errno));
  return 1;
}
