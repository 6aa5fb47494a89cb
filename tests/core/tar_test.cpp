// Against the `tar` program both ways, and against archives that are not what they should be.
#include "core/tar.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "core/atomic_file.h"
#include "imagerank/error.h"
#include "support/child_process.h"
#include "support/test_support.h"

namespace imagerank {
namespace {

using test::TemporaryFolder;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct Contents {
  std::vector<std::string> names;
  std::map<std::string, std::string> files;
  std::string error;  ///< "" if it was read to its end
};

Contents read(const std::string& archive) {
  Contents contents;
  TarReader reader(std::as_bytes(std::span(archive)), "t.tar");
  try {
    while (const auto member = reader.next()) {
      contents.names.push_back(member->name);
      contents.files[member->name] = archive.substr(member->offset, member->size);
    }
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kCorruptData);
    contents.error = error.what();
  }
  return contents;
}

std::string archive_of(const std::vector<std::pair<std::string, std::string>>& files) {
  const TemporaryFolder folder;
  TarWriter tar(folder / "t.tar");
  for (const auto& [name, bytes] : files) tar.add(name, bytes);
  tar.finish();
  return load_file(folder / "t.tar");
}

/// What the `tar` program makes of a folder.
std::string packed(const std::filesystem::path& folder, const std::vector<std::string>& options) {
  std::vector<std::string> arguments = {"-C", folder.string(), "-cf", folder.string() + ".tar"};
  arguments.insert(arguments.end(), options.begin(), options.end());
  arguments.emplace_back(".");
  const auto result = test::run_child("/usr/bin/tar", arguments);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  return load_file(folder.string() + ".tar");
}

/// One header block with any fields, its checksum right.
std::string header(const std::string& name, char type, const std::string& size) {
  std::string block = archive_of({{name, ""}}).substr(0, 512);
  block[156] = type;
  block.replace(124, 12, size + std::string(12 - size.size(), '\0'));
  block.replace(148, 8, 8, ' ');
  unsigned sum = 0;
  for (const char c : block) sum += static_cast<unsigned char>(c);
  return block.replace(148, 8, fmt::format("{:06o}", sum) + std::string("\0 ", 2));
}

std::string blocks(std::string bytes) {
  bytes.resize((bytes.size() + 511) / 512 * 512);
  return bytes;
}

TEST(Tar, TheTarProgramReadsWhatIsWritten) {
  const TemporaryFolder folder;
  TarWriter tar(folder / "deep/t.tar");
  tar.add("a.json", "{}");
  EXPECT_EQ(tar.add("a.png", std::string(513, 'x')), 1536U);
  const std::uint64_t size = tar.size();
  tar.add("unwanted", "gone");
  tar.rewind(size);
  tar.add("empty", "");
  tar.finish();
  const auto list = test::run_child("/usr/bin/tar", {"-tf", folder / "deep/t.tar"});
  EXPECT_EQ(list.out, "a.json\na.png\nempty\n");
  EXPECT_EQ(list.err, "");
  const auto file = test::run_child("/usr/bin/tar", {"-xOf", folder / "deep/t.tar", "a.png"});
  EXPECT_EQ(file.out, std::string(513, 'x'));
  EXPECT_EQ(read(load_file(folder / "deep/t.tar")).files["a.png"], std::string(513, 'x'));
}

TEST(Tar, CarriesOnWhereItIsTold) {
  const TemporaryFolder folder;
  test::write_text(folder / "t.tar", archive_of({{"a", "1"}, {"b", "2"}}) + "more");
  {
    TarWriter tar(folder / "t.tar", 1024);
    tar.add("c", "3");
    tar.finish();
  }
  EXPECT_EQ(load_file(folder / "t.tar"), archive_of({{"a", "1"}, {"c", "3"}}));
}

TEST(Tar, NamesThatDoNotFitAreRefused) {
  const TemporaryFolder folder;
  TarWriter tar(folder / "t.tar");
  EXPECT_THROW(tar.add(std::string(101, 'x'), ""), Error);
  EXPECT_THROW(tar.add("", ""), Error);
  tar.add(std::string(100, 'x'), "y");
  tar.finish();
  EXPECT_EQ(load_file(folder / "t.tar").size(), 2048U);
}

TEST(Tar, ReadsWhatTheTarProgramWritesInAnyFormat) {
  const TemporaryFolder folder;
  const std::string deep(60, 'd');
  const std::string far = fmt::format("{}/{}.jpg", deep, std::string(70, 'f'));  // ustar splits it at the slash
  const std::string longest = std::string(150, 'n') + ".jpg";
  test::write_text(folder / "in/a.txt", "text");
  test::write_text(folder / "in" / std::filesystem::path(far), std::string(1000, 'f'));
  std::filesystem::create_symlink("a.txt", folder / "in/link");
  std::filesystem::create_hard_link(folder / "in/a.txt", folder / "in/hard");
  const std::filesystem::path in = folder / "in";
  const auto check = [&](const std::string& archive, const std::string& name) {
    Contents contents = read(archive);
    EXPECT_EQ(contents.error, "");
    EXPECT_EQ(contents.names.size(), name.empty() ? 2U : 3U);
    EXPECT_EQ(contents.files.at("./a.txt"), "text");
    EXPECT_EQ(contents.files.at("./" + far), std::string(1000, 'f'));
    if (!name.empty()) {
      EXPECT_EQ(contents.files.at("./" + name), "long");
    }
  };
  // The hard link comes after its file.
  check(packed(in, {"--format=ustar", "--sort=name", "--exclude=hard"}), "");
  test::write_text(in / longest, "long");
  for (const char* const format : {"--format=gnu", "--format=pax"}) {
    check(packed(in, {format, "--sort=name", "--exclude=hard"}), longest);
  }
  const Contents linked = read(packed(in, {"--format=gnu", "--sort=name"}));
  EXPECT_EQ(linked.error, "");
  EXPECT_EQ(linked.names.size(), 3U) << "a file with two names is stored once";
}

TEST(Tar, PaxRecordsGiveNamesAndSizes) {
  const std::string records = "12 path=a.b\n9 size=3\n21 unknown=some text\n";
  const std::string archive = blocks(header("x", 'x', fmt::format("{:011o}", records.size())) + records) +
                              blocks(header("short", '0', "00000000000") + "abc") + std::string(1024, '\0');
  const Contents contents = read(archive);
  EXPECT_EQ(contents.error, "");
  EXPECT_THAT(contents.names, ElementsAre("a.b"));
  EXPECT_EQ(contents.files.at("a.b"), "abc");
  for (const std::string bad : {"", "3 a", "99 path=a\n", "x path=a\n", "9 path a\n", "9 size=x\n", "10 path=ab"}) {
    if (bad.empty()) continue;
    const Contents broken = read(blocks(header("x", 'x', fmt::format("{:011o}", bad.size())) + bad) + archive);
    EXPECT_THAT(broken.error, HasSubstr("t.tar: at byte 0: expected ")) << bad;
    EXPECT_THAT(broken.names, IsEmpty());
  }
}

TEST(Tar, LargeSizesAreReadAndCheckedAgainstTheFile) {
  std::string large(12, '\0');
  large[0] = static_cast<char>(0x80);
  large[11] = 3;
  EXPECT_EQ(read(blocks(header("a", '0', large) + "abc")).files.at("a"), "abc");
  large[4] = 1;  // 2^56 and more
  EXPECT_THAT(read(blocks(header("a", '0', large) + "abc")).error, HasSubstr("the end after 512"));
  large[1] = 1;  // beyond 64 bits
  EXPECT_THAT(read(blocks(header("a", '0', large) + "abc")).error, HasSubstr("expected a size"));
  EXPECT_THAT(read(blocks(header("a", '0', "77777777777") + "abc")).error,
              HasSubstr("at byte 0: expected a member of 8589934591 bytes, found the end after 512"));
  EXPECT_THAT(read(blocks(header("a", '0', "12z") + "abc")).error, HasSubstr("expected a size"));
  EXPECT_THAT(read(blocks(header("a", 'x', "00010000000"))).error, HasSubstr("the end after 0"));
  EXPECT_THAT(read(blocks(header("a", 'S', "00000000000"))).error, HasSubstr("sparse"));
}

TEST(Tar, WhatStandsBeforeADefectIsRead) {
  const std::string whole = archive_of({{"a", "1"}, {"b", std::string(600, '2')}, {"c", "3"}});
  // a: 0..1024, b: 1024..2560, c: 2560..3584, then the end.
  struct Case {
    std::string archive;
    std::vector<std::string> names;
    std::string error;
  };
  std::string wrong_checksum = whole;
  wrong_checksum[1024 + 3] = 'x';
  std::string other = whole;
  other.replace(2560, 512, 512, 'j');
  const std::vector<Case> cases = {
      {whole.substr(0, 1500), {"a"}, "at byte 1024: expected a tar header of 512 bytes, found the end after 476"},
      {whole.substr(0, 1600), {"a"}, "at byte 1024: expected a member of 600 bytes, found the end after 64"},
      {whole.substr(0, 2136), {"a", "b"}, ""},  // all of b, but not what fills its block
      {whole.substr(0, 2560), {"a", "b"}, ""},  // no end, but nothing is missing
      {wrong_checksum, {"a"}, "at byte 1024: expected a tar header, found bytes with another checksum"},
      {other, {"a", "b"}, "at byte 2560: expected a tar header"},
      {std::string(10240, '\0'), {}, ""},
      {"", {}, "expected a tar archive, found an empty file"},
      {"\x1f\x8b\x08", {}, "found the end after 3"},
  };
  for (const Case& one : cases) {
    const Contents contents = read(one.archive);
    EXPECT_EQ(contents.names, one.names) << one.error;
    if (one.error.empty()) {
      EXPECT_EQ(contents.error, "");
    } else {
      EXPECT_THAT(contents.error, HasSubstr(one.error));
      EXPECT_THAT(contents.error, HasSubstr("t.tar: "));
    }
  }
}

TEST(Tar, NamesAreGivenAsTheyAreAndTwiceIfTheyAreTwice) {
  EXPECT_THAT(read(archive_of({{"../../etc/x", "1"}, {"/abs", "2"}, {"a", "3"}, {"a", "4"}})).names,
              ElementsAre("../../etc/x", "/abs", "a", "a"));
}

TEST(TarPartTest, PathsAreToldFromOthers) {
  const auto part = parse_tar_part("/w/00000.tar#512+4711.jpg");
  ASSERT_TRUE(part);
  EXPECT_EQ(part->archive, "/w/00000.tar");
  EXPECT_EQ(part->offset, 512U);
  EXPECT_EQ(part->size, 4711U);
  EXPECT_EQ(tar_part_path("/w/00000.tar", {"name", 512, 4711}, ".jpg"), "/w/00000.tar#512+4711.jpg");
  EXPECT_TRUE(parse_tar_part("a.tar#0+1"));
  for (const char* const path : {"a.tar", "a.tar#", "a.tar#1", "a.tar#1+", "a.tar#x+1", "a.tar#1-1", "a.tar#-1+1",
                                 "a.tar#1+1.", "a.tar#1+1.jp/g", "a.tar#1+1 .jpg", "a.zip#1+1",
                                 "a.tar#1+99999999999999999999999", "a.tar#1+1.ninechars", "#1+1"}) {
    EXPECT_FALSE(parse_tar_part(path)) << path;
  }
}

TEST(TarPartTest, IsLoadedLikeAFile) {
  const TemporaryFolder folder;
  test::write_text(folder / "t.tar", archive_of({{"a", "one"}, {"b", "two and more"}}));
  const std::string archive = (folder / "t.tar").string();
  EXPECT_EQ(load_file(archive + "#512+3"), "one");
  EXPECT_EQ(load_file(archive + "#1536+12.jpg"), "two and more");
  EXPECT_TRUE(has_file(archive + "#1536+12.jpg"));
  EXPECT_TRUE(has_file(archive));
  EXPECT_FALSE(has_file(archive + "#1536+0.jpg"));
  EXPECT_FALSE(has_file(archive + "#1536+9999.jpg"));
  EXPECT_FALSE(has_file(archive + "#18446744073709551615+18446744073709551615.jpg"));
  EXPECT_FALSE(has_file(folder / "none.tar#0+1"));
  EXPECT_FALSE(has_file(folder.path()));
  const auto code_of = [](const std::filesystem::path& path, std::size_t most) {
    try {
      load_file(path, most);
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::kRefused;
  };
  EXPECT_EQ(code_of(archive + "#1536+9999.jpg", 1 << 20), ErrorCode::kNotFound);
  EXPECT_EQ(code_of(archive + "#18446744073709551615+18446744073709551615", SIZE_MAX), ErrorCode::kNotFound);
  EXPECT_EQ(code_of(folder / "none.tar#0+1", 1 << 20), ErrorCode::kNotFound);
  EXPECT_EQ(code_of(archive + "#1536+12.jpg", 11), ErrorCode::kResourceLimit);
}

}  // namespace
}  // namespace imagerank
