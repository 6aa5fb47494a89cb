#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>

#include "cli/small_world.h"
#include "clip/published.h"
#include "core/atomic_file.h"
#include "support/child_process.h"
#include "support/environment_variable.h"
#include "support/hub_server.h"
#include "support/test_support.h"

namespace imagerank::cli {
namespace {

using std::chrono::milliseconds;
using test::HttpResponse;
using test::HubRequest;
using Variable = test::EnvironmentVariable;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::IsSupersetOf;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

constexpr const char* kName = "openai/clip-vit-base-patch32";
constexpr const char* kWeights = "model.safetensors";

/// A hub of one model, of random weights under a published name, with files beside it that no one needs.
class ModelsPullTest : public ::testing::Test {
 protected:
  void SetUp() override {
    make_tiny_model(folder_ / "made");
    for (const auto& entry : std::filesystem::directory_iterator(folder_ / "made")) {
      const std::string name = entry.path().filename().string();
      hub_.files[name] = {load_file(entry.path()), name == kWeights};
    }
    hub_.files["README.md"] = {"---\nlanguage: en\nlicense: mit\ntags:\n- vision\n---\n\n# A card\nlicense: no\n",
                               false};
    hub_.files["pytorch_model.bin"] = {"the same in another form", true};
    hub_.files["tf_model.h5"] = {"and another", true};
    hub_.files["onnx/model.safetensors"] = {"below a folder", true};
  }

  static LineRun pull(std::vector<std::string> more = {}, const std::string& name = kName) {
    std::vector<std::string> arguments = {"models", "pull", name, "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_line(arguments);
  }
  static void expect_one_line(const LineRun& run, int code) {
    EXPECT_EQ(run.code, code) << run.err;
    EXPECT_EQ(std::ranges::count(run.err, '\n'), 1) << run.err;
    EXPECT_EQ(run.out, "");
  }

  [[nodiscard]] std::filesystem::path root() const {
    return folder_.path() / "hf/hub/models--openai--clip-vit-base-patch32";
  }
  [[nodiscard]] std::filesystem::path snapshot(const std::string& name = "") const {
    return root() / "snapshots" / hub_.commit / name;
  }
  [[nodiscard]] std::filesystem::path incomplete() const {
    return root() / "blobs" / (test::hub_etag(hub_.files.at(kWeights)) + ".incomplete");
  }
  /// Requests for the weights' file.
  [[nodiscard]] std::vector<HubRequest> weight_requests() {
    std::vector<HubRequest> found = hub_.file_requests();
    std::erase_if(found, [](const HubRequest& request) { return request.path.find(kWeights) == std::string::npos; });
    return found;
  }
  /// Answers to requests for the weights' file.
  void answer_weights(std::function<std::optional<HttpResponse>(const HubRequest&, const HttpResponse&)> answer) {
    hub_.hook = [answer = std::move(answer)](const HubRequest& request, const HttpResponse& normal) {
      const bool weights = request.path.find("/resolve/") != std::string::npos && request.path.ends_with(kWeights);
      return weights ? answer(request, normal) : std::nullopt;
    };
  }

  test::TemporaryFolder folder_;
  test::HubServer hub_{kName, hub::RepositoryKind::kModel};
  Variable endpoint_{"HF_ENDPOINT", hub_.endpoint()};
  Variable home_{"HF_HOME", (folder_ / "hf").string()};
  Variable cache_{"HF_HUB_CACHE", ""};
  Variable token_{"HF_TOKEN", ""};
  Variable no_proxy_{"no_proxy", "127.0.0.1"};
};

TEST_F(ModelsPullTest, BringsWhatIsNeededOnceAndEveryCommandFindsIt) {
  const LineRun run = pull();
  ASSERT_EQ(run.code, 0) << run.err;
  const nlohmann::json json = run.json();
  EXPECT_EQ(json["models"][0]["name"], kName);
  EXPECT_EQ(json["models"][0]["path"], std::filesystem::canonical(snapshot()).string());
  EXPECT_GT(json["models"][0]["parameters"], 100000);
  EXPECT_EQ(json["models"][0]["pretrained"], false);
  EXPECT_EQ(json["repository"], kName);
  EXPECT_EQ(json["revision"], hub_.commit);
  EXPECT_EQ(json["cached"], 0);
  EXPECT_EQ(json["transferred"], json["bytes"]);
  std::vector<std::string> names;
  for (const auto& file : json["files"]) names.push_back(file["path"]);
  EXPECT_THAT(names, UnorderedElementsAre("README.md", "config.json", "merges.txt", kWeights,
                                          "preprocessor_config.json", "vocab.json"));
  EXPECT_EQ(load_file(root() / "refs/main"), hub_.commit);
  EXPECT_EQ(load_file(snapshot(kWeights)), hub_.files.at(kWeights).content);
  EXPECT_TRUE(std::filesystem::is_symlink(snapshot(kWeights)));

  const std::size_t files = hub_.file_requests().size();
  const LineRun again = pull();
  EXPECT_EQ(again.json()["transferred"], 0);
  EXPECT_EQ(again.json()["cached"], 6);
  EXPECT_EQ(hub_.file_requests().size(), files);

  // From here on nobody asks the hub.
  const std::size_t requests = hub_.requests().size();
  const LineRun info = run_line({"models", "info", "ViT-B-32/openai", "--json"});
  ASSERT_EQ(info.code, 0) << info.err;
  EXPECT_EQ(info.json()["models"][0]["path"], json["models"][0]["path"]);
  test::write_text(folder_ / "texts.txt", "a red car\n");
  const LineRun embed = run_line({"embed", "--model", kName, "--texts", (folder_ / "texts.txt").string(), "--out",
                                  (folder_ / "v.npy").string(), "--allow-untrained", "--json"});
  ASSERT_EQ(embed.code, 0) << embed.err;
  EXPECT_EQ(embed.json()["dim"], 48);
  EXPECT_EQ(hub_.requests().size(), requests);
}

TEST_F(ModelsPullTest, AScorersPartsComeByItsName) {
  const LineRun before = run_line({"models", "info", "clipscore", "--json"});
  ASSERT_EQ(before.code, 0) << before.err;
  EXPECT_THAT(before.json()["scorer"]["problem"].get<std::string>(), HasSubstr("`imagerank models pull clipscore`"));
  const LineRun run = pull({}, "clipscore");
  ASSERT_EQ(run.code, 0) << run.err;
  const auto json = run.json();
  EXPECT_EQ(json["scorer"], "clipscore");
  EXPECT_TRUE(json["problem"].is_null()) << json["problem"];
  ASSERT_EQ(json["pulls"].size(), 1U);  // its own repository has a tokenizer
  EXPECT_EQ(json["pulls"][0]["repository"], kName);
  EXPECT_TRUE(run_line({"models", "info", "clipscore", "--json"}).json()["scorer"]["problem"].is_null());
  EXPECT_EQ(pull({"--revision", "v2"}, "clipscore").code, 2);
}

TEST(ScorerPull, TakesItsOwnWeightsOfSeveral) {
  test::HubServer hub("xswu/HPSv2", hub::RepositoryKind::kModel);
  const test::TemporaryFolder folder;
  const Variable endpoint("HF_ENDPOINT", hub.endpoint()), home("HF_HOME", (folder / "hf").string());
  const Variable cache("HF_HUB_CACHE", ""), token("HF_TOKEN", ""), no_proxy("no_proxy", "127.0.0.1");
  for (const char* name : {"HPS_v2.pt", "HPS_v2_compressed.pt", "HPS_v2.1_compressed.pt"}) {
    hub.files[name] = {std::string("weights ") + name, true};
  }
  for (const auto& [scorer, file] :
       {std::pair("hpsv2", "HPS_v2_compressed.pt"), std::pair("hpsv2.1", "HPS_v2.1_compressed.pt")}) {
    const LineRun run = run_line({"models", "pull", scorer, "--dry-run", "--json"});
    ASSERT_EQ(run.code, 0) << run.err;
    const auto json = run.json();
    ASSERT_EQ(json["pulls"][0]["files"].size(), 1U);
    EXPECT_EQ(json["pulls"][0]["files"][0]["path"], file);
  }
}

TEST(ScorerPull, BringsAVocabularyOfAnotherRepository) {
  test::HubServer hub("THUDM/ImageReward", hub::RepositoryKind::kModel);
  test::HubServer words("google-bert/bert-base-uncased", hub::RepositoryKind::kModel);
  for (const char* name : {"ImageReward.pt", "med_config.json", "README.md", "other.pt"}) {
    hub.files[name] = {std::string("content of ") + name, true};
  }
  for (const char* name : {"vocab.txt", "tokenizer.json", "model.safetensors"}) words.files[name] = {name, true};
  hub.hook = [&](const HubRequest& request, const HttpResponse&) -> std::optional<HttpResponse> {
    if (request.path.find("bert-base-uncased") == std::string::npos) return std::nullopt;
    return words.respond(request);
  };
  const test::TemporaryFolder folder;
  const Variable endpoint("HF_ENDPOINT", hub.endpoint()), home("HF_HOME", (folder / "hf").string());
  const Variable cache("HF_HUB_CACHE", ""), token("HF_TOKEN", ""), no_proxy("no_proxy", "127.0.0.1");
  const Variable scorers("IMAGERANK_SCORERS", (folder / "scorers").string());
  const LineRun run = run_line({"models", "pull", "imagereward", "--json"});
  ASSERT_EQ(run.code, 0) << run.err;
  const auto json = run.json();
  EXPECT_TRUE(json["problem"].is_null()) << json["problem"];
  ASSERT_EQ(json["pulls"].size(), 2U);
  std::vector<std::string> files;
  for (const auto& pull : json["pulls"]) {
    for (const auto& file : pull["files"]) files.push_back(file["path"]);
  }
  EXPECT_THAT(files, UnorderedElementsAre("ImageReward.pt", "README.md", "med_config.json", "vocab.txt"));
  EXPECT_TRUE(run_line({"models", "info", "imagereward", "--json"}).json()["scorer"]["problem"].is_null());
  EXPECT_EQ(run_line({"models", "pull", "imagereward", "--dry-run", "--json"}).json()["pulls"].size(), 1U)
      << "the vocabulary is there";
}

/// The recorded name leads to the commit that was used, whatever `main` becomes.
TEST_F(ModelsPullTest, ARewardFindsItsEncoderAgainByName) {
  ASSERT_EQ(pull().code, 0);
  const std::string data = (folder_ / "data").string();
  make_small_world(data, 20);
  ASSERT_EQ(run_line({"label", "--data", data}).code, 0);
  const LineRun encode =
      run_line({"encode", "--data", data, "--model", "ViT-B-32/openai", "--allow-untrained", "--json"});
  ASSERT_EQ(encode.code, 0) << encode.err;
  EXPECT_THAT(encode.json()["encoder"].get<std::string>(), HasSubstr("clip-vit-base-patch32-fp32-"));
  const LineRun train = run_line(
      {"train", "--data", data, "--model", kName, "--head", "linear", "--loss", "bt", "--name", "r", "--epochs", "1"});
  ASSERT_EQ(train.code, 0) << train.err;
  const auto record = nlohmann::json::parse(load_file(data + "/rewards/r/reward.json"));
  EXPECT_EQ(record["model"], fmt::format("{}@{}", kName, hub_.commit));
  write_file_atomically(folder_ / "p.png", noisy_png(3, 20));
  const LineRun rank =
      run_line({"rank", "--reward", data + "/rewards/r", "--prompt", "a car", (folder_ / "p.png").string()});
  EXPECT_EQ(rank.code, 0) << rank.err;
}

TEST_F(ModelsPullTest, WhatOtherToolsHaveIsNotPulledAgain) {
  for (const auto& [name, file] : hub_.files) {
    if (clip::choose_model_files({name, kWeights}).front() != name) continue;
    test::write_text(root() / "blobs" / test::hub_etag(file), file.content);
    std::filesystem::create_directories(snapshot());
    std::filesystem::create_symlink("../../blobs/" + test::hub_etag(file), snapshot(name));
  }
  test::write_text(root() / "refs/main", hub_.commit);
  const LineRun run = pull();
  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_EQ(run.json()["transferred"], 0);
  EXPECT_THAT(hub_.file_requests(), IsEmpty());
}

TEST_F(ModelsPullTest, AHalfPulledFileIsCarriedOn) {
  test::write_text(incomplete(), hub_.files.at(kWeights).content.substr(0, 5000));
  ASSERT_EQ(pull().code, 0);
  ASSERT_EQ(weight_requests().size(), 1U);
  EXPECT_EQ(weight_requests()[0].range, "bytes=5000-");
  EXPECT_EQ(load_file(snapshot(kWeights)), hub_.files.at(kWeights).content);
}

TEST_F(ModelsPullTest, DropsAndBusyServersAreTriedAgain) {
  std::atomic<int> asked = 0;
  answer_weights([&](const HubRequest&, const HttpResponse& normal) -> std::optional<HttpResponse> {
    HttpResponse other = normal;
    switch (asked++) {
      case 0:
        other.drop_after = 1000;
        return other;
      case 1:
        other.status = 503;
        return other;
      case 2:
        other.status = 429;
        other.headers = {{"Retry-After", "1"}};
        return other;
      default:
        return std::nullopt;
    }
  });
  const LineRun run = pull({"--retries", "5"});
  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_EQ(weight_requests().back().range, "bytes=1000-");
  EXPECT_EQ(load_file(snapshot(kWeights)), hub_.files.at(kWeights).content);
}

TEST_F(ModelsPullTest, OtherBytesThanTheChecksumSaysAreNoModel) {
  answer_weights([](const HubRequest&, const HttpResponse& normal) {
    HttpResponse other = normal;
    other.body[100] = static_cast<char>(other.body[100] ^ 1);
    return std::optional(other);
  });
  const LineRun run = pull();
  EXPECT_EQ(run.code, 1);
  EXPECT_EQ(run.json()["failed"]["wrong_checksum"], 1);
  EXPECT_THAT(run.err,
              AllOf(HasSubstr(kWeights), HasSubstr("wrong_checksum"), HasSubstr("run the same command again")));
  EXPECT_FALSE(std::filesystem::exists(snapshot(kWeights)));
  const LineRun info = run_line({"models", "info", kName});
  expect_one_line(info, 1);
  EXPECT_THAT(info.err, HasSubstr("`imagerank models pull openai/clip-vit-base-patch32`"));
  hub_.hook = nullptr;
  EXPECT_EQ(pull().code, 0);
}

TEST_F(ModelsPullTest, ADiskThatIsFullLeavesWhatResumes) {
  test::ChildOptions small;
  small.max_file_bytes = 100000;  // the config fits, the weights do not
  const std::vector<std::string> line = {"models", "pull", kName, "--quiet"};
  const test::ChildResult full = test::run_child(IMAGERANK_PROGRAM, line, small);
  EXPECT_EQ(full.exit_code, 1);
  EXPECT_EQ(std::ranges::count(full.err, '\n'), 1) << full.err;
  EXPECT_THAT(full.err, AllOf(HasSubstr(".incomplete"), HasSubstr("cannot write")));
  EXPECT_FALSE(std::filesystem::exists(snapshot(kWeights)));
  const test::ChildResult again = test::run_child(IMAGERANK_PROGRAM, line);
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_EQ(load_file(snapshot(kWeights)), hub_.files.at(kWeights).content);
  EXPECT_EQ(weight_requests().back().range, "bytes=100000-");
}

TEST_F(ModelsPullTest, KillDashNine) {
  std::atomic<bool> slow = true;
  answer_weights([&](const HubRequest&, const HttpResponse& normal) -> std::optional<HttpResponse> {
    if (!slow) return std::nullopt;
    HttpResponse other = normal;
    other.piece = 8192;
    other.delay_between = milliseconds(20);
    return other;
  });
  test::ChildOptions options;
  options.kill_when = [this] {
    std::error_code error;
    return std::filesystem::file_size(incomplete(), error) > 20000 && !error;
  };
  EXPECT_EQ(test::run_child(IMAGERANK_PROGRAM, {"models", "pull", kName}, options).signal, SIGKILL);
  EXPECT_FALSE(std::filesystem::exists(snapshot(kWeights)));
  slow = false;
  ASSERT_EQ(pull().code, 0);
  EXPECT_THAT(weight_requests().back().range, HasSubstr("bytes="));
  EXPECT_EQ(load_file(snapshot(kWeights)), hub_.files.at(kWeights).content);
}

TEST_F(ModelsPullTest, UnknownNamesSuggestNearOnes) {
  const LineRun slip = pull({}, "openai/clip-vit-base-patch23");
  expect_one_line(slip, 1);
  EXPECT_THAT(slip.err, AllOf(HasSubstr("404"), HasSubstr("did you mean openai/clip-vit-base-patch32")));
  const LineRun shape = pull({}, "openai/clip/vit");
  expect_one_line(shape, 2);
  EXPECT_THAT(shape.err, AllOf(HasSubstr("expected a hub id"), HasSubstr("'openai/clip/vit'")));
  expect_one_line(pull({}, "builtin/sample"), 2);
  expect_one_line(pull({"--revision", "../x"}), 2);
  EXPECT_THAT(pull({"--revision", "v9"}).err, AllOf(HasSubstr("'v9'"), HasSubstr("404")));
}

TEST_F(ModelsPullTest, GatedModelsSayHowToGiveAToken) {
  hub_.token = "hf_right";
  const LineRun without = pull();
  expect_one_line(without, 1);
  EXPECT_THAT(without.err, AllOf(HasSubstr("401"), HasSubstr("HF_TOKEN"), HasSubstr(hub_.endpoint())));
  {
    const Variable wrong("HF_TOKEN", "hf_wrong");
    EXPECT_THAT(pull().err, AllOf(HasSubstr("accepted"), Not(HasSubstr("hf_wrong"))));
  }
  const Variable token("HF_TOKEN", "hf_right");
  answer_weights([](const HubRequest&, const HttpResponse&) {
    HttpResponse gated;
    gated.status = 403;
    return std::optional(gated);
  });
  const LineRun refused = pull();
  expect_one_line(refused, 1);
  EXPECT_THAT(refused.err, AllOf(HasSubstr("403"), HasSubstr("HF_TOKEN")));
  hub_.hook = nullptr;
  EXPECT_EQ(pull().code, 0);
}

TEST_F(ModelsPullTest, WithoutANetworkTheCacheServes) {
  const Variable nowhere("HF_ENDPOINT", "http://127.0.0.1:1");
  const LineRun nothing = pull({"--retries", "0"});
  expect_one_line(nothing, 1);
  EXPECT_THAT(nothing.err, HasSubstr("expected an answer from the hub"));
  {
    const Variable offline("HF_HUB_OFFLINE", "1");
    EXPECT_THAT(pull().err, HasSubstr("HF_HUB_OFFLINE"));
    const Variable back("HF_ENDPOINT", hub_.endpoint());
    EXPECT_THAT(hub_.requests(), IsEmpty());
  }
  {
    const Variable back("HF_ENDPOINT", hub_.endpoint());
    ASSERT_EQ(pull().code, 0);
  }
  const LineRun cached = pull({"--retries", "0"});
  EXPECT_EQ(cached.code, 0);
  EXPECT_THAT(cached.err, HasSubstr("the cache's copy is used"));
  EXPECT_EQ(cached.json()["models"][0]["path"], std::filesystem::canonical(snapshot()).string());
}

TEST_F(ModelsPullTest, WhatIsNoClipIsToldBeforeItsWeightsCome) {
  hub_.files["config.json"].content = R"({"model_type": "gpt2"})";
  const LineRun run = pull();
  expect_one_line(run, 1);
  EXPECT_THAT(run.err, AllOf(HasSubstr("config.json"), HasSubstr("expected clip, found gpt2")));
  EXPECT_THAT(weight_requests(), IsEmpty());
  for (const char* const name : {kWeights, "pytorch_model.bin"}) hub_.files.erase(name);
  const LineRun none = pull();
  expect_one_line(none, 1);
  EXPECT_THAT(none.err, AllOf(HasSubstr("expected model.safetensors"), HasSubstr("onnx/model.safetensors")));
}

TEST_F(ModelsPullTest, ARevisionHasItsOwnName) {
  hub_.branches = {"v1"};
  const LineRun run = pull({"--revision", "v1"});
  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_EQ(load_file(root() / "refs/v1"), hub_.commit);
  EXPECT_THAT(run_line({"models", "info", kName}).err, HasSubstr("models pull"));
  EXPECT_EQ(run_line({"models", "info", fmt::format("{}@v1", kName)}).code, 0);
  EXPECT_EQ(run_line({"models", "info", fmt::format("{}@{}", kName, hub_.commit)}).code, 0);
}

TEST_F(ModelsPullTest, DryRunTransfersNothing) {
  const LineRun run = run_line({"models", "pull", "ViT-B-32/openai", "--dry-run"});
  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_THAT(run.out, AllOf(HasSubstr("to get  openai/clip-vit-base-patch32:model.safetensors"),
                             Not(HasSubstr("pytorch_model.bin"))));
  EXPECT_THAT(hub_.file_requests(), IsEmpty());
  EXPECT_FALSE(std::filesystem::exists(folder_ / "hf"));
}

TEST_F(ModelsPullTest, ListNamesWhatIsHereAndWhatCanBeHad) {
  const auto find = [](const nlohmann::json& models, const std::string& name) {
    const auto found = std::ranges::find_if(models, [&](const auto& model) { return model["name"] == name; });
    return found == models.end() ? nlohmann::json() : *found;
  };
  nlohmann::json before = run_line({"models", "list", "--json"}).json()["models"];
  EXPECT_EQ(before[0]["name"], "builtin/sample");
  EXPECT_EQ(before[0]["licence"], "Apache-2.0");
  EXPECT_EQ(find(before, kName)["source"], "hub");
  EXPECT_TRUE(find(before, kName)["path"].is_null());
  EXPECT_EQ(find(before, kName)["licence"], "MIT");
  EXPECT_EQ(find(before, kName)["dim"], 512);
  EXPECT_EQ(find(before, "yuvalkirstain/PickScore_v1")["kind"], "scorer");
  EXPECT_EQ(find(before, "yuvalkirstain/PickScore_v1")["bytes"], 3940000000);
  for (const auto& model : before) {
    for (const char* const field : {"name", "path", "parameters", "pretrained", "bytes", "licence", "dim", "about"})
      EXPECT_TRUE(model.contains(field)) << model["name"] << field;
  }
  ASSERT_EQ(pull().code, 0);
  test::write_text(folder_ / "hf/hub/models--gpt2/refs/main", std::string(40, 'b'));
  test::write_text(folder_ / "hf/hub/models--gpt2/snapshots" / std::string(40, 'b') / "config.json",
                   R"({"model_type": "gpt2"})");
  const nlohmann::json after = run_line({"models", "list", "--json"}).json()["models"];
  EXPECT_EQ(after.size(), before.size());
  const nlohmann::json pulled = find(after, kName);
  EXPECT_EQ(pulled["source"], "cache");
  EXPECT_EQ(pulled["licence"], "mit");
  EXPECT_EQ(pulled["dim"], 48);
  EXPECT_EQ(pulled["bytes"], hub_.files.at(kWeights).content.size());
  EXPECT_THAT(run_line({"models", "list"}).out,
              AllOf(HasSubstr("built in\n  builtin/sample"), HasSubstr("pulled\n  openai/clip-vit-base-patch32"),
                    HasSubstr("`imagerank models pull NAME`\n"), HasSubstr("ViT-H-14/laion2b_s32b_b79k"),
                    HasSubstr("about 3.9 GB  licence MIT"), HasSubstr("licence unknown"), Not(HasSubstr("gpt2"))));
  std::filesystem::remove(snapshot(kWeights));
  const nlohmann::json half = find(run_line({"models", "list", "--json"}).json()["models"], kName);
  EXPECT_THAT(half["problem"].get<std::string>(), HasSubstr("models pull"));
}

}  // namespace
}  // namespace imagerank::cli
