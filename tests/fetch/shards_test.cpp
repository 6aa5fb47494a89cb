// Shards written by a fetch, and images taken from shards, of this program and of others.
#include "fetch/shards.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>

#include "core/atomic_file.h"
#include "core/hash.h"
#include "fetch/fetch.h"
#include "images/encode.h"
#include "support/http_server.h"
#include "support/test_support.h"

namespace imagerank::fetch {
namespace {

using nlohmann::json;
using test::HttpRequest;
using test::HttpResponse;
using test::HttpServer;
using test::TemporaryFolder;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;
using workspace::Image;
using workspace::Workspace;
using Counts = std::map<std::string, std::int64_t>;
using Files = std::vector<std::pair<std::string, std::string>>;

/// An image that differs from all others.
std::string png(int number) {
  return images::encode_png(
      {2, 1, {static_cast<std::uint8_t>(number), static_cast<std::uint8_t>(number >> 8), 1, 2, 3, 4}});
}

Files read_tar(const std::filesystem::path& path) {
  const std::string archive = load_file(path);
  TarReader reader(std::as_bytes(std::span(archive)), path.string());
  Files files;
  while (const auto member = reader.next())
    files.emplace_back(member->name, archive.substr(member->offset, member->size));
  return files;
}

void write_tar(const std::filesystem::path& path, const Files& files) {
  TarWriter tar(path);
  for (const auto& [name, bytes] : files) tar.add(name, bytes);
  tar.finish();
}

Image row(const std::string& uid, const std::string& url) {
  Image image;
  image.image_uid = uid;
  image.url = url;
  return image;
}

std::map<std::string, Image> by_uid(const std::filesystem::path& data) {
  std::map<std::string, Image> rows;
  for (const Image& image : Workspace::open(data).load_images()) rows.emplace(image.image_uid, image);
  return rows;
}

std::vector<std::string> names_in(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) names.push_back(entry.path().filename());
  std::ranges::sort(names);
  return names;
}

class Shards : public ::testing::Test {
 protected:
  Shards()
      : server_([](const HttpRequest& request) {
          HttpResponse response;
          const int number = std::stoi(request.path.substr(1));
          response.body = png(number);
          if (number % 7 == 3) response.status = 404;
          return response;
        }) {
    settings_.network.allow_local = true;
    context_.threads = 4;
  }

  void write_rows(int count) const {
    std::vector<Image> rows;
    rows.reserve(static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i) rows.push_back(row(fmt::format("u{}", i), server_.url(fmt::format("/{}", i))));
    Workspace::create(data_).write_images(rows);
  }
  FetchCounts fetch() { return fetch_images(Workspace::open(data_), settings_, context_); }
  /// Of `data`, what is in the given archive.
  FetchCounts take(const std::vector<std::filesystem::path>& shards) {
    FetchSettings settings = settings_;
    settings.shards = 0;
    settings.network.allow_local = false;
    settings.from_shards = shards;
    return fetch_images(Workspace::open(data_), settings, context_);
  }
  [[nodiscard]] std::string bytes_of(const std::string& uid) const {
    return load_file(data_ / by_uid(data_).at(uid).path);
  }

  TemporaryFolder folder_;
  std::filesystem::path data_ = folder_ / "w";
  HttpServer server_;
  FetchSettings settings_;
  RunContext context_;
};

TEST_F(Shards, HoldEveryImageOnceAndAreNotWrittenAgain) {
  constexpr int kImages = 100;
  constexpr int kDead = 14;
  write_rows(kImages);
  settings_.shards = 30;
  const FetchCounts counts = fetch();
  EXPECT_EQ(counts.ok, kImages - kDead);
  EXPECT_EQ(counts.failed, (Counts{{"http_404", kDead}}));
  EXPECT_EQ(counts.shards.files, 3);
  EXPECT_THAT(names_in(data_ / "images"), ElementsAre("shards"));
  EXPECT_THAT(names_in(data_ / "images/shards"), ElementsAre("00000.tar", "00001.tar", "00002.tar"));
  std::map<std::string, std::string> stored;
  for (const auto& name : names_in(data_ / "images/shards")) {
    const Files files = read_tar(data_ / "images/shards" / name);
    EXPECT_THAT(files, SizeIs(name == "00002.tar" ? 2 * 26 : 2 * 30));
    stored.insert(files.begin(), files.end());
  }
  EXPECT_THAT(stored, SizeIs(2 * (kImages - kDead)));
  for (const auto& [uid, image] : by_uid(data_)) {
    const int number = std::stoi(uid.substr(1));
    if (number % 7 == 3) continue;
    EXPECT_THAT(image.path, StartsWith("images/shards/0000"));
    EXPECT_THAT(image.path, EndsWith(".png"));
    EXPECT_EQ(load_file(data_ / image.path), png(number));
    EXPECT_EQ(stored.at(uid + ".png"), png(number));
    const json expected = {{"key", uid}, {"image_uid", uid}, {"url", image.url},   {"sha256", sha256_hex(png(number))},
                           {"width", 2}, {"height", 1},      {"status", "success"}};
    EXPECT_EQ(json::parse(stored.at(uid + ".json")), expected);
  }
  const int requests = server_.requests();
  settings_.recheck = true;
  const FetchCounts again = fetch();
  EXPECT_EQ(again.skipped, kImages - kDead);
  EXPECT_EQ(again.shards.files, 0);
  EXPECT_EQ(server_.requests(), requests);
  EXPECT_THAT(names_in(data_ / "images/shards"), SizeIs(3));
}

TEST_F(Shards, KeysHaveNoDotsAndFitATarHeader) {
  const std::string longest(200, 'x');
  Workspace::create(data_).write_images(
      {row("a.b", server_.url("/1")), row(longest, server_.url("/2")), row("caf\xc3\xa9", server_.url("/4"))});
  settings_.shards = 10;
  EXPECT_EQ(fetch().ok, 3);
  std::map<std::string, std::string> files;
  for (const auto& file : read_tar(data_ / "images/shards/00000.tar")) files.insert(file);
  EXPECT_EQ(files.at(sha256_hex("a.b") + ".png"), png(1));
  EXPECT_EQ(json::parse(files.at(sha256_hex(longest) + ".json"))["image_uid"], longest);
  EXPECT_EQ(files.at("caf\xc3\xa9.png"), png(4));
  // And back, by the uids in the .json.
  const std::filesystem::path shard = data_ / "images/shards/00000.tar";
  data_ = folder_ / "second";
  Workspace::create(data_).write_images({row("a.b", ""), row(longest, ""), row("caf\xc3\xa9", "")});
  EXPECT_EQ(take({shard}).ok, 3);
  EXPECT_EQ(bytes_of("a.b"), png(1));
  EXPECT_EQ(bytes_of(longest), png(2));
}

TEST_F(Shards, OfOneWorkspaceAreTakenByAnotherWhereTheyLie) {
  write_rows(50);
  settings_.shards = 20;
  static_cast<void>(fetch());
  const auto first = by_uid(data_);
  const std::filesystem::path pattern = data_ / "images/shards/*.tar";
  data_ = folder_ / "second";
  write_rows(60);
  const int requests = server_.requests();
  const FetchCounts counts = take({pattern});
  EXPECT_EQ(counts.total, 60);
  EXPECT_EQ(counts.ok, 43);
  EXPECT_EQ(counts.left, 17);
  EXPECT_EQ(counts.shards.files, 3);
  EXPECT_EQ(counts.shards.images, 43);
  EXPECT_EQ(counts.shards.unmatched, 0);
  EXPECT_THAT(counts.failed, IsEmpty());
  EXPECT_THAT(names_in(data_), ElementsAre("images", "images.parquet"));
  EXPECT_THAT(names_in(data_ / "images"), IsEmpty());
  for (const auto& [uid, image] : by_uid(data_)) {
    if (!first.contains(uid) || first.at(uid).status != "ok") {
      EXPECT_EQ(image.status, "");
      continue;
    }
    EXPECT_TRUE(std::filesystem::path(image.path).is_absolute());
    EXPECT_EQ(load_file(data_ / image.path), png(std::stoi(uid.substr(1))));
    EXPECT_EQ(image.sha256, first.at(uid).sha256);
    EXPECT_EQ(image.width, 2);
  }
  const FetchCounts again = take({pattern});
  EXPECT_EQ(again.ok, 0);
  EXPECT_EQ(again.skipped, 43);
  EXPECT_EQ(again.shards.unused, 43);
  EXPECT_EQ(server_.requests(), requests);
  // What was left is fetched by a run that may ask.
  settings_.shards = 0;
  const FetchCounts rest = fetch();
  EXPECT_EQ(rest.skipped, 43);
  EXPECT_EQ(rest.ok, 8);
  EXPECT_EQ(rest.failed, (Counts{{"http_404", 9}}));
}

TEST_F(Shards, OfOtherProgramsAreMatchedByUidNameAndUrl) {
  const auto sample = [](const std::string& url) { return json{{"url", url}, {"status", "success"}}.dump(); };
  write_tar(folder_ / "00000.tar", {{"000000000.jpg", png(0)},  // a PNG, whatever it is called
                                    {"000000000.json", sample("http://x/0")},
                                    {"000000000.txt", "a caption"},
                                    {"000000001.json", sample("http://x/other")},
                                    {"000000001.webp", png(1)},
                                    {"folder/named.png", png(2)},
                                    {"../up.png", png(3)},
                                    {"with.dots.png", png(4)},
                                    {"000000005.png", png(5)},
                                    {"000000005.json", json{{"uid", "u5"}, {"url", "http://x/changed"}}.dump()},
                                    {"nobody's.png", png(6)},
                                    {"\xff\xfe.png", png(7)},
                                    {"000000008.0.png", png(8)},
                                    {"000000008.1.png", png(9)},
                                    {"000000008.json", json{{"image_uids", {"first", "second"}}}.dump()},
                                    {"000000010.jpg", "<html></html>"},
                                    {"000000010.json", sample("http://x/10")},
                                    {"000000011.png", png(11)},
                                    {"000000011.json", "{ no json"},
                                    {"000000012.png", png(14)},
                                    {"000000012.json", R"({"url":"http://x/\u0000","uid":7,"sha256":null})"}});
  write_tar(folder_ / "00001.tar", {{"named.png", png(12)}, {"000000013.png", png(13)}, {"000000013.json", "[]"}});
  Workspace::create(data_).write_images({row("by url", "http://x/0"), row("the same url", "http://x/0"),
                                         row("000000001", "http://x/1"), row("named", "http://x/2"), row("up", ""),
                                         row("with.dots", ""), row("u5", "http://x/5"), row("first", ""),
                                         row("second", ""), row("html", "http://x/10"), row("000000013", "")});
  const FetchCounts counts = take({folder_ / "0000?.tar"});
  EXPECT_EQ(counts.shards.images, 15);
  EXPECT_EQ(counts.ok, 9);
  EXPECT_EQ(counts.left, 2);
  EXPECT_EQ(counts.shards.broken, (Counts{{"not_an_image", 1}}));
  EXPECT_EQ(counts.shards.unmatched, 5)
      << "000000001 of another URL, nobody's, the bytes that are no text, 000000011, 000000012";
  EXPECT_EQ(counts.shards.unused, 1) << "the second that is named 'named'";
  EXPECT_EQ(counts.shards.examples.at("unmatched").detail, "000000001.webp");
  EXPECT_EQ(counts.shards.examples.at("not_an_image").url, "000000010.jpg");
  EXPECT_EQ(bytes_of("by url"), png(0));
  EXPECT_EQ(bytes_of("the same url"), png(0));
  EXPECT_THAT(by_uid(data_).at("by url").path, EndsWith(".png"));
  EXPECT_EQ(by_uid(data_).at("000000001").status, "") << "a counter is no uid where the URLs differ";
  EXPECT_EQ(bytes_of("named"), png(2));
  EXPECT_EQ(bytes_of("up"), png(3));
  EXPECT_EQ(bytes_of("with.dots"), png(4));
  EXPECT_EQ(bytes_of("u5"), png(5));
  EXPECT_EQ(bytes_of("first"), png(8));
  EXPECT_EQ(bytes_of("second"), png(9));
  EXPECT_EQ(by_uid(data_).at("html").status, "");
  EXPECT_EQ(bytes_of("000000013"), png(13));
}

TEST_F(Shards, ThatAreBrokenAreNamedAndReadUpToThere) {
  const std::filesystem::path cut = folder_ / "cut.tar";
  write_tar(cut, {{"a.png", png(1)}, {"b.png", png(2)}});
  std::filesystem::resize_file(cut, 1024 + 512 + 10);
  write_tar(folder_ / "good.tar", {{"c.png", png(3)}});
  test::write_text(folder_ / "text.tar", std::string(2000, 'x'));
  test::write_text(folder_ / "empty.tar", std::string(10240, '\0'));
  Workspace::create(data_).write_images({row("a", ""), row("b", ""), row("c", "")});
  const FetchCounts counts = take({folder_ / "*.tar"});
  EXPECT_EQ(counts.ok, 2);
  EXPECT_EQ(counts.left, 1);
  EXPECT_EQ(counts.shards.files, 4);
  ASSERT_THAT(counts.shards.trouble, SizeIs(2));
  EXPECT_THAT(counts.shards.trouble[0].detail,
              HasSubstr(fmt::format("{}: at byte 1024: expected a member of {} bytes, found the end after 10",
                                    cut.string(), png(2).size())));
  EXPECT_THAT(counts.shards.trouble[1].detail, HasSubstr("text.tar: at byte 0: expected a tar header"));
}

TEST_F(Shards, BytesThatAreNotWhatTheShardSaysAreNotTaken) {
  const json sample = {{"image_uid", "a"}, {"sha256", sha256_hex(png(1))}};
  std::string damaged = images::encode_png({64, 64, std::vector<std::uint8_t>(64 * 64 * 3, 9)});
  damaged[60] = static_cast<char>(damaged[60] ^ 0x55);  // inside the compressed pixels; both ends are whole
  write_tar(folder_ / "s.tar", {{"a.json", sample.dump()}, {"a.png", png(2)}, {"b.png", damaged}, {"c.png", png(3)}});
  Workspace::create(data_).write_images({row("a", ""), row("b", ""), row("c", "")});
  settings_.decode = true;
  const FetchCounts counts = take({folder_ / "s.tar"});
  EXPECT_EQ(counts.ok, 1);
  EXPECT_EQ(counts.left, 2);
  EXPECT_EQ(counts.shards.broken, (Counts{{"checksum", 1}, {"corrupt", 1}}));
  EXPECT_EQ(by_uid(data_).at("a").status, "");
  EXPECT_EQ(bytes_of("c"), png(3));
}

TEST_F(Shards, MendWhatFailedOrIsDamagedOrGone) {
  write_rows(5);
  static_cast<void>(fetch());
  const auto before = by_uid(data_);
  EXPECT_EQ(before.at("u3").status, "http_404");
  std::filesystem::remove(data_ / before.at("u1").path);
  test::write_text(data_ / before.at("u2").path, png(77));
  write_tar(data_ / "mine/s.tar", {{"u1.png", png(1)}, {"u2.png", png(2)}, {"u3.png", png(3)}, {"u4.png", png(4)}});
  settings_.recheck = true;
  const FetchCounts counts = take({data_ / "mine/s.tar"});
  EXPECT_EQ(counts.ok, 3);
  EXPECT_EQ(counts.skipped, 2);
  EXPECT_EQ(counts.shards.unused, 1);
  EXPECT_THAT(counts.failed, IsEmpty());
  for (int i = 0; i < 5; ++i) EXPECT_EQ(bytes_of(fmt::format("u{}", i)), png(i));
  EXPECT_THAT(by_uid(data_).at("u1").path, StartsWith("mine/s.tar#")) << "a workspace may move";
  // A failure that no shard mends stays, and is counted.
  std::filesystem::remove(data_ / "mine/s.tar");
  write_tar(folder_ / "none.tar", {});
  settings_.recheck = false;
  const FetchCounts later = take({folder_ / "none.tar"});
  EXPECT_EQ(later.skipped, 2);
  EXPECT_EQ(later.left, 3);
}

TEST_F(Shards, AKilledRunsShardKeepsWhatTheLedgerHas) {
  write_rows(6);
  const std::filesystem::path shard = data_ / "images/shards/00000.tar";
  const std::filesystem::path partial = data_ / "images/shards/.00000.tar.partial";
  {
    const Workspace workspace = Workspace::open(data_);
    FetchLedger ledger(data_ / "images");
    ShardWriter writer(workspace, 100);
    for (int i = 0; i < 3; ++i) {
      LedgerEntry entry{
          fmt::format("u{}", i), server_.url(fmt::format("/{}", i)), "ok", "", sha256_hex(png(i)), 2, 1, "", ""};
      entry.path = writer.add(entry, ".png", png(i));
      if (i < 2) ledger.append(entry);  // killed between the third and its line
    }
    EXPECT_FALSE(std::filesystem::exists(shard));
  }
  std::filesystem::resize_file(partial, std::filesystem::file_size(partial) - 20);
  // A shard in which the ledger has nothing.
  test::write_text(data_ / "images/shards/.00007.tar.partial", "half");
  settings_.shards = 100;
  const FetchCounts counts = fetch();
  EXPECT_EQ(counts.skipped, 2);
  EXPECT_EQ(counts.ok, 3);
  EXPECT_EQ(server_.visits("/0") + server_.visits("/1"), 0);
  EXPECT_THAT(names_in(data_ / "images/shards"), ElementsAre("00000.tar", "00001.tar"));
  EXPECT_THAT(read_tar(shard), SizeIs(4));
  EXPECT_THAT(read_tar(data_ / "images/shards/00001.tar"), SizeIs(6));
  for (const int i : {0, 1, 2, 4, 5}) EXPECT_EQ(bytes_of(fmt::format("u{}", i)), png(i));
}

TEST_F(Shards, AChangedImageGoesIntoANewShard) {
  std::atomic<bool> second = false;
  HttpServer server([&](const HttpRequest&) {
    HttpResponse response;
    response.body = png(second ? 2 : 1);
    return response;
  });
  Workspace::create(data_).write_images({row("a", server.url("/a"))});
  settings_.shards = 1;
  static_cast<void>(fetch());
  second = true;
  settings_.refresh = true;
  EXPECT_EQ(fetch().ok, 1);
  EXPECT_EQ(bytes_of("a"), png(2));
  EXPECT_THAT(by_uid(data_).at("a").path, StartsWith("images/shards/00001.tar#"));
}

TEST_F(Shards, SettingsThatDoNotFitAreOneError) {
  write_rows(1);
  const auto error_of = [&](auto change) -> std::string {
    FetchSettings settings = settings_;
    change(settings);
    try {
      static_cast<void>(fetch_images(Workspace::open(data_), settings, context_));
    } catch (const Error& error) {
      return fmt::format("{} {}", exit_code(error.code()), error.what());
    }
    return "no error";
  };
  const std::filesystem::path tar = folder_ / "t.tar";
  write_tar(tar, {});
  test::write_text(folder_ / "t.tar.gz", "x");
  EXPECT_THAT(error_of([](FetchSettings& s) { s.shards = -1; }), HasSubstr("2 --shards: expected 1 to"));
  const auto with = [&](auto change) {
    return error_of([&](FetchSettings& s) {
      s.from_shards = {tar};
      change(s);
    });
  };
  EXPECT_THAT(with([](FetchSettings& s) { s.shards = 1; }), HasSubstr("2 --from-shards: expected without --shards"));
  EXPECT_THAT(with([](FetchSettings& s) { s.resize = 8; }), HasSubstr("without --resize"));
  EXPECT_THAT(with([](FetchSettings& s) { s.refresh = true; }), HasSubstr("without --refresh"));
  EXPECT_THAT(with([](FetchSettings& s) { s.retry_failed = true; }), HasSubstr("without --retry-failed"));
  EXPECT_THAT(with([&](FetchSettings& s) { s.from_shards = {folder_ / "none.tar"}; }), HasSubstr("1 "));
  EXPECT_THAT(with([&](FetchSettings& s) { s.from_shards = {folder_ / "no*.tar"}; }), HasSubstr("found no match"));
  EXPECT_THAT(with([&](FetchSettings& s) { s.from_shards = {folder_.path()}; }),
              HasSubstr("/*.tar' names the files in it"));
  EXPECT_THAT(with([&](FetchSettings& s) { s.from_shards = {folder_ / "t.tar.gz"}; }),
              HasSubstr("2 " + (folder_ / "t.tar.gz").string() + ": expected a file named .tar"));
  EXPECT_FALSE(std::filesystem::exists(data_ / "images"));
}

}  // namespace
}  // namespace imagerank::fetch
