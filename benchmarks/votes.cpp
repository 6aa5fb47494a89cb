// Many people choosing at once, over HTTP: votes PORT VOTERS VOTES [THINK_MS]
// Each voter has a connection, gets a set, thinks, votes. Prints one JSON object: the sets whose vote was acknowledged
// go to standard error, one a line, for votes.sh to find in the database.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include "support/voter.h"

namespace {

double quantile(const std::vector<double>& sorted, double q) {
  return sorted.empty() ? 0.0 : sorted[static_cast<std::size_t>(q * static_cast<double>(sorted.size() - 1))];
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::cerr << "usage: votes PORT VOTERS VOTES [THINK_MS]\n";
    return 2;
  }
  const auto port = static_cast<std::uint16_t>(std::atoi(argv[1]));
  const int voters = std::atoi(argv[2]), votes = std::atoi(argv[3]);
  const std::chrono::milliseconds think(argc > 4 ? std::atoi(argv[4]) : 0);
  std::vector<imagerank::test::VoterLog> logs(static_cast<std::size_t>(voters));
  std::atomic<int> acknowledged = 0;
  const auto begin = std::chrono::steady_clock::now();
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < voters; ++i) {
      threads.emplace_back([&, i](const std::stop_token& stop) {
        imagerank::test::Voter voter(port, "voter " + std::to_string(i), stop);
        logs[static_cast<std::size_t>(i)] = voter.run(
            votes,
            [i](const nlohmann::json& set) -> std::optional<std::string> {
              if (i % 5 == 0) return std::nullopt;
              return set["images"][0]["uid"].get<std::string>();
            },
            acknowledged, think);
      });
    }
    for (std::jthread& thread : threads) thread.join();  // not stopped
  }
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
  std::vector<double> times;
  int retries = 0;
  for (const auto& log : logs) {
    times.insert(times.end(), log.vote_ms.begin(), log.vote_ms.end());
    retries += log.retries;
    for (const std::string& set : log.acknowledged) std::cerr << set << "\n";
  }
  std::ranges::sort(times);
  std::cout << nlohmann::ordered_json{{"voters", voters},
                                      {"acknowledged", acknowledged.load()},
                                      {"seconds", taken.count()},
                                      {"votes_per_s", acknowledged / taken.count()},
                                      {"retries", retries},
                                      {"p50_ms", quantile(times, 0.5)},
                                      {"p95_ms", quantile(times, 0.95)},
                                      {"p99_ms", quantile(times, 0.99)}}
                   .dump()
            << "\n";
  return 0;
}
