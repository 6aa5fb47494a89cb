#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "cli/small_world.h"
#include "core/atomic_file.h"
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

 private:
  static inline test::TemporaryFolder* folder_ = nullptr;
};

}  // namespace imagerank::cli
