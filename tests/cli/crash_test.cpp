// kill -9 and Ctrl-C, tried on the program itself: nothing half under a final name, nothing lost, and the
// same command carries on to the same result.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <thread>

#include "cli/crash_support.h"
#include "cli/small_world.h"
#include "core/atomic_file.h"
#include "core/hash.h"
#include "core/mapped_file.h"
#include "core/random.h"
#include "core/tar.h"
#include "embeddings/embedding_cache.h"
#include "embeddings/embedding_log.h"
#include "images/decode.h"
#include "images/encode.h"
#include "images/preprocess.h"
#include "support/child_process.h"
#include "support/http_server.h"
#include "support/test_support.h"
#include "workspace/database.h"
#include "workspace/workspace.h"

namespace imagerank::cli {
namespace {

using std::chrono::milliseconds;

void copy_folder(const Path& from, const Path& to) {
  std::filesystem::copy(from, to, std::filesystem::copy_options::recursive);
}

/// A condition that comes true `delay` after `first` did.
std::function<bool()> after(std::function<bool()> first, milliseconds delay) {
  const auto since = std::make_shared<std::optional<std::chrono::steady_clock::time_point>>();
  return [first = std::move(first), delay, since] {
    if (!*since && first()) *since = std::chrono::steady_clock::now();
    return *since && std::chrono::steady_clock::now() - **since >= delay;
  };
}

/// Kills the command at each of the points, one run after the other in the same workspace, looks for half files after
/// each, and lets the last run end. @return what that one printed.
nlohmann::json kill_and_carry_on(const Arguments& arguments, const Path& data,
                                 const std::vector<std::function<bool()>>& points) {
  int killed = 0;
  for (std::size_t i = 0; i < points.size(); ++i) {
    ChildOptions options;
    options.kill_when = points[i];
    const ChildResult run = run_program(arguments, options);
    killed += run.signal == SIGKILL ? 1 : 0;
    EXPECT_TRUE(run.signal == SIGKILL || run.exit_code == 0) << "point " << i << ": " << run.err;
    EXPECT_THAT(broken_files(data), IsEmpty()) << "after kill " << i;
  }
  EXPECT_GE(killed, 1) << "no kill came before the end";
  const ChildResult last = run_program(arguments);
  EXPECT_EQ(last.exit_code, 0) << last.err;
  EXPECT_THAT(broken_files(data), IsEmpty());
  EXPECT_EQ(temporaries(data), 0U);
  return nlohmann::json::parse(last.out);
}

/// Whether two Parquet files hold the same rows, in whatever order.
bool same_rows(const Path& a, const Path& b) {
  workspace::Database database;
  const auto from = [](const Path& path) {
    return fmt::format("SELECT * FROM read_parquet({})", workspace::sql_literal(path.string()));
  };
  return database.query_integer(fmt::format("SELECT count(*) FROM ({} EXCEPT ALL {})", from(a), from(b))) == 0 &&
         database.query_integer(fmt::format("SELECT count(*) FROM ({} EXCEPT ALL {})", from(b), from(a))) == 0;
}

std::map<std::string, std::vector<float>> vectors(const Path& folder, const std::string& side) {
  const auto cache = embeddings::EmbeddingCache::open(folder, side);
  std::map<std::string, std::vector<float>> rows;
  for (std::size_t i = 0; i < cache.size(); ++i) rows[cache.key(i)] = cache.row(i);
  return rows;
}

TEST(Killed, ImportCarriesOn) {
  const TemporaryFolder folder;
  const Path file = folder / "rankings.parquet";
  write_rankings_file(file, 12000);
  const Path reference = folder / "reference";
  const Path data = folder / "w";
  ASSERT_EQ(run_program({"import", "pickapic-v0", file, "--data", reference}).exit_code, 0);
  const auto started = [&] { return std::filesystem::exists(data); };
  const auto writing = [&] { return temporaries(data) > 0; };
  const auto renamed = [&] {
    return std::filesystem::exists(data / "rankings.parquet") || std::filesystem::exists(data / "images.parquet");
  };
  const auto result = kill_and_carry_on({"import", "pickapic-v0", file, "--data", data, "--json"}, data,
                                        {started, writing, after(writing, milliseconds(30)), renamed});
  EXPECT_EQ(result["rankings"], 12000);
  EXPECT_EQ(result["images"], 48000);
  EXPECT_TRUE(same_rows(data / "rankings.parquet", reference / "rankings.parquet"));
  EXPECT_TRUE(same_rows(data / "images.parquet", reference / "images.parquet"));
}

TEST(Killed, ASecondImportKeepsTheFirst) {
  const TemporaryFolder folder;
  const Path first = folder / "first.parquet";
  const Path second = folder / "second.parquet";
  const Path data = folder / "w";
  write_rankings_file(first, 1000);
  write_rankings_file(second, 12000);
  ASSERT_EQ(run_program({"import", "pickapic-v0", first, "--data", data}).exit_code, 0);
  ChildOptions options;
  options.kill_when = [&] { return temporaries(data) > 0; };
  ASSERT_EQ(run_program({"import", "pickapic-v0", second, "--data", data}, options).signal, SIGKILL);
  EXPECT_THAT(broken_files(data), IsEmpty());
  EXPECT_EQ(workspace::Workspace::open(data).load_rankings().size(), 1000U);
}

class KilledFetch : public ::testing::Test {
 protected:
  static constexpr int kImages = 80;
  static constexpr int kAtOnce = 8;
  /// Transfers that a kill may cost: those on the wire (more than kAtOnce where the server keeps some waiting) and
  /// whole bodies that are not stored yet.
  static constexpr int kUnderWay = 2 * kAtOnce + 8;

  KilledFetch()
      : server_([](const test::HttpRequest& request) {
          test::HttpResponse response;
          response.body = noisy_png(static_cast<std::uint32_t>(std::stoul(request.path.substr(1))), 64);
          response.delay_before = milliseconds(10);
          response.piece = 4096;
          response.delay_between = milliseconds(2);
          return response;
        }) {
    std::vector<workspace::Image> rows;
    for (int i = 0; i < kImages; ++i) {
      workspace::Image image;
      image.image_uid = fmt::format("i{}", i);
      image.url = server_.url(fmt::format("/{}", i));
      rows.push_back(image);
    }
    workspace::Workspace::create(data_).write_images(rows);
  }

  [[nodiscard]] std::size_t images() const {
    return count_files(data_ / "images", [](const Path& path) { return !is_hidden(path); });
  }
  std::function<bool()> has_images(std::size_t count) {
    return [this, count] { return images() >= count; };
  }
  void expect_all_there() {
    for (const workspace::Image& image : workspace::Workspace::open(data_).load_images()) {
      EXPECT_EQ(image.status, "ok") << image.image_uid;
      const auto seed = static_cast<std::uint32_t>(std::stoul(image.image_uid.substr(1)));
      EXPECT_EQ(load_file(data_ / image.path), noisy_png(seed, 64)) << image.image_uid;
    }
  }

  TemporaryFolder folder_;
  Path data_ = folder_ / "w";
  test::HttpServer server_;
  Arguments arguments_ = {"fetch", "--data", data_, "--allow-local", "--concurrency", std::to_string(kAtOnce),
                          "--json"};
};

TEST_F(KilledFetch, CarriesOnWithWhatIsMissing) {
  const auto result = kill_and_carry_on(
      arguments_, data_, {[&] { return server_.requests() > 0; }, has_images(10), has_images(30), has_images(55)});
  EXPECT_EQ(result["ok"].get<int>() + result["skipped"].get<int>(), kImages);
  EXPECT_GE(result["skipped"].get<int>(), 50);
  EXPECT_LE(server_.requests(), kImages + 4 * kUnderWay) << "no more than what was under way is fetched again";
  expect_all_there();
}

TEST_F(KilledFetch, IntoShardsLosesNothingAndHoldsEachImageOnce) {
  arguments_.insert(arguments_.end(), {"--shards", "15"});
  const auto asked = [&](int requests) { return [this, requests] { return server_.requests() >= requests; }; };
  const auto result = kill_and_carry_on(arguments_, data_, {asked(1), asked(12), asked(25), asked(40), asked(60)});
  EXPECT_EQ(result["ok"].get<int>() + result["skipped"].get<int>(), kImages);
  EXPECT_LE(server_.requests(), kImages + 5 * kUnderWay) << "no more than what was under way is fetched again";
  expect_all_there();
  std::multiset<std::string> members;
  for (const auto& entry : std::filesystem::directory_iterator(data_ / "images/shards")) {
    EXPECT_EQ(entry.path().extension(), ".tar");
    const MappedFile file(entry.path());
    TarReader reader(file.bytes(), entry.path().string());
    while (const auto member = reader.next()) members.insert(member->name);
  }
  EXPECT_EQ(members.size(), 2U * kImages);
  for (int i = 0; i < kImages; ++i) EXPECT_EQ(members.count(fmt::format("i{}.png", i)), 1U) << i;
}

TEST_F(KilledFetch, AtFiftyRandomMomentsLosesNothing) {
  constexpr int kMany = 1500;
  constexpr int kKills = 50;
  std::vector<workspace::Image> rows;
  for (int i = 0; i < kMany; ++i) {
    workspace::Image image;
    image.image_uid = fmt::format("i{}", i);
    image.url = server_.url(fmt::format("/{}", i));
    rows.push_back(image);
  }
  workspace::Workspace::open(data_).write_images(rows);
  Random random(20);
  int kills = 0;
  for (; kills < kKills; ++kills) {
    // Some requests into the run, or none, and up to 60 ms on.
    const int requests = server_.requests() + static_cast<int>(random.below(30));
    const milliseconds later(random.below(60));
    std::optional<std::chrono::steady_clock::time_point> reached;
    ChildOptions options;
    options.kill_when = [&] {
      if (!reached && server_.requests() >= requests) reached = std::chrono::steady_clock::now();
      return reached && std::chrono::steady_clock::now() >= *reached + later;
    };
    const ChildResult result = run_program(arguments_, options);
    if (result.signal == 0) break;  // it was done
    ASSERT_EQ(result.signal, SIGKILL) << result.err;
    ASSERT_THAT(broken_files(data_), IsEmpty()) << "after kill " << kills;
  }
  EXPECT_EQ(kills, kKills) << "the list is too short";
  const ChildResult rest = run_program(arguments_);
  ASSERT_EQ(rest.exit_code, 0) << rest.err;
  const auto result = nlohmann::json::parse(rest.out);
  EXPECT_EQ(result["ok"].get<int>() + result["skipped"].get<int>(), kMany);
  EXPECT_GT(result["skipped"].get<int>(), kMany / 4);
  EXPECT_EQ(temporaries(data_), 0U);
  EXPECT_LE(server_.requests(), kMany + kills * kUnderWay);
  expect_all_there();
}

TEST_F(KilledFetch, CtrlCSavesAndSaysSo) {
  ChildOptions options;
  options.interrupt_when = has_images(20);
  const ChildResult stopped = run_program(arguments_, options);
  EXPECT_EQ(stopped.exit_code, 130) << stopped.err;
  EXPECT_THAT(stopped.err, StartsWith("imagerank fetch: "));
  EXPECT_THAT(stopped.err, HasSubstr("run the same command again"));
  EXPECT_EQ(std::ranges::count(stopped.err, '\n'), 1);
  EXPECT_EQ(stopped.out, "");
  EXPECT_EQ(temporaries(data_), 0U);
  const ChildResult rest = run_program(arguments_);
  EXPECT_EQ(rest.exit_code, 0) << rest.err;
  EXPECT_GE(nlohmann::json::parse(rest.out)["skipped"].get<int>(), 20);
  expect_all_there();
}

/// A small world to encode, and what an encode that nobody kills makes of it.
class KilledEncode : public ::testing::Test {
 protected:
  void make(int prompts) {
    make_tiny_model(model_);
    make_small_world(data_, prompts);
    copy_folder(data_, reference_);
    const ChildResult whole = run_program(command(reference_));
    ASSERT_EQ(whole.exit_code, 0) << whole.err;
    cache_ = Path("embeddings") / nlohmann::json::parse(whole.out)["encoder"].get<std::string>();
  }
  [[nodiscard]] Arguments command(const Path& where) const {
    return {"encode",  "--data", where,       "--model", model_,  "--allow-untrained",
            "--batch", "8",      "--threads", "2",       "--json"};
  }
  [[nodiscard]] std::size_t kept(const char* side) const {
    return embeddings::EmbeddingCache::open(data_ / cache_, side).size();
  }
  void expect_the_same_vectors() const {
    for (const char* side : {"image", "text"})
      EXPECT_EQ(vectors(data_ / cache_, side), vectors(reference_ / cache_, side));
  }

  TemporaryFolder folder_;
  Path model_ = folder_ / "model";
  Path reference_ = folder_ / "reference";
  Path data_ = folder_ / "w";
  Path cache_;
};

TEST_F(KilledEncode, CarriesOn) {
  make(80);
  const auto has = [&](const char* name) {
    return [this, name] { return std::filesystem::exists(data_ / cache_ / name); };
  };
  const auto writing = [&] { return temporaries(data_ / "embeddings") > 0; };
  const auto result =
      kill_and_carry_on(command(data_), data_, {writing, has("text.npy"), has("text.parquet"), has("image.npy")});
  EXPECT_EQ(result["images"], 320);
  EXPECT_EQ(result["texts"], 80);
  expect_the_same_vectors();
}

TEST_F(KilledEncode, AtFiftyRandomMomentsLosesNothing) {
  constexpr int kPrompts = 1500;
  constexpr int kKills = 50;
  make(kPrompts);
  Random random(21);
  int kills = 0;
  int whole_runs = 0;
  std::size_t images = 0;
  std::size_t texts = 0;
  std::size_t most_images = 0;
  const auto log_bytes = [&] {
    std::uintmax_t bytes = 0;
    std::error_code error;
    for (const auto& path : embeddings::EmbeddingLog::list(data_ / cache_, "image")) {
      bytes += std::filesystem::file_size(path, error);
    }
    return bytes;
  };
  while (kills < kKills) {
    // When up to forty images more are in the logs, and a little later; every fifth at any moment of the first second.
    constexpr std::uint64_t kRecordBytes = 193;
    const std::uintmax_t before = log_bytes() + 24 + random.below(40) * kRecordBytes;
    const milliseconds later(random.below(10));
    const milliseconds any_time(random.below(1000));
    ChildOptions options;
    options.kill_when =
        kills % 5 == 0 ? after([] { return true; }, any_time) : after([&] { return log_bytes() > before; }, later);
    const ChildResult result = run_program(command(data_), options);
    if (result.signal == 0) {  // done before the kill, as may be on a busy machine: once more from nothing
      ASSERT_EQ(result.exit_code, 0) << result.err;
      ASSERT_LT(++whole_runs, 20) << "only " << kills << " kills came in time";
      expect_the_same_vectors();
      std::filesystem::remove_all(data_ / cache_);
      images = texts = 0;
      continue;
    }
    ASSERT_EQ(result.signal, SIGKILL) << result.err;
    ++kills;
    ASSERT_THAT(broken_files(data_), IsEmpty()) << "after kill " << kills;
    const std::size_t images_now = kept("image");
    const std::size_t texts_now = kept("text");
    ASSERT_GE(images_now, images) << "kill " << kills;
    ASSERT_GE(texts_now, texts) << "kill " << kills;
    images = images_now;
    texts = texts_now;
    most_images = std::max(most_images, images);
  }
  EXPECT_GT(most_images, 500U) << "the kills came too early to say anything";
  const ChildResult rest = run_program(command(data_));
  ASSERT_EQ(rest.exit_code, 0) << rest.err;
  const auto result = nlohmann::json::parse(rest.out);
  EXPECT_EQ(result["images"], 4 * kPrompts);
  EXPECT_EQ(result["texts"], kPrompts);
  EXPECT_EQ(result["cached"].get<std::size_t>(), images + texts);
  EXPECT_EQ(result["encoded"].get<std::size_t>(), 4 * kPrompts - images);
  EXPECT_EQ(temporaries(data_), 0U);
  expect_the_same_vectors();
}

TEST_F(KilledEncode, TwoAtOnceFillOneCache) {
  make(150);
  ChildResult second;
  std::thread other([&] { second = run_program(command(data_)); });
  const ChildResult first = run_program(command(data_));
  other.join();
  EXPECT_EQ(first.exit_code, 0) << first.err;
  EXPECT_EQ(second.exit_code, 0) << second.err;
  EXPECT_THAT(broken_files(data_), IsEmpty());
  EXPECT_EQ(temporaries(data_), 0U);
  for (const ChildResult& run : {first, second}) EXPECT_EQ(nlohmann::json::parse(run.out)["images"], 600);
  expect_the_same_vectors();
}

TEST(Killed, DuplicatesCarriesOn) {
  constexpr int kRows = 120;
  const TemporaryFolder folder;
  const Path data = folder / "w";
  const auto workspace = workspace::Workspace::create(data);
  const std::string small = noisy_png(1, 8);
  const std::string large =  // slow enough to be killed twice
      images::encode_png(images::resize_bicubic(images::decode_image(std::as_bytes(std::span(small))), 1000, 1000));
  test::write_text(data / "large.png", large);
  std::vector<workspace::Image> rows(kRows);
  for (int i = 0; i < kRows; ++i) {
    workspace::Image& row = rows[static_cast<std::size_t>(i)];
    row.image_uid = fmt::format("i{:03}", i);
    row.path = "large.png";
    row.status = "ok";
    row.sha256 = sha256_hex(large);
  }
  workspace.write_images(rows);
  const auto kept = [&] { return std::filesystem::exists(data / "fingerprints.parquet"); };
  const auto writing = [&] { return temporaries(data) > 0; };
  const auto result = kill_and_carry_on({"duplicates", "--data", data, "--perceptual", "--json"}, data,
                                        {after([] { return true; }, milliseconds(100)), writing, kept});
  EXPECT_EQ(result["perceptual"]["hashed"], kRows);
  EXPECT_GT(result["perceptual"]["cached"].get<int>(), 0);
  EXPECT_EQ(result["perceptual"]["cached"].get<int>() + result["perceptual"]["decoded"].get<int>(), kRows);
  EXPECT_EQ(result["exact"]["images"], kRows);
}

TEST(Killed, TrainCarriesOnToTheSameReward) {
  const TemporaryFolder folder;
  const Path model = folder / "model";
  const Path reference = folder / "reference";
  const Path data = folder / "w";
  make_tiny_model(model);
  make_small_world(data, 100);
  ASSERT_EQ(run_line({"label", "--data", data, "--split", "prompt"}).code, 0);
  ASSERT_EQ(run_line({"encode", "--data", data, "--model", model, "--allow-untrained"}).code, 0);
  copy_folder(data, reference);
  const auto command = [&](const Path& where) {
    return Arguments{"train", "--data", where, "--model",  model, "--head", "cnn", "--loss",
                     "ce",    "--name", "m",   "--epochs", "8",   "--seed", "5",   "--json"};
  };
  const ChildResult whole = run_program(command(reference));
  ASSERT_EQ(whole.exit_code, 0) << whole.err;
  // Each point: the n-th time that the checkpoint changed.
  const auto checkpoints = [&](int wanted) {
    const auto seen = std::make_shared<std::pair<int, std::filesystem::file_time_type>>();
    return [&data, wanted, seen] {
      std::error_code error;
      const auto time = std::filesystem::last_write_time(data / "rewards/m/.training.safetensors", error);
      if (!error && time != seen->second) {
        ++seen->first;
        seen->second = time;
      }
      return seen->first >= wanted;
    };
  };
  const auto result = kill_and_carry_on(command(data), data, {checkpoints(1), checkpoints(2), checkpoints(3)});
  EXPECT_EQ(result["epochs"].size(), 8U);
  EXPECT_EQ(result["best_epoch"], nlohmann::json::parse(whole.out)["best_epoch"]);
  EXPECT_EQ(load_file(data / "rewards/m/reward.safetensors"), load_file(reference / "rewards/m/reward.safetensors"));
}

TEST(Killed, FinetuneCarriesOnToTheSameModel) {
  const TemporaryFolder folder;
  const Path model = folder / "model";
  const Path data = folder / "w";
  make_tiny_model(model);
  make_small_world(data, 30);
  ASSERT_EQ(run_line({"label", "--data", data}).code, 0);
  const auto command = [&](const Path& out) {
    return Arguments{"finetune", "--data",    data, "--model", model,  "--out",           out, "--steps",
                     "14",       "--batch",   "16", "--lr",    "1e-4", "--warm-up-steps", "2", "--validation-steps",
                     "2",        "--threads", "1",  "--json"};
  };
  ASSERT_EQ(run_program(command(folder / "reference")).exit_code, 0);
  const Path out = folder / "out";
  const auto begun = [&] { return std::filesystem::exists(out / "finetune.checkpoint"); };
  const auto result =
      kill_and_carry_on(command(out), out, {begun, after(begun, milliseconds(300)), after(begun, milliseconds(50))});
  EXPECT_EQ(result["steps"], 14);
  EXPECT_EQ(load_file(out / "model.safetensors"), load_file(folder / "reference" / "model.safetensors"));
  EXPECT_FALSE(std::filesystem::exists(out / "finetune.checkpoint"));
}

}  // namespace
}  // namespace imagerank::cli
