// Load for a server of scores: CLIENTS keep-alive connections that post the images of FOLDER in turn, one a request,
// for SECONDS, beside IDLE connections that say nothing and SLOW ones that send a header a byte a second. Prints one
// JSON object: images_per_s, p50_ms, p99_ms, failed. usage: serve_load PORT PATH form|raw FOLDER CLIENTS SECONDS [IDLE]
// [SLOW]
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "core/atomic_file.h"

namespace {

using Clock = std::chrono::steady_clock;

int connect_to(int port) {
  const int descriptor = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int yes = 1;
  ::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
  if (::connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) return descriptor;
  ::close(descriptor);
  return -1;
}

bool send_all(int descriptor, std::string_view text) {
  while (!text.empty()) {
    const ssize_t sent = ::send(descriptor, text.data(), text.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

/// The status of one whole answer; 0 if the connection ended.
int read_answer(int descriptor) {
  std::string text;
  std::size_t end = std::string::npos, length = 0;
  char buffer[16384];
  while (end == std::string::npos || text.size() < end + 4 + length) {
    const ssize_t got = ::recv(descriptor, buffer, sizeof(buffer), 0);
    if (got <= 0) return 0;
    text.append(buffer, static_cast<std::size_t>(got));
    if (end != std::string::npos || (end = text.find("\r\n\r\n")) == std::string::npos) continue;
    std::string head = text.substr(0, end);
    std::ranges::transform(head, head.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c; });
    const std::size_t field = head.find("content-length:");
    if (field != std::string::npos) length = std::strtoul(head.c_str() + field + 15, nullptr, 10);
  }
  return std::atoi(text.c_str() + 9);  // "HTTP/1.1 200"
}

std::string request_of(const std::string& path, bool form, const std::string& image) {
  std::string body = image, type = "image/jpeg";
  if (form) {
    const std::string part = "--x\r\nContent-Disposition: form-data; name=";
    body =
        part + "\"prompt\"\r\n\r\na red car\r\n" + part + "\"image\"; filename=\"a\"\r\n\r\n" + image + "\r\n--x--\r\n";
    type = "multipart/form-data; boundary=x";
  }
  return "POST " + path + " HTTP/1.1\r\nHost: localhost\r\nContent-Type: " + type +
         "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

struct Load {
  int port = 0;
  std::vector<std::string> requests;
  std::atomic<std::size_t> next = 0;
  std::atomic<bool> measured = false;
  std::atomic<bool> over = false;
  std::mutex mutex;
  std::vector<double> times_ms;  // mutex
  std::size_t failed = 0;        // mutex

  void ask() {
    std::vector<double> own;
    std::size_t own_failed = 0;
    int descriptor = -1;
    while (!over) {
      if (descriptor < 0) descriptor = connect_to(port);
      const Clock::time_point begin = Clock::now();
      const bool sent = descriptor >= 0 && send_all(descriptor, requests[next++ % requests.size()]);
      const int status = sent ? read_answer(descriptor) : 0;
      const std::chrono::duration<double, std::milli> taken = Clock::now() - begin;
      if (status == 0 && descriptor >= 0) ::close(std::exchange(descriptor, -1));
      if (!measured || over) continue;
      if (status == 200) {
        own.push_back(taken.count());
      } else {
        ++own_failed;
      }
    }
    ::close(descriptor);
    const std::lock_guard lock(mutex);
    times_ms.insert(times_ms.end(), own.begin(), own.end());
    failed += own_failed;
  }

  /// Connections that are open and do next to nothing.
  void burden(int idle, int slow) const {
    std::vector<int> open, slow_ones;
    for (int i = 0; i < idle; ++i) open.push_back(connect_to(port));
    for (int i = 0; i < slow; ++i) slow_ones.push_back(connect_to(port));
    const std::string header = "POST /v1/score HTTP/1.1\r\nHost: localhost\r\nX-Slow: ";
    for (std::size_t second = 0; !over; ++second) {
      for (int& descriptor : slow_ones) {
        if (send_all(descriptor, second < header.size() ? header.substr(second, 1) : "x")) continue;
        ::close(descriptor);
        descriptor = connect_to(port);
      }
      for (int i = 0; i < 10 && !over; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
    for (const int descriptor : open) ::close(descriptor);
    for (const int descriptor : slow_ones) ::close(descriptor);
  }
};

double quantile(const std::vector<double>& sorted, double share) {
  if (sorted.empty()) return 0.0;
  return sorted[static_cast<std::size_t>(share * static_cast<double>(sorted.size() - 1))];
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 7) {
    std::fputs("usage: serve_load PORT PATH form|raw FOLDER CLIENTS SECONDS [IDLE] [SLOW]\n", stderr);
    return 2;
  }
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  Load load;
  load.port = std::atoi(arguments[1]);
  for (const auto& entry : std::filesystem::directory_iterator(arguments[4])) {
    load.requests.push_back(
        request_of(arguments[2], std::string_view(arguments[3]) == "form", imagerank::load_file(entry.path())));
  }
  const int clients = std::atoi(arguments[5]);
  const double seconds = std::atof(arguments[6]);
  const int idle = count > 7 ? std::atoi(arguments[7]) : 0, slow = count > 8 ? std::atoi(arguments[8]) : 0;
  double measured_s = 0.0;
  {
    std::vector<std::jthread> threads;
    threads.emplace_back([&] { load.burden(idle, slow); });
    for (int i = 0; i < clients; ++i) threads.emplace_back([&load] { load.ask(); });
    std::this_thread::sleep_for(std::chrono::seconds(3));  // warm
    const Clock::time_point begin = Clock::now();
    load.measured = true;
    std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
    measured_s = std::chrono::duration<double>(Clock::now() - begin).count();
    load.over = true;
  }
  std::ranges::sort(load.times_ms);
  std::printf("{\"images_per_s\": %.1f, \"p50_ms\": %.1f, \"p99_ms\": %.1f, \"failed\": %zu}\n",
              static_cast<double>(load.times_ms.size()) / measured_s, quantile(load.times_ms, 0.5),
              quantile(load.times_ms, 0.99), load.failed);
  return 0;
}
