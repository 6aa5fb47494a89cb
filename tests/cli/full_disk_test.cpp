// Full disks, tried on the program itself: one line, nothing half under a final name, nothing lost, and the same
// command carries on once there is room.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "cli/crash_support.h"
#include "cli/small_world.h"
#include "support/http_server.h"
#include "support/test_support.h"
#include "workspace/workspace.h"

namespace imagerank::cli {
namespace {

/// Runs a command on a disk without room, then with room.
class FullDisk : public ::testing::Test {
 protected:
  /// `prepare` fills the folder; `more` bytes are left when the command runs.
  static void try_on_full_disk(const std::function<void(const Path&)>& prepare,
                               const std::function<Arguments(const Path&)>& command, std::uint64_t more = 0) {
    test::SmallDisk disk(std::uint64_t{256} << 20);
    if (!disk.reason().empty()) GTEST_SKIP() << disk.reason();
    const Path data = disk.path() / "w";
    prepare(data);
    const auto before = final_files(data);
    const Arguments arguments = command(data);
    disk.leave(more);
    const ChildResult full = run_program(arguments);
    EXPECT_EQ(full.exit_code, 1) << full.err;
    EXPECT_EQ(full.out, "");
    std::string error = full.err;
    while (error.starts_with("warning: ")) error.erase(0, error.find('\n') + 1);
    EXPECT_EQ(std::ranges::count(error, '\n'), 1) << full.err;
    EXPECT_THAT(error, StartsWith(fmt::format("imagerank {}: ", arguments.front())));
    EXPECT_THAT(full.err, HasSubstr(disk.path().string()));
    EXPECT_THAT(full.err, HasSubstr("No space left on device"));
    EXPECT_THAT(broken_files(data), IsEmpty());
    const auto left = final_files(data);
    EXPECT_TRUE(std::ranges::includes(left, before)) << "what was there before is gone or changed";
    disk.resize(std::uint64_t{256} << 20);
    const ChildResult room = run_program(arguments);
    EXPECT_EQ(room.exit_code, 0) << room.err;
    EXPECT_THAT(broken_files(data), IsEmpty());
    EXPECT_EQ(temporaries(data), 0U);
  }

  TemporaryFolder folder_;
};

TEST_F(FullDisk, Import) {
  const Path file = folder_ / "rankings.parquet";
  write_rankings_file(file, 5000);
  for (const std::uint64_t more : {0U, 200000U}) {
    try_on_full_disk([](const Path& data) { std::filesystem::create_directory(data); },
                     [&](const Path& data) { return Arguments{"import", "pickapic-v0", file, "--data", data}; }, more);
    if (IsSkipped()) return;
  }
}

TEST_F(FullDisk, Label) {
  try_on_full_disk([](const Path& data) { make_small_world(data, 40); },
                   [](const Path& data) { return Arguments{"label", "--data", data}; });
}

TEST_F(FullDisk, Fetch) {
  test::HttpServer server([](const test::HttpRequest&) {
    test::HttpResponse response;
    response.body = noisy_png(1, 64);
    return response;
  });
  const auto prepare = [&](const Path& data) {
    std::vector<workspace::Image> rows(30);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      rows[i].image_uid = fmt::format("i{}", i);
      rows[i].url = server.url(fmt::format("/{}", i));
    }
    workspace::Workspace::create(data).write_images(rows);
  };
  for (const std::uint64_t more : {0U, 100000U}) {
    for (const char* const shards : {"0", "4"}) {
      try_on_full_disk(
          prepare,
          [&](const Path& data) { return Arguments{"fetch", "--data", data, "--allow-local", "--shards", shards}; },
          more);
      if (IsSkipped()) return;
    }
  }
}

TEST_F(FullDisk, Encode) {
  const Path model = folder_ / "model";
  make_tiny_model(model);
  for (const std::uint64_t more : {0U, 8192U}) {
    try_on_full_disk([](const Path& data) { make_small_world(data, 60); },
                     [&](const Path& data) {
                       return Arguments{"encode", "--data", data, "--model", model, "--allow-untrained", "--quiet"};
                     },
                     more);
    if (IsSkipped()) return;
  }
}

TEST_F(FullDisk, Duplicates) {
  for (const std::uint64_t more : {0U, 4096U}) {
    try_on_full_disk([](const Path& data) { make_small_world(data, 60); },
                     [](const Path& data) { return Arguments{"duplicates", "--data", data, "--perceptual"}; }, more);
    if (IsSkipped()) return;
  }
}

TEST_F(FullDisk, Train) {
  const Path model = folder_ / "model";
  make_tiny_model(model);
  try_on_full_disk(
      [&](const Path& data) {
        make_small_world(data, 60);
        ASSERT_EQ(run_line({"label", "--data", data}).code, 0);
        ASSERT_EQ(run_line({"encode", "--data", data, "--model", model, "--allow-untrained"}).code, 0);
      },
      [&](const Path& data) {
        return Arguments{"train",  "--data", data,     "--model", model,      "--head", "mlp",
                         "--loss", "mse",    "--name", "m",       "--epochs", "2",      "--quiet"};
      });
}

TEST_F(FullDisk, ALimitOnFileSizesIsSaidTheSameWay) {
  const Path file = folder_ / "rankings.parquet";
  const Path data = folder_ / "w";
  write_rankings_file(file, 5000);
  ChildOptions options;
  options.max_file_bytes = 65536;
  const ChildResult run = run_program({"import", "pickapic-v0", file, "--data", data}, options);
  EXPECT_EQ(run.signal, 0);
  EXPECT_EQ(run.exit_code, 1) << run.err;
  EXPECT_THAT(run.err, HasSubstr("File too large"));
  EXPECT_THAT(final_files(data), IsEmpty());
}

TEST_F(FullDisk, AResultThatCannotBePrintedIsAnError) {
  const Path data = folder_ / "w";
  make_small_world(data, 10);
  ChildOptions options;
  options.standard_output = "/dev/full";
  const ChildResult run = run_program({"label", "--data", data, "--json"}, options);
  EXPECT_EQ(run.exit_code, 1);
  EXPECT_THAT(run.err, HasSubstr("standard output"));
}

}  // namespace
}  // namespace imagerank::cli
