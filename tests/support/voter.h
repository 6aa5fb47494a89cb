#pragma once

#include <fmt/format.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/raw_client.h"

namespace imagerank::test {

struct VoterLog {
  std::vector<std::string> acknowledged;  ///< sets whose vote the server said is stored
  std::vector<double> vote_ms;            ///< of votes that were answered at the first try
  int retries = 0;                        ///< requests that were sent again: no answer, or 429 or 503
};

/// A person who chooses over HTTP, with one connection; whatever breaks is tried again until `stop`.
class Voter {
 public:
  using Choose = std::function<std::optional<std::string>(const nlohmann::json& set)>;

  Voter(std::uint16_t port, std::string user, std::stop_token stop)
      : port_(port), user_(std::move(user)), stop_(std::move(stop)) {}

  /// Votes on `votes` sets, or until there are none. @param acknowledged  counts along.
  VoterLog run(int votes, const Choose& choose, std::atomic<int>& acknowledged,
               std::chrono::milliseconds think = std::chrono::milliseconds(0)) {
    const auto session =
        ask("POST", "/v1/sessions", nlohmann::json{{"user", user_}, {"agreed", true}}.dump(), "", {201});
    if (!session) return std::move(log_);
    const std::string token = "Session-Token: " + json(*session)["token"].get<std::string>() + "\r\n";
    for (int i = 0; i < votes; ++i) {
      const auto next = ask("GET", "/v1/sets/next", "", token, {200});
      if (!next) break;
      const nlohmann::json set = json(*next)["set"];
      if (set.is_null()) break;
      const auto choice = choose(set);
      const nlohmann::json vote = {
          {"set", set["id"]}, {"choice", choice ? nlohmann::json(*choice) : nlohmann::json()}, {"ms", 700}};
      // 409: it was stored, and only the answer was lost.
      if (!ask("POST", "/v1/votes", vote.dump(), token, {201, 409}, &log_.vote_ms)) break;
      log_.acknowledged.push_back(set["id"].get<std::string>());
      ++acknowledged;
      if (think.count() != 0) std::this_thread::sleep_for(think);
    }
    return std::move(log_);
  }

 private:
  static nlohmann::json json(const RawClient::Answer& answer) { return nlohmann::json::parse(answer.body); }

  /// Until one of the statuses is the answer. @return nullopt once stopped.
  std::optional<RawClient::Answer> ask(const char* method, const char* path, const std::string& body,
                                       std::string headers, const std::vector<int>& wanted,
                                       std::vector<double>* times = nullptr) {
    headers += "Content-Type: application/json\r\n";
    for (int tries = 0; !stop_.stop_requested(); ++tries) {
      const auto begin = std::chrono::steady_clock::now();
      try {
        if (!client_) client_ = std::make_unique<RawClient>(port_);
        client_->send(http_request(method, path, body, headers));
        RawClient::Answer answer = client_->read();
        const auto length = answer.headers.find("content-length");
        const bool whole = length != answer.headers.end() && answer.body.size() == std::stoul(length->second);
        for (const int status : wanted) {
          if (answer.status != status || !whole) continue;
          const std::chrono::duration<double, std::milli> taken = std::chrono::steady_clock::now() - begin;
          if (times != nullptr && tries == 0) times->push_back(taken.count());
          return answer;
        }
        if (whole && answer.status != 429 && answer.status != 503) {
          throw std::logic_error(fmt::format("{} {}: {} {}", method, path, answer.status, answer.body));
        }
        if (!whole) client_.reset();         // the server ended
      } catch (const std::runtime_error&) {  // nobody listens
        client_.reset();
      }
      ++log_.retries;
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    return std::nullopt;
  }

  const std::uint16_t port_;
  const std::string user_;
  const std::stop_token stop_;
  std::unique_ptr<RawClient> client_;
  VoterLog log_;
};

}  // namespace imagerank::test
