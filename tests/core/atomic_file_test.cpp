#include "core/atomic_file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <iterator>

#include "imagerank/error.h"
#include "support/test_support.h"

namespace imagerank {
namespace {

std::size_t count_files(const std::filesystem::path& folder) {
  return static_cast<std::size_t>(
      std::distance(std::filesystem::directory_iterator(folder), std::filesystem::directory_iterator()));
}

TEST(AtomicFile, AppearsOnlyAtCommit) {
  const test::TemporaryFolder folder;
  const auto path = folder / "deep/er/table.bin";
  {
    AtomicFile file(path);
    file.write("half");
    EXPECT_FALSE(std::filesystem::exists(path));
    file.write(" and half");
    file.commit();
  }
  EXPECT_EQ(load_file(path), "half and half");
  EXPECT_EQ(count_files(path.parent_path()), 1U);
}

TEST(AtomicFile, WithoutCommitNothingStays) {
  const test::TemporaryFolder folder;
  write_file_atomically(folder / "x", "old");
  {
    AtomicFile file(folder / "x");
    file.write("new");
  }
  EXPECT_EQ(load_file(folder / "x"), "old");
  EXPECT_EQ(count_files(folder.path()), 1U);
}

TEST(AtomicFile, WriteAtOverwrites) {
  const test::TemporaryFolder folder;
  AtomicFile file(folder / "x");
  file.write("....data");
  file.write_at(0, std::as_bytes(std::span(std::string_view("head"))));
  file.commit();
  EXPECT_EQ(load_file(folder / "x"), "headdata");
}

TEST(AtomicFile, KeepsWhatALibraryPutAtTheTemporaryPath) {
  const test::TemporaryFolder folder;
  AtomicFile file(folder / "x");
  std::filesystem::remove(file.temporary_path());
  test::write_text(file.temporary_path(), "by another hand");
  file.commit();
  EXPECT_EQ(load_file(folder / "x"), "by another hand");
}

TEST(AtomicFile, AFileSizeLimitIsAResourceLimit) {
  const test::TemporaryFolder folder;
  // In a child: the limit cannot be raised again.
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{1024, 1024};
    setrlimit(RLIMIT_FSIZE, &limit);
    try {
      write_file_atomically(folder / "x", std::string(4096, 'x'));
      _exit(1);
    } catch (const Error& error) {
      _exit(error.code() == ErrorCode::kResourceLimit && !std::filesystem::exists(folder / "x") ? 0 : 2);
    }
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  EXPECT_EQ(count_files(folder.path()), 0U);
}

TEST(AtomicFile, RemovesLeftoversOfDeadProcessesOnly) {
  const test::TemporaryFolder folder;
  const pid_t child = fork();
  if (child == 0) _exit(0);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  test::write_text(folder / (".a.parquet.tmp-" + std::to_string(child) + "-0"), "left");
  test::write_text(folder / (".b.parquet.tmp-" + std::to_string(getpid()) + "-0"), "in use");
  test::write_text(folder / ".c.tmp-notes", "someone else's");
  remove_stale_temporaries(folder.path());
  EXPECT_EQ(count_files(folder.path()), 2U);
}

TEST(LoadFile, SaysWhatIsWrong) {
  const test::TemporaryFolder folder;
  const auto code_of = [](const auto& action) {
    try {
      action();
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::kCancelled;
  };
  EXPECT_EQ(code_of([&] { (void)load_file(folder / "none"); }), ErrorCode::kNotFound);
  EXPECT_EQ(code_of([&] { (void)load_file(folder.path()); }), ErrorCode::kIo);
  test::write_text(folder / "big", "12345");
  EXPECT_EQ(code_of([&] { (void)load_file(folder / "big", 4); }), ErrorCode::kResourceLimit);
  EXPECT_EQ(load_file(folder / "big", 5), "12345");
}

}  // namespace
}  // namespace imagerank
