// Texts a second of the tokenizer alone, the best of several passes, each by a tokenizer that has seen the texts of the
// passes before. usage: tokenize TOKENIZER_DIR TEXTS.jsonl [REPEAT=5] [THREADS=1]
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "clip/tokenizer.h"

namespace {

std::vector<std::string> read_texts(const char* path) {
  std::ifstream file(path);
  std::vector<std::string> texts;
  for (std::string line; std::getline(file, line);) {
    if (!line.empty()) texts.push_back(nlohmann::json::parse(line).at("text").get<std::string>());
  }
  return texts;
}

/// @return the number of tokens.
std::size_t tokenize_all(const imagerank::clip::Tokenizer& tokenizer, const std::vector<std::string>& texts,
                         std::size_t threads) {
  std::atomic<std::size_t> tokens = 0;
  std::vector<std::jthread> pool;
  for (std::size_t thread = 0; thread < threads; ++thread) {
    pool.emplace_back([&, thread] {
      std::size_t count = 0;
      const std::size_t end = texts.size() * (thread + 1) / threads;
      for (std::size_t i = texts.size() * thread / threads; i < end; ++i) count += tokenizer.tokenize(texts[i]).size();
      tokens += count;
    });
  }
  pool.clear();
  return tokens;
}

}  // namespace

int main(int argc, char** argv) {
  using Clock = std::chrono::steady_clock;
  if (argc < 3) {
    std::fprintf(stderr, "usage: tokenize TOKENIZER_DIR TEXTS.jsonl [REPEAT=5] [THREADS=1]\n");
    return 2;
  }
  try {
    const auto tokenizer = imagerank::clip::Tokenizer::load(argv[1]);
    const std::vector<std::string> texts = read_texts(argv[2]);
    const int repeat = argc > 3 ? std::max(std::atoi(argv[3]), 1) : 5;
    const auto threads = static_cast<std::size_t>(argc > 4 ? std::max(std::atoi(argv[4]), 1) : 1);
    std::size_t tokens = 0;
    double best = 1e30;
    for (int pass = 0; pass < repeat; ++pass) {
      const Clock::time_point start = Clock::now();
      tokens = tokenize_all(tokenizer, texts, threads);
      best = std::min(best, std::chrono::duration<double>(Clock::now() - start).count());
    }
    std::printf("imagerank, %zu threads: %zu texts, %zu tokens, %.0f texts/s\n", threads, texts.size(), tokens,
                static_cast<double>(texts.size()) / best);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "tokenize: %s\n", error.what());
    return 1;
  }
}
