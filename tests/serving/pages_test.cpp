#include "serving/pages.h"

#include <gmock/gmock.h>

#include "core/atomic_file.h"
#include "serving/serving_world.h"
#include "votes/vote_store.h"

namespace imagerank::serving {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kJson = "Content-Type: application/json\r\n";
constexpr const char* kPrompt = "<img src=x onerror=alert(1)> \"car\" & </script>";

/// A server that collects votes on four images of one prompt, and serves no reward.
class PagesTest : public testing::Test {
 protected:
  void SetUp() override {
    votes::Gallery gallery;
    gallery.prompts.push_back({kPrompt, {}});
    for (std::uint32_t i = 0; i < 4; ++i) {
      const auto file = folder_ / ("file" + std::to_string(i));
      write_file_atomically(file, noisy_png(i));
      gallery.prompts.back().images.push_back(i);
      gallery.images.push_back({"image " + std::to_string(i) + "%", file});
    }
    gallery.index();
    std::filesystem::create_directories(folder_ / "reports/first");
    test::write_text(folder_ / "reports/first/report.html", "<!doctype html><p>the report");
    test::write_text(folder_ / "reports/first/report.json",
                     R"({"n": 12, "warnings": ["a"], "metrics": {"pair_accuracy_strict_micro": {"value": 0.75}}})");
    test::write_text(folder_ / "secret.html", "secret");
    voting_ = std::make_unique<votes::Voting>(std::move(gallery), votes::VotingOptions{.database = url()});
    server_ = start({.guideline = "Be <b>fair</b>.", .choices = 2, .reports = folder_ / "reports"});
  }
  std::unique_ptr<RunningServer> start(const PagesOptions& options) {
    return std::make_unique<RunningServer>(std::vector<RewardSource>{}, ServiceOptions{}, ServerOptions{},
                                           std::filesystem::path(), RequestLimits{}, voting_.get(), options);
  }
  [[nodiscard]] votes::DatabaseUrl url() const {
    return votes::parse_database_url("sqlite://" + (folder_ / "votes.db").string());
  }
  json post(const std::string& path, const json& body, int status, const std::string& headers = "") const {
    const auto answer = server_->ask("POST", path, body.dump(), kJson + headers);
    EXPECT_EQ(answer.status, status) << answer.body;
    const json object = json::parse(answer.body, nullptr, false);
    if (status >= 400) {
      EXPECT_EQ(object["error"]["code"], status);
      EXPECT_THAT(object["error"]["message"].get<std::string>(), Not(HasSubstr("\n")));
    }
    return object;
  }
  json get(const std::string& path, int status = 200, const std::string& headers = "") const {
    const auto answer = server_->ask("GET", path, "", headers);
    EXPECT_EQ(answer.status, status) << answer.body;
    return json::parse(answer.body, nullptr, false);
  }
  std::string begin(const json& extra = json::object()) const {
    json body = {{"user", "Ada"}, {"agreed", true}};
    body.update(extra);
    return "Session-Token: " + post("/v1/sessions", body, 201)["token"].get<std::string>() + "\r\n";
  }
  std::size_t stored() const { return votes::VoteStore(url(), votes::VoteStore::Mode::kReadOnly).votes().size(); }

  test::TemporaryFolder folder_;
  std::unique_ptr<votes::Voting> voting_;
  std::unique_ptr<RunningServer> server_;  ///< after what it uses
};

TEST_F(PagesTest, AVoteFromTheFirstQuestionToTheDisk) {
  const json voting = get("/v1/voting");
  EXPECT_EQ(voting["prompts"], 1);
  EXPECT_EQ(voting["images"], 4);
  EXPECT_EQ(voting["guideline"], "Be <b>fair</b>.");
  const std::string token = begin();
  const json set = get("/v1/sets/next", 200, token)["set"];
  EXPECT_EQ(set["prompt"], kPrompt);
  ASSERT_EQ(set["images"].size(), 2U);
  EXPECT_EQ(get("/v1/sets/next", 200, token)["set"], set);
  const std::string uid = set["images"][1]["uid"];
  EXPECT_EQ(post("/v1/votes", {{"set", set["id"]}, {"choice", uid}, {"ms", 812.5}}, 201, token)["progress"]["votes"],
            1);
  votes::VoteStore store(url(), votes::VoteStore::Mode::kReadOnly);
  const auto votes = store.votes();
  ASSERT_EQ(votes.size(), 1U);
  EXPECT_EQ(votes[0].choice, uid);
  EXPECT_EQ(votes[0].taken_ms, 812);
  EXPECT_THAT(votes[0].user_hash, testing::SizeIs(32));
  const json undone = post("/v1/undo", json::object(), 200, token);
  EXPECT_EQ(undone["set"]["id"], set["id"]);
  EXPECT_EQ(stored(), 0U);
}

TEST_F(PagesTest, FourImagesTiesAndSkips) {
  const std::string token = begin({{"choices", 4}, {"strategy", "random"}});
  const json set = get("/v1/sets/next", 200, token)["set"];
  EXPECT_EQ(set["images"].size(), 4U);
  EXPECT_EQ(post("/v1/votes", {{"set", set["id"]}, {"choice", nullptr}}, 201, token)["progress"]["ties"], 1);
  EXPECT_TRUE(get("/v1/sets/next", 200, token)["set"].is_null()) << "there is one set of four";
  const json watch = get("/v1/watch?half_width=0.1");
  EXPECT_EQ(watch["votes"], 1);
  EXPECT_EQ(watch["ties"], 1);
  EXPECT_TRUE(watch["between_people"]["value"].is_null());
  get("/v1/watch?half_width=nan", 422);
  get("/v1/watch?half_width=0", 422);
}

TEST_F(PagesTest, VotesThatAreRefusedChangeNothing) {
  const std::string ada = begin(), bob = begin({{"user", "Bob"}});
  const json hers = get("/v1/sets/next", 200, ada)["set"];
  const json vote = {{"set", hers["id"]}, {"choice", hers["images"][0]["uid"]}};
  post("/v1/votes", vote, 401);                                         // no token
  post("/v1/votes", vote, 401, "Session-Token: 0123456789abcdef\r\n");  // a wrong one
  get("/v1/sets/next", 401, "Session-Token: 0123456789abcdef\r\n");
  post("/v1/votes", vote, 404, bob);  // shown to somebody else
  post("/v1/votes", {{"set", "'; DROP TABLE votes"}, {"choice", nullptr}}, 404, ada);
  post("/v1/votes", {{"set", hers["id"]}, {"choice", "another image"}}, 422, ada);
  post("/v1/votes", {{"set", hers["id"]}, {"choice", 1}}, 422, ada);
  post("/v1/votes", {{"set", hers["id"]}, {"ms", "fast"}}, 422, ada);
  post("/v1/votes", {{"set", hers["id"]}, {"ms", -5}}, 422, ada);
  post("/v1/undo", json::object(), 409, ada);
  EXPECT_EQ(stored(), 0U);
  post("/v1/votes", vote, 201, ada);
  post("/v1/votes", vote, 409, ada);  // twice
  EXPECT_EQ(stored(), 1U);
}

TEST_F(PagesTest, BadSessionsAreRefused) {
  post("/v1/sessions", {{"user", "Ada"}}, 422);  // has not agreed
  post("/v1/sessions", {{"agreed", true}, {"choices", 3}}, 422);
  post("/v1/sessions", {{"agreed", true}, {"strategy", "best"}}, 422);
  post("/v1/sessions", {{"agreed", true}, {"user", std::string(300, 'a')}}, 422);
  EXPECT_EQ(server_->ask("POST", "/v1/sessions", "{", kJson).status, 400);
  EXPECT_EQ(server_->ask("POST", "/v1/sessions", "[]", kJson).status, 400);
  EXPECT_EQ(server_->ask("POST", "/v1/sessions", "a=b", "Content-Type: text/plain\r\n").status, 415);
  EXPECT_EQ(server_->ask("GET", "/v1/sessions").status, 405);
}

TEST_F(PagesTest, PostsOfOtherSitesAreRefused) {
  const std::string token = begin();
  const json set = get("/v1/sets/next", 200, token)["set"];
  const json vote = {{"set", set["id"]}, {"choice", nullptr}};
  for (const std::string headers :
       {"Sec-Fetch-Site: cross-site\r\n", "Sec-Fetch-Site: same-site\r\n", "Origin: http://evil.example\r\n",
        "Origin: null\r\n", "Origin: http://here.evil.example\r\n"}) {
    post("/v1/votes", vote, 403, token + headers);
    post("/v1/sessions", {{"agreed", true}}, 403, headers);
    post("/v1/undo", json::object(), 403, token + headers);
  }
  EXPECT_EQ(stored(), 0U);
  post("/v1/votes", vote, 201, token + "Sec-Fetch-Site: same-origin\r\nOrigin: http://here\r\n");
}

TEST_F(PagesTest, ImagesAreFoundByUidAndNothingElseIs) {
  const json set = get("/v1/sets/next", 200, begin())["set"];
  const auto answer = server_->ask("GET", set["images"][0]["url"].get<std::string>());
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.headers.at("content-type"), "image/png");
  EXPECT_THAT(answer.body, testing::StartsWith("\x89PNG"));
  const std::string path = (folder_ / "secret.html").string();
  for (const std::string& target :
       {std::string("/v1/images/..%2Fsecret.html"), std::string("/v1/images/../secret.html"),
        std::string("/v1/images/%2e%2e%2fsecret.html"), "/v1/images/" + path, std::string("/v1/images/file0"),
        std::string("/v1/images/%00"), std::string("/reports/..%2Fsecret.html"), std::string("/reports/.."),
        std::string("/reports/%2e%2e"), std::string("/reports/../secret.html"),
        std::string("/app.js/../secret.html")}) {
    const auto refused = server_->ask("GET", target);
    EXPECT_EQ(refused.status, 404) << target;
    EXPECT_THAT(refused.body, Not(HasSubstr("secret")));
  }
}

TEST_F(PagesTest, AnImageWhoseFileIsGoneIsNotFound) {
  std::filesystem::remove(folder_ / "file0");
  EXPECT_EQ(server_->ask("GET", "/v1/images/image%200%25").status, 404);
  EXPECT_EQ(server_->ask("GET", "/v1/images/image%201%25").status, 200);
}

TEST_F(PagesTest, ReportsAreListedAndOpened) {
  const json reports = get("/v1/reports")["reports"];
  ASSERT_EQ(reports.size(), 1U);
  EXPECT_EQ(reports[0]["name"], "first");
  EXPECT_EQ(reports[0]["pair_accuracy"], 0.75);
  EXPECT_EQ(reports[0]["warnings"], 1);
  const auto report = server_->ask("GET", "/reports/first");
  EXPECT_EQ(report.status, 200);
  EXPECT_THAT(report.body, HasSubstr("the report"));
  EXPECT_THAT(report.headers.at("content-security-policy"), HasSubstr("sandbox"));
  EXPECT_EQ(server_->ask("GET", "/reports/second").status, 404);
}

TEST_F(PagesTest, PagesAllowNothingFromElsewhere) {
  for (const char* const path : {"/", "/rank", "/choose", "/watch", "/reports"}) {
    const auto page = server_->ask("GET", path);
    EXPECT_EQ(page.status, 200) << path;
    EXPECT_THAT(page.headers.at("content-type"), HasSubstr("text/html"));
    const std::string& policy = page.headers.at("content-security-policy");
    EXPECT_THAT(policy, HasSubstr("default-src 'none'"));
    EXPECT_THAT(policy, Not(HasSubstr("unsafe")));
    EXPECT_THAT(page.body, HasSubstr("/app.js"));
    EXPECT_THAT(page.body, Not(HasSubstr("://"))) << "nothing of another host";
  }
  EXPECT_THAT(server_->ask("GET", "/app.js").headers.at("content-type"), HasSubstr("javascript"));
  EXPECT_THAT(server_->ask("GET", "/app.css").headers.at("content-type"), HasSubstr("css"));
  EXPECT_EQ(server_->ask("GET", "/docs").status, 200);
}

TEST_F(PagesTest, WithoutADatabaseThereIsNothingToVoteOn) {
  const RunningServer server(std::vector<RewardSource>{});
  for (const char* const path : {"/v1/voting", "/v1/sets/next", "/v1/watch", "/v1/images/a"}) {
    const auto answer = server.ask("GET", path);
    EXPECT_EQ(answer.status, 404) << path;
    EXPECT_THAT(answer.body, HasSubstr("--db"));
  }
  EXPECT_EQ(server.ask("GET", "/rank").status, 200);
  EXPECT_EQ(json::parse(server.ask("GET", "/v1/reports").body)["reports"].size(), 0U);
}

TEST_F(PagesTest, ADatabaseThatIsGoneIsToldAndTheVoteCanComeAgain) {
  const std::string token = begin();
  const json set = get("/v1/sets/next", 200, token)["set"];
  const json vote = {{"set", set["id"]}, {"choice", nullptr}};
  std::filesystem::rename(folder_ / "votes.db", folder_ / "elsewhere.db");
  const auto answer = server_->ask("POST", "/v1/votes", vote.dump(), kJson + token);
  EXPECT_EQ(answer.status, 503) << answer.body;
  EXPECT_TRUE(answer.headers.contains("retry-after"));
  std::filesystem::rename(folder_ / "elsewhere.db", folder_ / "votes.db");
  post("/v1/votes", vote, 201, token);
  EXPECT_EQ(stored(), 1U);
}

TEST_F(PagesTest, ALockedDatabaseIsToldAndTheVoteCanComeAgain) {
  const std::string token = begin();
  const json set = get("/v1/sets/next", 200, token)["set"];
  const json vote = {{"set", set["id"]}, {"choice", nullptr}};
  votes::VoteStore other(url(), votes::VoteStore::Mode::kWrite);
  other.transact([&] {  // which holds SQLite's only place to write
    EXPECT_THAT(post("/v1/votes", vote, 503, token)["error"]["message"].get<std::string>(), HasSubstr("locked"));
  });
  EXPECT_EQ(stored(), 0U);
  post("/v1/votes", vote, 201, token);
  EXPECT_EQ(stored(), 1U);
}

}  // namespace
}  // namespace imagerank::serving
