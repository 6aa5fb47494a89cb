#include "hub/pull.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <ctime>
#include <thread>

#include "core/atomic_file.h"
#include "hub/pull_world.h"
#include "hub_cache/cache.h"

namespace imagerank::hub {
namespace {

using std::chrono::milliseconds;
using test::HttpResponse;
using test::HubRequest;
using test::HubServer;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST_F(PullTest, FilesComeInTheLayoutOfHuggingfaceHub) {
  const PullResult result = pull();
  EXPECT_EQ(result.commit, hub_.commit);
  ASSERT_THAT(result.files, SizeIs(4));
  EXPECT_EQ(result.files[1].path, "data/a.parquet");
  EXPECT_EQ(result.bytes, 301006U);
  EXPECT_EQ(result.transferred, 301006U);
  EXPECT_EQ(result.cached, 0U);
  EXPECT_THAT(result.failed, IsEmpty());
  EXPECT_EQ(load_file(root() / "refs/main"), hub_.commit);
  for (const auto& [name, file] : hub_.files) {
    EXPECT_EQ(load_file(snapshot(name)), file.content) << name;
    EXPECT_EQ(load_file(root() / "blobs" / etag(name)), file.content) << name;
  }
  EXPECT_EQ(std::filesystem::read_symlink(snapshot("README.md")).string(),
            "../../blobs/ce013625030ba8dba906f756967f9e9ca394464a");
  EXPECT_EQ(std::filesystem::read_symlink(snapshot("data/a.parquet")).string(),
            "../../../blobs/" + etag("data/a.parquet"));
}

TEST_F(PullTest, ASecondRunTransfersNothing) {
  pull();
  const std::size_t before = hub_.file_requests().size();
  const PullResult again = pull();
  EXPECT_EQ(again.cached, 4U);
  EXPECT_EQ(again.transferred, 0U);
  EXPECT_EQ(again.bytes, 301006U);
  EXPECT_EQ(hub_.file_requests().size(), before);
}

TEST_F(PullTest, PatternsChooseAndNoMatchIsNamed) {
  request_.patterns = {"*.parquet"};
  EXPECT_THAT(pull().files, SizeIs(2));
  request_.patterns = {"*.arrow"};
  EXPECT_THAT(error_of(ErrorCode::kNotFound), AllOf(HasSubstr("org/name"), HasSubstr("'*.arrow'")));
}

TEST_F(PullTest, ADryRunListsAndWritesNothing) {
  request_.dry_run = true;
  const PullResult result = pull();
  EXPECT_THAT(result.files, SizeIs(4));
  EXPECT_EQ(result.bytes, 301006U);
  EXPECT_EQ(result.transferred, 0U);
  EXPECT_THAT(hub_.file_requests(), IsEmpty());
  EXPECT_FALSE(std::filesystem::exists(settings_.cache));
}

TEST_F(PullTest, ACacheThatPythonLaidOutIsUsed) {
  const auto& content = hub_.files.at("data/a.parquet").content;
  test::write_text(root() / "blobs" / etag("data/a.parquet"), content);
  std::filesystem::create_directories(snapshot("data"));
  std::filesystem::create_symlink("../../../blobs/" + etag("data/a.parquet"), snapshot("data/a.parquet"));
  // The blob is there from another commit, the link is not.
  test::write_text(root() / "blobs" / etag("README.md"), "hello\n");
  request_.patterns = {"data/a.parquet", "README.md"};
  const PullResult result = pull();
  EXPECT_EQ(result.cached, 2U);
  EXPECT_THAT(hub_.file_requests(), IsEmpty());
  EXPECT_EQ(load_file(snapshot("README.md")), "hello\n");
}

TEST_F(PullTest, ABlobOfTheWrongLengthIsPulledAgain) {
  test::write_text(root() / "blobs" / etag("data/a.parquet"), "cut short");
  only("data/a.parquet");
  EXPECT_EQ(pull().cached, 0U);
  EXPECT_EQ(load_file(snapshot("data/a.parquet")), hub_.files.at("data/a.parquet").content);
}

TEST_F(PullTest, ADroppedConnectionIsCarriedOnWithARange) {
  hub_.hook = [first = true](const HubRequest& request, const HttpResponse& normal) mutable {
    if (request.path.find("/resolve/") == std::string::npos || !std::exchange(first, false))
      return std::optional<HttpResponse>();
    HttpResponse cut = normal;
    cut.drop_after = 123456;
    return std::optional(cut);
  };
  only("data/a.parquet");
  const PullResult result = pull();
  EXPECT_THAT(result.failed, IsEmpty());
  EXPECT_EQ(result.transferred, 300000U);
  EXPECT_EQ(load_file(snapshot("data/a.parquet")), hub_.files.at("data/a.parquet").content);
  const auto requests = hub_.file_requests();
  ASSERT_THAT(requests, SizeIs(2));
  EXPECT_EQ(requests[0].range, "");
  EXPECT_EQ(requests[1].range, "bytes=123456-");
}

TEST_F(PullTest, AnIncompleteBlobOfAnEarlierRunIsCarriedOn) {
  test::write_text(incomplete("data/a.parquet"), hub_.files.at("data/a.parquet").content.substr(0, 1000));
  only("data/a.parquet");
  EXPECT_EQ(pull().transferred, 299000U);
  const auto requests = hub_.file_requests();
  ASSERT_THAT(requests, SizeIs(1));
  EXPECT_EQ(requests[0].range, "bytes=1000-");
  EXPECT_EQ(load_file(snapshot("data/a.parquet")), hub_.files.at("data/a.parquet").content);
  EXPECT_FALSE(std::filesystem::exists(incomplete("data/a.parquet")));
}

TEST_F(PullTest, AnIncompleteBlobThatIsWholeNeedsNoTransfer) {
  test::write_text(incomplete("data/a.parquet"), hub_.files.at("data/a.parquet").content);
  only("data/a.parquet");
  EXPECT_EQ(pull().transferred, 0U);
  EXPECT_THAT(hub_.file_requests(), IsEmpty());
  EXPECT_EQ(load_file(snapshot("data/a.parquet")), hub_.files.at("data/a.parquet").content);
}

TEST_F(PullTest, AnIncompleteBlobOfOtherBytesStartsOver) {
  test::write_text(incomplete("data/a.parquet"), std::string(1000, 'x'));
  only("data/a.parquet");
  EXPECT_THAT(pull().failed, IsEmpty());
  EXPECT_EQ(load_file(snapshot("data/a.parquet")), hub_.files.at("data/a.parquet").content);
  test::write_text(incomplete("data/b c.parquet"), std::string(5000, 'x'));  // more than the file has
  only("data/b*");
  EXPECT_THAT(pull().failed, IsEmpty());
  EXPECT_EQ(load_file(snapshot("data/b c.parquet")), hub_.files.at("data/b c.parquet").content);
}

TEST_F(PullTest, AServerWithoutRangesStartsOver) {
  for (const int status : {200, 416}) {
    std::filesystem::remove_all(settings_.cache);
    test::write_text(incomplete("data/a.parquet"), hub_.files.at("data/a.parquet").content.substr(0, 1000));
    hub_.hook = [this, status](const HubRequest& request, const HttpResponse&) {
      if (request.range.empty()) return std::optional<HttpResponse>();
      HttpResponse other;
      other.status = status;
      if (status == 200) other.body = hub_.files.at("data/a.parquet").content;
      return std::optional(other);
    };
    only("data/a.parquet");
    EXPECT_THAT(pull().failed, IsEmpty()) << status;
    EXPECT_EQ(load_file(snapshot("data/a.parquet")), hub_.files.at("data/a.parquet").content) << status;
  }
}

TEST_F(PullTest, AServerThatDropsForEverIsGivenUpAndWhatCameStays) {
  hub_.hook = [](const HubRequest& request, const HttpResponse& normal) {
    if (request.path.find("/resolve/") == std::string::npos) return std::optional<HttpResponse>();
    HttpResponse cut = normal;
    cut.drop_after = request.range.empty() ? 5000 : 0;
    return std::optional(cut);
  };
  only("data/a.parquet");
  settings_.retries = 2;
  const PullResult result = pull();
  ASSERT_THAT(result.failed, SizeIs(1));
  EXPECT_EQ(result.failed[0].item, "data/a.parquet");
  EXPECT_THAT(hub_.file_requests(), SizeIs(3));  // the one that brought bytes, then two that did not
  EXPECT_EQ(std::filesystem::file_size(incomplete("data/a.parquet")), 5000U);
  EXPECT_FALSE(std::filesystem::exists(root() / "refs/main"));
}

TEST_F(PullTest, TheListingComesInPages) {
  hub_.files.clear();
  for (int i = 0; i < 25; ++i) hub_.files[fmt::format("f{:02}.txt", i)] = {fmt::format("content {}", i), i % 2 == 0};
  hub_.page_size = 10;
  const PullResult result = pull();
  EXPECT_THAT(result.files, SizeIs(25));
  EXPECT_EQ(load_file(snapshot("f24.txt")), "content 24");
}

TEST_F(PullTest, AHubWithoutATreeIsReadBySiblings) {
  hub_.has_tree = false;
  EXPECT_THAT(pull().files, SizeIs(4));
  EXPECT_THAT(hub_.file_requests(), SizeIs(3));
}

TEST_F(PullTest, AHubWithoutSizesIsAskedFileByFile) {
  hub_.has_tree = false;
  hub_.blobs_have_sizes = false;
  HubServer store("org/name");
  store.files = hub_.files;
  hub_.content_host = store.endpoint();
  // The hub redirects what is in LFS only; the rest it answers itself.
  hub_.hook = [this](const HubRequest& request, const HttpResponse& normal) -> std::optional<HttpResponse> {
    if (normal.status != 302 || request.path.find("parquet") != std::string::npos) return std::nullopt;
    HttpResponse direct;
    const bool readme = request.path.find("README") != std::string::npos;
    direct.body = readme ? "hello\n" : "";
    direct.headers = {{"ETag", fmt::format("\"{}\"", etag(readme ? "README.md" : "data/empty"))}};
    if (request.method == "HEAD") {
      direct.claimed_length = direct.body.size();
      direct.body.clear();
    }
    return direct;
  };
  const PullResult result = pull();
  EXPECT_THAT(result.files, SizeIs(4));
  EXPECT_EQ(load_file(snapshot("README.md")), "hello\n");
  EXPECT_EQ(load_file(snapshot("data/a.parquet")), hub_.files.at("data/a.parquet").content);
}

TEST_F(PullTest, HostileFileNamesAreRefusedBeforeAnythingIsWritten) {
  using namespace std::string_literals;
  for (const std::string& name : {"../../evil"s, "/etc/evil"s, "a/../../../evil"s, "a\0b"s, R"(a\..\evil)"s}) {
    hub_.files[name] = {"x", true};
    EXPECT_THAT(error_of(ErrorCode::kRefused), HasSubstr("stay inside a folder")) << name;
    hub_.files.erase(name);
  }
  EXPECT_THAT(hub_.file_requests(), IsEmpty());
  EXPECT_FALSE(std::filesystem::exists(settings_.cache));
}

TEST_F(PullTest, AnswersThatAreNotTheInterfaceAreNamed) {
  const auto answer_with = [this](const std::string& part, const std::string& body) {
    hub_.hook = [part, body](const HubRequest& request, const HttpResponse&) {
      if (request.path.find(part) == std::string::npos) return std::optional<HttpResponse>();
      HttpResponse other;
      other.body = body;
      return std::optional(other);
    };
  };
  answer_with("/revision/", "<html>");
  EXPECT_THAT(error_of(ErrorCode::kCorruptData), HasSubstr("JSON"));
  answer_with("/revision/", R"({"sha": "../../x"})");
  EXPECT_THAT(error_of(ErrorCode::kCorruptData), HasSubstr("'sha'"));
  answer_with("/tree/", R"({"not": "a list"})");
  EXPECT_THAT(error_of(ErrorCode::kCorruptData), HasSubstr("list of files"));
  answer_with("/tree/", R"([{"type": "file", "path": "a", "size": 1, "oid": "../../../../evil"}])");
  EXPECT_THAT(error_of(ErrorCode::kCorruptData), HasSubstr("SHA"));
  answer_with("/tree/", std::string(100000, '['));
  EXPECT_THAT(error_of(ErrorCode::kCorruptData), HasSubstr("JSON"));
}

TEST_F(PullTest, OfflineTakesWhatTheCacheHoldsAndConnectsToNothing) {
  settings_.offline = true;
  EXPECT_THAT(error_of(ErrorCode::kNotFound), HasSubstr("HF_HUB_OFFLINE"));
  settings_.offline = false;
  pull();
  const std::size_t before = hub_.requests().size();
  settings_.offline = true;
  request_.patterns = {"*.parquet"};
  const PullResult result = pull();
  EXPECT_EQ(hub_.requests().size(), before);
  ASSERT_THAT(result.files, SizeIs(2));
  EXPECT_EQ(result.cached, 2U);
  EXPECT_EQ(result.commit, hub_.commit);
  std::filesystem::remove(root() / "blobs" / etag("data/a.parquet"));
  ASSERT_THAT(pull().failed, SizeIs(1));
}

TEST_F(PullTest, NoServerIsOneLine) {
  settings_.endpoint = "http://127.0.0.1:1";
  settings_.retries = 1;
  EXPECT_THAT(error_of(ErrorCode::kUnavailable), AllOf(HasSubstr("connect"), HasSubstr("127.0.0.1")));
}

TEST_F(PullTest, TheProxyOfTheEnvironmentIsUsed) {
  ::setenv("http_proxy", hub_.endpoint().c_str(), 1);
  settings_.endpoint = "http://hub.example";
  const PullResult result = pull();
  ::unsetenv("http_proxy");
  EXPECT_THAT(result.files, SizeIs(4));
  ASSERT_THAT(hub_.requests(), SizeIs(5));
  for (const HubRequest& request : hub_.requests()) EXPECT_EQ(request.host, "hub.example");
}

TEST_F(PullTest, AStopEndsItSoonAndTheNextRunCarriesOn) {
  hub_.hook = [](const HubRequest& request, const HttpResponse& normal) {
    if (request.path.find("/resolve/") == std::string::npos) return std::optional<HttpResponse>();
    HttpResponse slow = normal;
    slow.piece = 2000;
    slow.delay_between = milliseconds(20);
    return std::optional(slow);
  };
  only("data/a.parquet");
  std::stop_source source;
  RunContext context;
  context.stop = source.get_token();
  context.progress = [&](const Progress& progress) {
    if (progress.done > 0) source.request_stop();
  };
  const auto start = std::chrono::steady_clock::now();
  EXPECT_THROW(static_cast<void>(hub::pull(settings_, request_, context)), Error);
  EXPECT_LT(std::chrono::steady_clock::now() - start, milliseconds(2500));
  const auto held = std::filesystem::file_size(incomplete("data/a.parquet"));
  EXPECT_GT(held, 0U);
  hub_.hook = nullptr;
  EXPECT_EQ(pull().transferred, 300000U - held);
  EXPECT_EQ(load_file(snapshot("data/a.parquet")), hub_.files.at("data/a.parquet").content);
}

TEST_F(PullTest, SeveralFilesComeAtOnceAndOneContentComesOnce) {
  hub_.files.clear();
  for (int i = 0; i < 8; ++i) hub_.files[fmt::format("f{}", i)] = {noise(2000) + std::to_string(i), true};
  hub_.files["twin"] = hub_.files["f0"];
  std::atomic<int> running = 0;
  std::atomic<int> most = 0;
  hub_.hook = [&](const HubRequest& request, const HttpResponse&) {
    if (request.path.find("/resolve/") == std::string::npos) return std::optional<HttpResponse>();
    most = std::max<int>(most, ++running);
    std::this_thread::sleep_for(milliseconds(50));
    --running;
    return std::optional<HttpResponse>();
  };
  settings_.concurrency = 3;
  EXPECT_THAT(pull().files, SizeIs(9));
  EXPECT_EQ(most, 3);
  EXPECT_THAT(hub_.file_requests(), SizeIs(8));
  EXPECT_EQ(load_file(snapshot("twin")), load_file(snapshot("f0")));
}

TEST_F(PullTest, ProgressIsTheBytesThatAreLeft) {
  test::write_text(incomplete("data/a.parquet"), hub_.files.at("data/a.parquet").content.substr(0, 100000));
  only("data/a.parquet");
  std::vector<Progress> seen;
  RunContext context;
  context.progress = [&](const Progress& progress) { seen.push_back(progress); };
  static_cast<void>(hub::pull(settings_, request_, context));
  ASSERT_FALSE(seen.empty());
  EXPECT_EQ(seen.back().total, 200000U);
  EXPECT_EQ(seen.back().done, 200000U);
  EXPECT_EQ(seen.back().note, "1 of 1 files");
}

TEST_F(PullTest, ARequestMayChooseAmongTheFilesThereAre) {
  std::vector<std::string> seen;
  std::vector<std::string> chosen;
  request_.patterns = {"data/*"};
  request_.choose = [&](const std::vector<std::string>& paths) {
    seen = paths;
    return chosen;
  };
  EXPECT_THAT(pull().files, IsEmpty());
  EXPECT_EQ(seen, (std::vector<std::string>{"data/a.parquet", "data/b c.parquet", "data/empty"}));
  EXPECT_FALSE(std::filesystem::exists(root() / "refs/main"));
  chosen = {"data/b c.parquet", "not there"};
  EXPECT_THAT(pull().files, SizeIs(1));
  EXPECT_FALSE(std::filesystem::exists(snapshot("data/a.parquet")));
  settings_.offline = true;
  EXPECT_THAT(pull().files, SizeIs(1));
  EXPECT_EQ(seen, (std::vector<std::string>{"data/b c.parquet"}));
}

TEST_F(PullTest, ModelsHaveNoPrefix) {
  hub_.hook = [this](const HubRequest& request, const HttpResponse&) -> std::optional<HttpResponse> {
    HttpResponse answer;
    if (request.path == "/api/models/org/name/revision/main") {
      answer.body = fmt::format(R"({{"sha": "{}"}})", hub_.commit);
    } else if (request.path.starts_with("/api/models/org/name/tree/")) {
      answer.body =
          fmt::format(R"([{{"type": "file", "path": "config.json", "size": 6, "oid": "{}"}}])", etag("README.md"));
    } else if (request.path == fmt::format("/org/name/resolve/{}/config.json", hub_.commit)) {
      answer.body = "hello\n";
    } else {
      return std::nullopt;
    }
    return answer;
  };
  request_.repository.kind = RepositoryKind::kModel;
  pull();
  EXPECT_EQ(load_file(settings_.cache / "models--org--name/snapshots" / hub_.commit / "config.json"), "hello\n");
}

}  // namespace
}  // namespace imagerank::hub
