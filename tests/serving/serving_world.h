#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "clip/models.h"
#include "core/random.h"
#include "imagerank/scorer.h"
#include "images/encode.h"
#include "reward/trainer.h"
#include "serving/base64.h"
#include "serving/http_server.h"
#include "serving/routes.h"
#include "support/raw_client.h"
#include "support/test_support.h"

namespace imagerank::serving {

inline std::string noisy_png(std::uint64_t seed) {
  Random random(seed);
  images::Image image{40, 30, {}};
  for (int i = 0; i < 40 * 30 * 3; ++i) image.pixels.push_back(static_cast<std::uint8_t>(random.below(256)));
  return images::encode_png(image);
}

/// Two random tiny encoders and three rewards trained on noise in their spaces: `first` and `second` share an encoder.
class ServingWorld : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new test::TemporaryFolder;
    const std::vector<std::string> words = {"a red car", "a blue circle", "two green squares"};
    clip::train_tokenizer(words, 520, path("tokenizer"));
    clip::write_random_model(clip::named_model_config("tiny"), path("tiny"), 1, path("tokenizer"));
    clip::write_random_model(clip::named_model_config("tiny"), path("other"), 2, path("tokenizer"));
    make_reward("first", "tiny", "mlp", 3);
    make_reward("second", "tiny", "linear", 4);
    make_reward("third", "other", "mlp", 5);
  }
  static void TearDownTestSuite() {
    delete folder_;
    folder_ = nullptr;
  }
  static std::filesystem::path path(const std::string& name) { return folder_->path() / name; }
  static std::vector<RewardSource> sources(const std::vector<std::string>& names) {
    std::vector<RewardSource> result;
    for (const std::string& name : names) result.push_back({name, path(name)});
    return result;
  }
  /// What `imagerank score` gives.
  static std::vector<ScoredImage> scores_of(const std::string& reward, const std::string& prompt,
                                            const std::vector<std::string>& images) {
    std::vector<std::span<const std::byte>> bytes;
    for (const std::string& image : images) bytes.push_back(std::as_bytes(std::span(image)));
    return Scorer::load(path(reward)).score(prompt, bytes);
  }

 private:
  static void make_reward(const std::string& name, const std::string& model, const std::string& head,
                          std::uint64_t seed) {
    clip::EncoderOptions encoder_options;
    encoder_options.allow_untrained = true;
    const auto encoder = clip::Encoder::load(path(model).string(), encoder_options);
    Random random(seed);
    reward::Examples examples;
    for (auto* const table : {&examples.images, &examples.texts}) {
      table->dim = encoder.dim();
      for (std::size_t i = 0; i < 40 * encoder.dim(); ++i) table->values.push_back(static_cast<float>(random.normal()));
    }
    for (std::uint32_t i = 0; i < 40; ++i) {
      for (auto& split : examples.pairs) split.push_back({i, (i + 7) % 40, i, random.chance(0.5) ? 1.0F : 0.0F, 1.0F});
    }
    reward::TrainOptions options;
    options.head = head;
    options.loss = "bt";
    options.epochs = 1;
    reward::train_reward(examples, options, {{"encoder", encoder.name()}, {"model", path(model).string()}}, path(name),
                         {});
  }
  static inline test::TemporaryFolder* folder_ = nullptr;
};

/// A server on a port of its own, stopped at the end.
class RunningServer {
 public:
  RunningServer(const std::vector<RewardSource>& sources, ServiceOptions service = {}, ServerOptions server = {},
                const std::filesystem::path& tokens = {}, const RequestLimits& limits = {},
                votes::Voting* voting = nullptr, const PagesOptions& pages = {})
      : access_(tokens.empty() ? std::make_unique<Access>() : std::make_unique<Access>(tokens)),
        service_(sources, {}, service),
        pages_(voting, pages),
        routes_(service_, metrics_, limits, pages_) {
    server.port = 0;
    server_ = std::make_unique<HttpServer>(
        server,
        [this](HttpRequest&& request, Respond respond) { routes_.handle(std::move(request), std::move(respond)); },
        *access_, metrics_);
    thread_ = std::jthread([this](const std::stop_token& stop) { server_->run(stop, [](const std::string&) {}); });
  }
  ~RunningServer() { stop(); }
  RunningServer(const RunningServer&) = delete;
  RunningServer& operator=(const RunningServer&) = delete;

  [[nodiscard]] std::uint16_t port() const { return server_->port(); }
  void stop() {
    thread_.request_stop();
    if (thread_.joinable()) thread_.join();
  }
  void request_stop() { thread_.request_stop(); }
  ScoringService& service() { return service_; }

  /// One request on a connection of its own.
  test::RawClient::Answer ask(const std::string& method, const std::string& target, const std::string& body = "",
                              const std::string& headers = "") const {
    test::RawClient client(port());
    client.send(test::http_request(method, target, body, headers));
    return client.read(method == "HEAD");
  }
  nlohmann::json post(const std::string& target, const nlohmann::json& body, int expected = 200) const {
    const auto answer = ask("POST", target, body.dump(), "Content-Type: application/json\r\n");
    EXPECT_EQ(answer.status, expected) << answer.body;
    return nlohmann::json::parse(answer.body, nullptr, false);
  }

 private:
  std::unique_ptr<Access> access_;
  ScoringService service_;
  Metrics metrics_;
  Pages pages_;
  Routes routes_;
  std::unique_ptr<HttpServer> server_;
  std::jthread thread_;
};

}  // namespace imagerank::serving
