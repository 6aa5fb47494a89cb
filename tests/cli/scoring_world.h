#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <future>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "cli/small_world.h"
#include "core/atomic_file.h"
#include "serving/scoring_service.h"
#include "support/test_support.h"

namespace imagerank::cli {

/// A workspace with a trained reward and pictures beside it, made once for the suite.
class ScoringWorld : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new test::TemporaryFolder;
    make_small_world(data(), 30);
    make_tiny_model(model());
    ASSERT_EQ(run_line({"label", "--data", data(), "--quiet"}).code, 0);
    ASSERT_EQ(run_line({"encode", "--data", data(), "--model", model(), "--allow-untrained", "--quiet"}).code, 0);
    const LineRun train = run_line({"train", "--data", data(), "--model", model(), "--head", "mlp", "--loss", "bt",
                                    "--name", "mlp", "--epochs", "2", "--quiet"});
    ASSERT_EQ(train.code, 0) << train.err;
    std::filesystem::create_directories(pictures());
    for (std::uint32_t i = 0; i < 5; ++i) {
      write_file_atomically(pictures() / ("p" + std::to_string(i) + ".png"), noisy_png(1000 + i, 32));
    }
    test::write_text(pictures() / "broken.png", "\x89PNG\r\n\x1a\n and no more");
  }
  static void TearDownTestSuite() {
    delete folder_;
    folder_ = nullptr;
  }
  static std::string data() { return (folder_->path() / "data").string(); }
  static std::string model() { return (folder_->path() / "tiny").string(); }
  static std::filesystem::path pictures() { return folder_->path() / "pictures"; }
  static std::string picture(int index) { return (pictures() / ("p" + std::to_string(index) + ".png")).string(); }
  static std::string reward() { return data() + "/rewards/mlp"; }
  static std::filesystem::path path(const std::string& name) { return folder_->path() / name; }
  /// A cache as Hugging Face's tools keep it.
  static std::filesystem::path hub() { return path("hub"); }
  /// A repository's snapshot there, of links to a folder's files.
  static void place(const std::string& repository, const std::filesystem::path& folder) {
    std::string name = "models--" + repository;
    name.replace(name.find('/'), 1, "--");
    const std::filesystem::path snapshot = hub() / name / "snapshots" / std::string(40, 'a');
    std::filesystem::create_directories(snapshot);
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      std::filesystem::create_symlink(entry.path(), snapshot / entry.path().filename());
    }
    test::write_text(hub() / name / "refs/main", std::string(40, 'a'));
  }
  /// Nothing on stdout; on stderr one line with `part` in it, beside warnings.
  static void refused(const LineRun& run, int code, const std::string& part) {
    EXPECT_EQ(run.code, code) << run.err;
    std::istringstream lines(run.err);
    std::size_t errors = 0;
    for (std::string line; std::getline(lines, line);) {
      if (line.starts_with("warning: ")) continue;
      ++errors;
      EXPECT_NE(line.find(part), std::string::npos) << line;
    }
    EXPECT_EQ(errors, 1U) << run.err;
    EXPECT_TRUE(run.out.empty()) << run.out;
  }
  /// What the server would answer.
  static serving::Results answer_of(serving::ScoringService& service, serving::Work work) {
    std::promise<serving::Results> answer;
    EXPECT_TRUE(
        service.submit(std::move(work), [&](serving::Results&& results) { answer.set_value(std::move(results)); }));
    return answer.get_future().get();
  }

 private:
  static inline test::TemporaryFolder* folder_ = nullptr;
};

/// The same with a folder of each test's own, for generated images.
class ImageTree : public ScoringWorld {
 protected:
  void SetUp() override {
    root_ = path("tree");
    std::filesystem::remove_all(root_);
  }
  [[nodiscard]] std::string at(const std::string& name) const { return (root_ / name).string(); }
  void write_image(const std::filesystem::path& name, std::uint32_t seed) const {
    write_file_atomically(root_ / name, noisy_png(seed, 36));
  }
  void write_broken_image(const std::filesystem::path& name) const {
    test::write_text(root_ / name, "\x89PNG\r\n\x1a\n and no more");
  }
  /// A command that scores with the world's reward.
  static LineRun run_with_reward(std::vector<std::string> line, const std::vector<std::string>& more) {
    line.insert(line.end(), {"--reward", reward(), "--json"});
    line.insert(line.end(), more.begin(), more.end());
    return run_line(line);
  }
  std::filesystem::path root_;
};

}  // namespace imagerank::cli
