#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <optional>
#include <sstream>

#include "cli/command_pull.h"
#include "cli/small_world.h"
#include "core/atomic_file.h"
#include "support/child_process.h"
#include "support/environment_variable.h"
#include "support/hub_server.h"
#include "support/test_support.h"
#include "workspace/database.h"
#include "workspace/workspace.h"

namespace imagerank::cli {
namespace {

using std::chrono::milliseconds;
using test::HttpResponse;
using test::HubRequest;
using test::HubServer;
using test::TemporaryFolder;
using Variable = test::EnvironmentVariable;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr const char* kRankings = "yuvalkirstain/PickaPic-rankings";

class PullCommandTest : public ::testing::Test {
 protected:
  std::string parquet(const std::string& select) {
    workspace::Database database(1);
    database.write_parquet(select, folder_ / "made.parquet");
    return load_file(folder_ / "made.parquet");
  }

  std::string rankings(int rows) {
    return parquet(fmt::format(
        "SELECT i AS ranking_id, 'u' || (i % 7) AS user_id, 'prompt ' || (i // 3) AS prompt, md5('a' || i) AS "
        "image_1_uid, md5('b' || i) AS image_2_uid, md5('c' || i) AS image_3_uid, md5('d' || i) AS image_4_uid, "
        "CASE WHEN i % 4 = 0 THEN 'none' ELSE md5('b' || i) END AS best_image_uid, "
        "TIMESTAMP '2023-01-01 00:00:00' + INTERVAL (i) SECOND AS created_at FROM range({}) t(i)",
        rows));
  }

  void SetUp() override {
    hub_.files = {{"README.md", {"a card", false}}, {"data/train-00000-of-00001.parquet", {rankings(20), true}}};
    images_.files = {{"data/train-00000-of-00001.parquet",
                      {parquet("SELECT md5('a' || i) AS image_uid, 'http://x/' || i || '.png' AS url, 'sd' AS model_id "
                               "FROM range(20) t(i)"),
                       true}}};
    // One endpoint for both: what the first does not have, the second answers.
    hub_.hook = [this](const HubRequest& request, const HttpResponse&) -> std::optional<HttpResponse> {
      if (request.path.find("PickaPic-images") == std::string::npos) return std::nullopt;
      return images_.respond(request);
    };
  }

  std::vector<std::string> line(std::vector<std::string> more = {}) {
    std::vector<std::string> arguments = {"pull", kRankings, "--data", (folder_ / "w").string(), "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }

  TemporaryFolder folder_;
  HubServer images_{"yuvalkirstain/PickaPic-images"};
  HubServer hub_{kRankings};
  Variable endpoint_{"HF_ENDPOINT", hub_.endpoint()};
  Variable home_{"HF_HOME", (folder_ / "hf").string()};
  Variable cache_{"HF_HUB_CACHE", ""};
  Variable token_{"HF_TOKEN", ""};
  Variable no_proxy_{"no_proxy", "127.0.0.1"};
};

TEST_F(PullCommandTest, PullsBothDatasetsAndImportsThem) {
  const LineRun run = run_line(line());
  ASSERT_EQ(run.code, 0) << run.err;
  const auto json = run.json();
  EXPECT_EQ(json["dataset"], kRankings);
  EXPECT_EQ(json["revision"], hub_.commit);
  EXPECT_EQ(json["files"], 2);  // not the README
  EXPECT_EQ(json["cached"], 0);
  EXPECT_EQ(json["bytes"], json["transferred"]);
  EXPECT_EQ(json["rankings"], 20);
  EXPECT_EQ(json["images"], 80);
  EXPECT_EQ(json["ties"], 5);
  EXPECT_THAT(json["failed"], IsEmpty());
  const auto workspace = workspace::Workspace::open(folder_ / "w");
  EXPECT_THAT(workspace.load_rankings(), SizeIs(20));
  int with_url = 0;
  for (const workspace::Image& image : workspace.load_images()) with_url += image.url.empty() ? 0 : 1;
  EXPECT_EQ(with_url, 20);

  const std::size_t before = hub_.file_requests().size();
  const auto again = run_line(line()).json();
  EXPECT_EQ(again["cached"], 2);
  EXPECT_EQ(again["transferred"], 0);
  EXPECT_EQ(again["rankings"], 20);
  EXPECT_EQ(hub_.file_requests().size(), before);
}

TEST_F(PullCommandTest, DryRunAndNoImportLeaveTheWorkspaceAlone) {
  const LineRun dry = run_line({"pull", kRankings, "--dry-run"});
  ASSERT_EQ(dry.code, 0) << dry.err;
  EXPECT_THAT(dry.out, AllOf(HasSubstr("data/train-00000-of-00001.parquet"), HasSubstr("to get")));
  EXPECT_THAT(hub_.file_requests(), IsEmpty());
  EXPECT_FALSE(std::filesystem::exists(folder_ / "hf"));

  const LineRun files = run_line(line({"--no-import", "--files", "README.md"}));
  ASSERT_EQ(files.code, 0) << files.err;
  const auto json = files.json();
  EXPECT_EQ(json["rankings"], 0);
  EXPECT_EQ(load_file(json["sources"][0]["files"][0]["local"].get<std::string>()), "a card");
  EXPECT_FALSE(std::filesystem::exists(folder_ / "w"));
}

TEST_F(PullCommandTest, OtherDatasetsNeedAFormat) {
  HubServer other("me/mine");
  other.files = {{"votes.parquet", {rankings(3), true}}, {"other.bin", {"x", true}}};
  const Variable endpoint("HF_ENDPOINT", other.endpoint());
  const std::string data = (folder_ / "w").string();
  const LineRun unknown = run_line({"pull", "me/mine", "--data", data});
  EXPECT_EQ(unknown.code, 2);
  EXPECT_THAT(unknown.err, AllOf(HasSubstr("me/mine"), HasSubstr("--format"), HasSubstr(kRankings)));
  EXPECT_EQ(run_line({"pull", "me/mine", "--data", data, "--format", "nonsense"}).code, 2);
  EXPECT_EQ(run_line({"pull", "not an id", "--data", data, "--format", "pickapic-v0"}).code, 2);
  EXPECT_EQ(run_line({"pull", "me/mine", "--format", "pickapic-v0"}).code, 2);  // no --data
  EXPECT_THAT(other.requests(), IsEmpty());
  const LineRun run = run_line({"pull", "me/mine", "--data", data, "--format", "pickapic-v0", "--json"});
  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_EQ(run.json()["files"], 1);
  EXPECT_EQ(run.json()["rankings"], 3);
  const LineRun all = run_line({"pull", "me/mine", "--no-import", "--json"});
  EXPECT_EQ(all.json()["files"], 2);
}

/// The format and the files that are known of a dataset, and where its image paths start.
TEST_F(PullCommandTest, KnownDatasetsChooseFormatAndFiles) {
  HubServer other("MizzenAI/HPDv3");
  const std::string record =
      R"([{"prompt": "a cat", "choice_dist": [3, 0], "confidence": 0.9, "path1": "x/a.jpg", "path2": "x/b.jpg",
           "model1": "m", "model2": "n"}])";
  other.files = {{"train.json", {record, true}}, {"images.tar.gz.00", {"huge", true}}, {"README.md", {"card", false}}};
  const Variable endpoint("HF_ENDPOINT", other.endpoint());
  test::write_text(folder_ / "unpacked/x/a.jpg", "bytes");
  const LineRun run = run_line({"pull", "MizzenAI/HPDv3", "--data", (folder_ / "w").string(), "--images",
                                (folder_ / "unpacked").string(), "--json"});
  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_EQ(run.json()["files"], 1);
  EXPECT_EQ(run.json()["rankings"], 1);
  const auto images = workspace::Workspace::open(folder_ / "w").load_images();
  ASSERT_THAT(images, SizeIs(2));
  EXPECT_THAT(images[0].path, HasSubstr("unpacked/x/"));
  const LineRun other_format = run_line(
      {"pull", "MizzenAI/HPDv3", "--data", (folder_ / "w").string(), "--format", "hpdv2", "--files", "*.json"});
  EXPECT_EQ(other_format.code, 1);
  EXPECT_THAT(other_format.err, HasSubstr("human_preference"));
}

TEST_F(PullCommandTest, ACompanionThatIsNotThereIsNamed) {
  hub_.hook = nullptr;
  const LineRun run = run_line(line());
  EXPECT_EQ(run.code, 1);
  EXPECT_THAT(run.err, AllOf(HasSubstr("yuvalkirstain/PickaPic-images"), HasSubstr("404")));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "w"));
}

TEST_F(PullCommandTest, ABrokenFileIsNamedAndNothingImported) {
  hub_.hook = [this](const HubRequest& request, const HttpResponse& normal) -> std::optional<HttpResponse> {
    if (request.path.find("PickaPic-images") != std::string::npos) return images_.respond(request);
    if (request.path.find("/resolve/") == std::string::npos) return std::nullopt;
    HttpResponse other = normal;
    other.body[0] = 'x';
    return other;
  };
  const LineRun run = run_line(line());
  EXPECT_EQ(run.code, 1);
  EXPECT_EQ(run.json()["failed"]["wrong_checksum"], 1);
  EXPECT_EQ(run.json()["files"], 1);
  EXPECT_THAT(run.err, AllOf(HasSubstr("data/train-00000-of-00001.parquet"), HasSubstr("nothing was imported")));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "w"));
}

TEST_F(PullCommandTest, TheTokenOfTheEnvironmentIsUsedAndNeverShown) {
  hub_.token = "hf_right";
  const LineRun without = run_line(line());
  EXPECT_EQ(without.code, 1);
  EXPECT_THAT(without.err, HasSubstr("HF_TOKEN"));
  const Variable token("HF_TOKEN", "hf_right");
  const LineRun with = run_line(line());
  EXPECT_EQ(with.code, 0) << with.err;
  const Variable wrong("HF_TOKEN", "hf_wrongtoken");
  const LineRun refused = run_line(line());
  EXPECT_EQ(refused.code, 1);
  EXPECT_EQ((refused.out + refused.err).find("wrongtoken"), std::string::npos);
}

TEST_F(PullCommandTest, OfflineUsesTheCache) {
  ASSERT_EQ(run_line(line()).code, 0);
  const std::size_t before = hub_.requests().size();
  const Variable offline("HF_HUB_OFFLINE", "1");
  const LineRun run = run_line(line());
  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_EQ(run.json()["rankings"], 20);
  EXPECT_EQ(hub_.requests().size(), before);
  const Variable elsewhere("HF_HOME", (folder_ / "nowhere").string());
  EXPECT_THAT(run_line(line()).err, HasSubstr("HF_HUB_OFFLINE"));
}

/// Slow enough to be stopped half way, on the program itself.
class KilledPullTest : public PullCommandTest {
 protected:
  void SetUp() override {
    PullCommandTest::SetUp();
    hub_.files["data/train-00000-of-00001.parquet"].content = rankings(4000);
    hub_.hook = [this](const HubRequest& request, const HttpResponse& normal) -> std::optional<HttpResponse> {
      if (request.path.find("PickaPic-images") != std::string::npos) return images_.respond(request);
      if (request.path.find("/resolve/") == std::string::npos || !slow_) return std::nullopt;
      HttpResponse slow = normal;
      slow.piece = 8192;
      slow.delay_between = milliseconds(20);
      return slow;
    };
  }

  [[nodiscard]] std::uint64_t held() const {
    std::error_code error;
    const auto size = std::filesystem::file_size(
        folder_.path() / "hf/hub/datasets--yuvalkirstain--PickaPic-rankings/blobs" /
            (test::hub_etag(hub_.files.at("data/train-00000-of-00001.parquet")) + ".incomplete"),
        error);
    return error ? 0 : size;
  }

  void expect_the_next_run_resumes() {
    slow_ = false;
    const std::uint64_t there = held();
    ASSERT_GT(there, 0U);
    const LineRun run = run_line(line());
    ASSERT_EQ(run.code, 0) << run.err;
    EXPECT_EQ(run.json()["rankings"], 4000);
    bool ranged = false;
    for (const HubRequest& request : hub_.file_requests()) ranged |= request.range == fmt::format("bytes={}-", there);
    EXPECT_TRUE(ranged);
  }

  std::atomic<bool> slow_ = true;
};

TEST_F(KilledPullTest, KillDashNine) {
  test::ChildOptions options;
  options.kill_when = [this] { return held() > 20000; };
  EXPECT_EQ(test::run_child(IMAGERANK_PROGRAM, line(), options).signal, SIGKILL);
  expect_the_next_run_resumes();
}

TEST_F(KilledPullTest, CtrlC) {
  test::ChildOptions options;
  options.interrupt_when = [this] { return held() > 20000; };
  const test::ChildResult stopped = test::run_child(IMAGERANK_PROGRAM, line(), options);
  EXPECT_EQ(stopped.exit_code, 130) << stopped.err;
  EXPECT_EQ(stopped.out, "");
  expect_the_next_run_resumes();
}

}  // namespace
}  // namespace imagerank::cli
