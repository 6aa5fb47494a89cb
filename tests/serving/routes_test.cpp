#include "serving/routes.h"

#include <gmock/gmock.h>

#include <cstring>

#include "serving/serving_world.h"

namespace imagerank::serving {
namespace {

using nlohmann::json;
using testing::HasSubstr;

std::string base64_png(std::uint64_t seed) { return encode_base64(noisy_png(seed)); }

class RoutesTest : public ServingWorld {
 protected:
  static std::string message_of(const json& answer) { return answer.at("error").at("message").get<std::string>(); }
};

TEST_F(RoutesTest, ScoresAreThoseOfTheCommandBitForBit) {
  const RunningServer server(sources({"first"}));
  const auto expected = scores_of("first", "a red car", {noisy_png(1), noisy_png(2)});
  const json answer = server.post(
      "/v1/score", {{"prompt", "a red car"}, {"images", {base64_png(1), "data:image/png;base64," + base64_png(2)}}});
  EXPECT_EQ(answer["reward"], "first");
  EXPECT_EQ(answer["failed"], 0);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(answer["scores"][i]["index"], i);
    EXPECT_EQ(answer["scores"][i]["score"].get<float>(), expected[i].score);
    EXPECT_EQ(answer["scores"][i]["truncated"], false);
    EXPECT_TRUE(answer["scores"][i]["error"].is_null());
  }
}

TEST_F(RoutesTest, PairsOfTheirOwnAndSeveralRewards) {
  const RunningServer server(sources({"first", "third"}));
  const json items = {{{"prompt", "a red car"}, {"image", base64_png(1)}},
                      {{"prompt", "a blue circle"}, {"image", base64_png(1)}}};
  const json answer = server.post("/v1/score", {{"rewards", {"third", "first"}}, {"items", items}});
  for (const std::size_t place : {0U, 1U}) {
    const std::string name = place == 0 ? "third" : "first";
    EXPECT_EQ(answer["results"][place]["reward"], name);
    EXPECT_EQ(answer["results"][place]["scores"][1]["score"].get<float>(),
              scores_of(name, "a blue circle", {noisy_png(1)})[0].score);
  }
  EXPECT_EQ(server.post("/v1/score", {{"reward", "third"}, {"items", items}})["reward"], "third");
  EXPECT_THAT(message_of(server.post("/v1/score", {{"items", items}}, 422)), HasSubstr("2 rewards"));
  EXPECT_THAT(message_of(server.post("/v1/score", {{"reward", "fourth"}, {"items", items}}, 404)),
              HasSubstr("first, third"));
}

TEST_F(RoutesTest, AFormIsScoredToo) {
  const RunningServer server(sources({"first"}));
  const auto part = [](const std::string& name, const std::string& content) {
    return "--x\r\nContent-Disposition: form-data; name=\"" + name + "\"\r\n\r\n" + content + "\r\n";
  };
  const std::string body =
      part("prompt", "a red car") + part("image", noisy_png(1)) + part("image", noisy_png(2)) + "--x--\r\n";
  const auto answer = server.ask("POST", "/v1/rank", body, "Content-Type: multipart/form-data; boundary=x\r\n");
  ASSERT_EQ(answer.status, 200) << answer.body;
  const json scores = json::parse(answer.body)["scores"];
  EXPECT_EQ(scores.size(), 2U);
  EXPECT_GE(scores[0]["score"].get<float>(), scores[1]["score"].get<float>());
  EXPECT_EQ(
      server.ask("POST", "/v1/score", body.substr(0, 200), "Content-Type: multipart/form-data; boundary=x\r\n").status,
      400);
  EXPECT_EQ(
      server
          .ask("POST", "/v1/score", part("prompt", "a") + "--x--", "Content-Type: multipart/form-data; boundary=x\r\n")
          .status,
      422);
}

TEST_F(RoutesTest, RankPutsTheBestFirstAndWhatFailedLast) {
  const RunningServer server(sources({"first"}));
  json images = {encode_base64("no image")};
  for (std::uint64_t i = 0; i < 5; ++i) images.push_back(base64_png(i));
  const json answer = server.post("/v1/rank", {{"prompt", "a red car"}, {"images", images}, {"top", 3}});
  ASSERT_EQ(answer["scores"].size(), 4U);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(answer["scores"][i]["rank"], i + 1);
  EXPECT_GE(answer["scores"][0]["score"].get<float>(), answer["scores"][1]["score"].get<float>());
  EXPECT_EQ(answer["scores"][3]["index"], 0);
  EXPECT_TRUE(answer["scores"][3]["score"].is_null());
  EXPECT_EQ(answer["scores"][3]["error"]["reason"], "corrupt");
  EXPECT_EQ(answer["failed"], 1);
}

TEST_F(RoutesTest, EmbeddingsInOpenAisShape) {
  const RunningServer server(sources({"first"}));
  clip::EncoderOptions options;
  options.allow_untrained = true;
  const auto encoder = clip::Encoder::load(path("tiny").string(), options);
  const std::vector<float> expected = encoder.embed_texts(std::vector<std::string>{"a red car"}).values;
  const std::vector<std::size_t> read =
      encoder.embed_texts(std::vector<std::string>{"a red car", "a blue circle"}).tokens;
  const json texts = server.post("/v1/embeddings", {{"input", {"a red car", "a blue circle"}}});
  EXPECT_EQ(texts["object"], "list");
  EXPECT_EQ(texts["data"][0]["embedding"].get<std::vector<float>>(), expected);
  EXPECT_EQ(texts["data"][1]["index"], 1);
  EXPECT_EQ(texts["usage"], (json{{"prompt_tokens", read[0] + read[1]}, {"total_tokens", read[0] + read[1]}}));
  const json coded = server.post("/v1/embeddings", {{"input", "a red car"}, {"encoding_format", "base64"}});
  const auto bytes = decode_base64(coded["data"][0]["embedding"].get<std::string>());
  ASSERT_EQ(bytes->size(), expected.size() * sizeof(float));
  EXPECT_EQ(std::memcmp(bytes->data(), expected.data(), bytes->size()), 0);
  const json image = server.post("/v1/embeddings", {{"input", base64_png(1)}, {"modality", "image"}});
  EXPECT_EQ(image["data"][0]["embedding"].size(), encoder.dim());
  EXPECT_EQ(image["usage"]["total_tokens"], 0);
  EXPECT_THAT(message_of(server.post("/v1/embeddings", {{"input", "a"}, {"modality", "sound"}}, 422)),
              HasSubstr("modality"));
}

TEST_F(RoutesTest, TheOpenInferenceProtocol) {
  const RunningServer server(sources({"first"}));
  EXPECT_EQ(server.ask("GET", "/v2/health/live").status, 200);
  EXPECT_EQ(server.ask("GET", "/v2/health/ready").status, 200);
  EXPECT_EQ(json::parse(server.ask("GET", "/v2/models/first").body)["inputs"].size(), 2U);
  EXPECT_EQ(server.ask("GET", "/v2/models/first/ready").status, 200);
  EXPECT_EQ(server.ask("GET", "/v2/models/none").status, 404);
  const auto tensor = [](const char* name, const json& data) {
    return json{{"name", name}, {"shape", {data.size()}}, {"datatype", "BYTES"}, {"data", data}};
  };
  const json images = tensor("image", {base64_png(1), base64_png(2)});
  const json body = {{"id", "7"}, {"inputs", {images, tensor("prompt", json::array({"a red car"}))}}};
  const json answer = server.post("/v2/models/first/infer", body);
  EXPECT_EQ(answer["id"], "7");
  EXPECT_EQ(answer["outputs"][0]["shape"], json::array({2}));
  EXPECT_EQ(answer["outputs"][0]["data"][1].get<float>(), scores_of("first", "a red car", {noisy_png(2)})[0].score);
  json wrong = body;
  wrong["inputs"][0]["shape"] = {3};
  EXPECT_THAT(message_of(server.post("/v2/models/first/infer", wrong, 422)), HasSubstr("shape"));
  wrong = body;
  wrong["inputs"].erase(1);
  EXPECT_THAT(message_of(server.post("/v2/models/first/infer", wrong, 422)), HasSubstr("prompt"));
  (void)server.post("/v2/models/none/infer", body, 404);
}

TEST_F(RoutesTest, MetricsCountWhatWasDone) {
  const RunningServer server(sources({"first"}));
  (void)server.post("/v1/score", {{"prompt", "a"}, {"images", {base64_png(1), encode_base64("no image")}}});
  (void)server.ask("GET", "/nothing/secret-name");
  const std::string text = server.ask("GET", "/metrics").body;
  EXPECT_THAT(text, HasSubstr("imagerank_items_total 2"));
  EXPECT_THAT(text, HasSubstr("imagerank_failed_items_total 1"));
  EXPECT_THAT(text, HasSubstr("imagerank_requests_total{route=\"/v1/score\",status=\"200\"} 1"));
  EXPECT_THAT(text, HasSubstr("route=\"none\",status=\"404\""));
  EXPECT_THAT(text, testing::Not(HasSubstr("secret-name")));
}

TEST_F(RoutesTest, TheInterfaceDescribesEveryRoute) {
  const RunningServer server(sources({"first"}));
  const json api = json::parse(server.ask("GET", "/openapi.json").body);
  for (const char* path : {"/v1/score", "/v1/rank", "/v1/embeddings", "/v1/models", "/v2", "/v2/health/live",
                           "/v2/health/ready", "/v2/models/{name}", "/v2/models/{name}/infer", "/metrics"}) {
    EXPECT_TRUE(api["paths"].contains(path)) << path;
  }
  const auto page = server.ask("GET", "/docs");
  EXPECT_THAT(page.headers.at("content-type"), HasSubstr("text/html"));
  EXPECT_THAT(page.body, HasSubstr("/openapi.json"));
  EXPECT_EQ(server.ask("HEAD", "/docs").status, 200);
}

struct BadRequest {
  const char* path;
  std::string body;
  int status;
  const char* says;
};

TEST_F(RoutesTest, BadRequestsGetTheirStatusAndOneLine) {
  RequestLimits limits;
  limits.max_items = 2;
  limits.max_prompt_bytes = 10;
  const RunningServer server(sources({"first"}), {}, {}, {}, limits);
  const std::string image = "\"" + base64_png(1) + "\"";
  const std::vector<BadRequest> requests = {
      {"/v1/score", "{", 400, "byte"},
      {"/v1/score", "[]", 400, "object"},
      {"/v1/score", "{\"prompt\": \"\xff\"}", 400, "JSON"},
      {"/v1/score", "{\"a\":" + std::string(100'000, '['), 400, "levels"},
      {"/v1/score", "{}", 422, "prompt"},
      {"/v1/score", R"({"prompt": 1, "images": []})", 422, "string"},
      {"/v1/score", R"({"prompt": "a", "images": []})", 422, "images"},
      {"/v1/score", R"({"prompt": "a", "images": ["!"]})", 422, "base64"},
      {"/v1/score", R"({"prompt": "a", "images": ["http://127.0.0.1/a.png"]})", 422, "URL"},
      {"/v1/score", R"({"prompt": "a", "images": ["data:image/png,abc"]})", 422, "data URI"},
      {"/v1/score", R"({"prompt": "a long prompt", "images": [)" + image + "]}", 413, "10 bytes"},
      {"/v1/score", R"({"prompt": "a", "images": [)" + image + "," + image + "," + image + "]}", 413, "at most 2"},
      {"/v1/score", R"({"items": [1]})", 422, "objects"},
      {"/v1/score", R"({"items": [{"prompt": "a"}]})", 422, "items[0].image"},
      {"/v1/rank", R"({"prompt": "a", "images": [)" + image + "], \"top\": -1}", 422, "top"},
      {"/v1/embeddings", R"({"input": [1]})", 422, "input[0]"},
      {"/v1/embeddings", R"({"input": "a", "encoding_format": "hex"})", 422, "encoding_format"},
      {"/v1/nothing", "{}", 404, "path"},
      {"/v2/models/%2e%2e/infer", "{}", 404, "reward"},
  };
  for (const BadRequest& request : requests) {
    const auto answer = server.ask("POST", request.path, request.body, "Content-Type: application/json\r\n");
    EXPECT_EQ(answer.status, request.status) << request.body.substr(0, 80) << " gave " << answer.body;
    const json object = json::parse(answer.body, nullptr, false);
    ASSERT_TRUE(object.contains("error")) << answer.body;
    EXPECT_EQ(object["error"]["code"], request.status);
    EXPECT_THAT(message_of(object), HasSubstr(request.says));
    EXPECT_THAT(message_of(object), testing::Not(HasSubstr("\n")));
  }
  EXPECT_EQ(server.ask("GET", "/v1/score").status, 405);
  EXPECT_EQ(server.ask("GET", "/v1/score").headers.at("allow"), "POST");
  EXPECT_EQ(server.ask("POST", "/v1/score", "a=b", "Content-Type: application/x-www-form-urlencoded\r\n").status, 415);
}

}  // namespace
}  // namespace imagerank::serving
