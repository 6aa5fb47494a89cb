#include "fetch/curl_loop.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace imagerank::fetch {
namespace {

void check(CURLMcode code) {
  if (code != CURLM_OK) fail(ErrorCode::kIo, "fetching: {}", curl_multi_strerror(code));
}

}  // namespace

CurlLoop::CurlLoop(long kept_connections) {
  http::start_libcurl();
  multi_.reset(curl_multi_init());
  if (!multi_) fail(ErrorCode::kUnavailable, "libcurl: expected a transfer set, found none (out of memory)");
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  if (epoll_ < 0) fail(ErrorCode::kUnavailable, "epoll: {}", std::strerror(errno));
  curl_multi_setopt(multi_.get(), CURLMOPT_MAXCONNECTS, kept_connections);
  curl_multi_setopt(multi_.get(), CURLMOPT_SOCKETFUNCTION, &CurlLoop::on_socket);
  curl_multi_setopt(multi_.get(), CURLMOPT_SOCKETDATA, static_cast<void*>(this));
  curl_multi_setopt(multi_.get(), CURLMOPT_TIMERFUNCTION, &CurlLoop::on_timer);
  curl_multi_setopt(multi_.get(), CURLMOPT_TIMERDATA, static_cast<void*>(this));
}

CurlLoop::~CurlLoop() {
  multi_.reset();  // closes its sockets, which it says to on_socket
  if (epoll_ >= 0) ::close(epoll_);
}

int CurlLoop::on_socket(CURL* /*easy*/, curl_socket_t socket, int what, void* loop, void* known) noexcept {
  auto& self = *static_cast<CurlLoop*>(loop);
  if (what == CURL_POLL_REMOVE) {
    epoll_ctl(self.epoll_, EPOLL_CTL_DEL, socket, nullptr);  // fails where it is closed already: gone either way
    return 0;
  }
  epoll_event event = {};
  event.data.fd = socket;
  event.events = ((what & CURL_POLL_IN) != 0 ? EPOLLIN : 0U) | ((what & CURL_POLL_OUT) != 0 ? EPOLLOUT : 0U);
  const int action = known == nullptr ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
  if (epoll_ctl(self.epoll_, action, socket, &event) != 0 && action == EPOLL_CTL_MOD && errno == ENOENT) {
    epoll_ctl(self.epoll_, EPOLL_CTL_ADD, socket, &event);
  }
  curl_multi_assign(self.multi_.get(), socket, loop);  // what is not null is known
  return 0;
}

int CurlLoop::on_timer(CURLM* /*multi*/, long timeout_ms, void* loop) noexcept {
  auto& self = *static_cast<CurlLoop*>(loop);
  self.timer_.reset();
  if (timeout_ms >= 0) self.timer_ = Clock::now() + std::chrono::milliseconds(timeout_ms);
  return 0;
}

void CurlLoop::add(CURL* easy) {
  const CURLMcode code = curl_multi_add_handle(multi_.get(), easy);
  if (code != CURLM_OK) {
    fail(ErrorCode::kUnavailable, "libcurl: expected to add a transfer, found: {}", curl_multi_strerror(code));
  }
}

void CurlLoop::remove(CURL* easy) { curl_multi_remove_handle(multi_.get(), easy); }

void CurlLoop::act(curl_socket_t socket, int events) {
  int running = 0;
  check(curl_multi_socket_action(multi_.get(), socket, events, &running));
}

void CurlLoop::run(std::chrono::milliseconds at_most) {
  auto wait = at_most;
  if (timer_) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(*timer_ - Clock::now());
    wait = std::clamp(left, std::chrono::milliseconds(0), at_most);
  }
  std::array<epoll_event, 128> events = {};
  const int count = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), static_cast<int>(wait.count()));
  if (count < 0 && errno != EINTR) fail(ErrorCode::kIo, "waiting for the network: {}", std::strerror(errno));
  for (int i = 0; i < count; ++i) {
    const std::uint32_t happened = events[static_cast<std::size_t>(i)].events;
    const int flags = ((happened & EPOLLIN) != 0 ? CURL_CSELECT_IN : 0) |
                      ((happened & EPOLLOUT) != 0 ? CURL_CSELECT_OUT : 0) |
                      ((happened & (EPOLLERR | EPOLLHUP)) != 0 ? CURL_CSELECT_ERR : 0);
    act(events[static_cast<std::size_t>(i)].data.fd, flags);
  }
  if (timer_ && *timer_ <= Clock::now()) {
    timer_.reset();  // before: libcurl sets the next one
    act(CURL_SOCKET_TIMEOUT, 0);
  }
}

void CurlLoop::for_each_ended(const std::function<void(CURL* easy, CURLcode result)>& visit) {
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi_.get(), &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    visit(message->easy_handle, message->data.result);  // both copied before the message is freed with the handle
  }
}

}  // namespace imagerank::fetch
