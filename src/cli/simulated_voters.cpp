#include "cli/simulated_voters.h"

#include <chrono>
#include <map>
#include <nlohmann/json.hpp>
#include <ostream>
#include <thread>
#include <utility>
#include <vector>

#include "core/fail.h"
#include "http/curl.h"
#include "simulation/store.h"
#include "simulation/voters.h"

namespace imagerank::cli {
namespace {

using nlohmann::json;

std::size_t append(char* bytes, std::size_t size, std::size_t count, void* text) {
  static_cast<std::string*>(text)->append(bytes, size * count);
  return size * count;
}

struct ListDeleter {
  void operator()(curl_slist* list) const noexcept { curl_slist_free_all(list); }
};

/// A server that collects votes, asked one thing after the other.
class VoteClient {
 public:
  explicit VoteClient(std::string server) : server_(std::move(server)), easy_(curl_easy_init()) {
    while (server_.ends_with('/')) server_.pop_back();
  }

  /// @param body  null: GET. @throws Error kUnavailable; kRefused where the server takes it not.
  json ask(const std::string& path, const json& body, const std::string& token) {
    CURL* const easy = easy_.get();
    curl_easy_reset(easy);
    const std::string url = server_ + path, text = body.dump();
    std::string answer;
    std::unique_ptr<curl_slist, ListDeleter> headers(curl_slist_append(nullptr, "Content-Type: application/json"));
    curl_slist_append(headers.get(), ("Session-Token: " + token).c_str());
    http::set_option(easy, CURLOPT_URL, url.c_str());
    http::set_option(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    http::set_option(easy, CURLOPT_HTTPHEADER, headers.get());
    http::set_option(easy, CURLOPT_WRITEFUNCTION, append);
    http::set_option(easy, CURLOPT_WRITEDATA, &answer);
    http::set_option(easy, CURLOPT_TIMEOUT_MS, 60'000L);
    if (!body.is_null()) http::set_option(easy, CURLOPT_POSTFIELDS, text.c_str());
    CURLcode code = curl_easy_perform(easy);
    // A server that was started a moment ago may be loading.
    constexpr int kTries = 100;
    for (int i = 0; code == CURLE_COULDNT_CONNECT && !connected_ && i < kTries; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      code = curl_easy_perform(easy);
    }
    if (code != CURLE_OK) fail(ErrorCode::kUnavailable, "{}: no answer: {}", server_, curl_easy_strerror(code));
    connected_ = true;
    long status = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    json object = json::parse(answer, nullptr, false);
    if (status >= 400 || !object.is_object()) {
      const json error = object.is_object() ? object.value("error", json::object()) : json::object();
      fail(ErrorCode::kRefused, "{}{}: status {}: {}", server_, path, status, error.value("message", "no JSON"));
    }
    return object;
  }

 private:
  std::string server_;
  http::EasyHandle easy_;
  bool connected_ = false;
};

}  // namespace

int run_simulated_voters(const VoteOptions& options, Terminal& terminal) {
  const simulation::World world = simulation::make_world(simulation::load_world_options(options.data));
  const simulation::Voters voters(world);
  http::start_libcurl();
  VoteClient client(options.server);
  Random random(options.seed, 0x766f7465);
  std::map<std::size_t, std::string> tokens;  // by voter
  std::uint64_t votes = 0, ties = 0, turns_without_sets = 0;
  // Some have seen every set before others: a person without one is passed over.
  while (votes < options.votes && turns_without_sets < 20 * voters.count()) {
    terminal.context().check_stop();
    const std::size_t voter = voters.draw(random);
    std::string& token = tokens[voter];
    if (token.empty()) {
      token = client.ask("/v1/sessions", {{"user", voters.name(voter)}, {"agreed", true}}, "").at("token");
    }
    const json set = client.ask("/v1/sets/next", nullptr, token).at("set");
    if (set.is_null()) {
      ++turns_without_sets;
      continue;
    }
    std::vector<std::string> uids;
    for (const json& image : set.at("images")) uids.push_back(image.at("uid"));
    const auto choice = voters.choose(voter, set.at("prompt"), uids, random);
    json vote = {{"set", set.at("id")}, {"choice", nullptr}, {"ms", 800 + random.below(6000)}};
    if (choice) vote["choice"] = uids[*choice];
    (void)client.ask("/v1/votes", vote, token);
    ++votes;
    ties += choice ? 0 : 1;
    terminal.context().report({"votes", votes, options.votes, ""});
  }
  terminal.result({{"votes", votes}, {"ties", ties}, {"people", tokens.size()}}, [&](std::ostream& out) {
    out << fmt::format("votes     {} by {} people; {} without preference\n", with_thousands(votes),
                       with_thousands(tokens.size()), with_thousands(ties));
  });
  return 0;
}

}  // namespace imagerank::cli
