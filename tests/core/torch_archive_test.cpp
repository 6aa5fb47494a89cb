// Against checkpoints that PyTorch wrote (tests/testdata/torch/make.py), and against what is not one.
#include "core/torch_archive.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "core/atomic_file.h"
#include "core/half.h"
#include "core/tensor_file.h"
#include "imagerank/error.h"
#include "support/test_support.h"
#include "support/torch_zip.h"

namespace imagerank {
namespace {

using test::PickleWriter;
using test::TemporaryFolder;
using test::zip_of;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

/// Numbers of any type.
std::vector<double> values_of(const TensorView& view) {
  if (is_floating(view.type)) {
    const std::vector<float> values = view.to_float();
    return {values.begin(), values.end()};
  }
  std::vector<double> values;
  const std::size_t size = element_size(view.type);
  for (std::size_t at = 0; at < view.bytes.size(); at += size) {
    const bool is_signed = view.type != TensorType::kU8 && view.type != TensorType::kBool;
    const bool negative = is_signed && (static_cast<unsigned>(view.bytes[at + size - 1]) & 0x80U) != 0;
    std::int64_t value = negative ? -1 : 0;
    std::memcpy(&value, view.bytes.data() + at, size);
    values.push_back(static_cast<double>(value));
  }
  return values;
}

/// What reading a file says.
std::string error_of(const std::filesystem::path& path) {
  try {
    const TensorFile file(path);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kCorruptData);
    EXPECT_THAT(error.what(), AllOf(HasSubstr(path.filename().string()), Not(HasSubstr("\n"))));
    return error.what();
  }
  return "no error";
}

TEST(TorchArchive, WhatPyTorchWroteIsRead) {
  const auto expected = nlohmann::json::parse(load_file(test::testdata("torch/expected.json")));
  std::size_t read = 0;
  for (const auto& [name, holds] : expected.items()) {
    if (holds.is_null()) continue;
    SCOPED_TRACE(name);
    const TensorFile file(test::testdata("torch/" + name));
    EXPECT_EQ(file.tensors().size(), holds.size());
    for (const auto& [tensor, want] : holds.items()) {
      SCOPED_TRACE(tensor);
      ASSERT_TRUE(file.tensors().contains(tensor));
      const TensorView& view = file.tensors().at(tensor);
      EXPECT_EQ(view.shape, want["shape"].get<std::vector<std::int64_t>>());
      EXPECT_EQ(values_of(view), want["values"].get<std::vector<double>>());
    }
    ++read;
  }
  EXPECT_EQ(read, 9U);
}

TEST(TorchArchive, TypesAreKept) {
  const TensorFile file(test::testdata("torch/plain.pth"));
  EXPECT_EQ(file.tensors().at("half").type, TensorType::kF16);
  EXPECT_EQ(file.tensors().at("bfloat16").type, TensorType::kBF16);
  EXPECT_EQ(file.tensors().at("double").type, TensorType::kF64);
}

TEST(TorchArchive, WhatWouldBeCalledOrImportedIsRefusedByName) {
  EXPECT_THAT(error_of(test::testdata("torch/harm_root.pt")),
              AllOf(HasSubstr("a call of posix.system"), HasSubstr("refused")));
  EXPECT_THAT(error_of(test::testdata("torch/harm_inside.pt")), HasSubstr("'b': expected a tensor, found a call of"));
  EXPECT_THAT(error_of(test::testdata("torch/harm_inside.pt")), HasSubstr("builtin"));
  EXPECT_THAT(error_of(test::testdata("torch/harm_import.pt")), HasSubstr("an import of posix.system"));
  EXPECT_THAT(error_of(test::testdata("torch/harm_legacy.pt")), HasSubstr("a call of posix.system"));
  EXPECT_THAT(error_of(test::testdata("torch/not_torch.pkl")), HasSubstr("a call of posix.system"));
  EXPECT_THAT(error_of(test::testdata("torch/module.pt")), HasSubstr("a call of torch.nn.modules.linear.Linear"));
  EXPECT_THAT(error_of(test::testdata("torch/quantized.pt")), HasSubstr("torch._utils._rebuild_qtensor"));
  EXPECT_FALSE(std::filesystem::exists("harm_was_done"));
}

/// A checkpoint of one tensor "x" over storage "0", as torch.save writes it.
struct OneTensor {
  std::string type = "FloatStorage", key = "0";
  std::int64_t count = 6, offset = 0;
  std::vector<std::int64_t> shape = {2, 3}, strides = {3, 1};
  std::size_t stored_bytes = 24;

  [[nodiscard]] std::string pickle() const {
    return PickleWriter()
        .raw("}")
        .text("x")
        .global("torch._utils", "_rebuild_tensor_v2")
        .raw("((")
        .text("storage")
        .global("torch", type)
        .text(key)
        .text("cpu")
        .integer(count)
        .raw("tQ")
        .integer(offset)
        .integers(shape)
        .integers(strides)
        .raw("\x89}tRs.")
        .bytes();
  }
  [[nodiscard]] std::string error(const TemporaryFolder& folder) const {
    test::write_text(folder / "x.pth",
                     zip_of({{"x/data.pkl", pickle()}, {"x/data/0", std::string(stored_bytes, '\0')}}));
    return error_of(folder / "x.pth");
  }
};

TEST(TorchArchive, ATensorMustLieInItsStorageAndTheStorageInTheFile) {
  const TemporaryFolder folder;
  EXPECT_EQ(OneTensor().error(folder), "no error");
  EXPECT_EQ((OneTensor{.strides = {1, 2}}.error(folder)), "no error");
  EXPECT_EQ((OneTensor{.offset = 5, .shape = {}, .strides = {}}.error(folder)), "no error");
  EXPECT_EQ((OneTensor{.shape = {0, std::int64_t{1} << 60}}.error(folder)), "no error");
  EXPECT_THAT((OneTensor{.key = "1"}.error(folder)), HasSubstr("data/1: expected a stored member"));
  EXPECT_THAT((OneTensor{.count = 7}.error(folder)), HasSubstr("storage 0: expected 7 numbers of 4 bytes, found 24"));
  EXPECT_THAT((OneTensor{.stored_bytes = 23}.error(folder)), HasSubstr("found 23 bytes"));
  const auto outside = HasSubstr("tensor 'x': expected a tensor within the 6 numbers of its storage");
  constexpr std::int64_t kHuge = std::numeric_limits<std::int64_t>::max();
  EXPECT_THAT((OneTensor{.offset = 1}.error(folder)), outside);
  EXPECT_THAT((OneTensor{.offset = kHuge}.error(folder)), outside);
  EXPECT_THAT((OneTensor{.offset = 6, .shape = {}, .strides = {}}.error(folder)), outside);
  EXPECT_THAT((OneTensor{.shape = {3, 3}}.error(folder)), outside);
  EXPECT_THAT((OneTensor{.shape = {kHuge, kHuge}}.error(folder)), outside);
  EXPECT_THAT((OneTensor{.strides = {kHuge, 1}}.error(folder)), outside);
  EXPECT_THAT((OneTensor{.strides = {3, 2}}.error(folder)), outside);
  // One number seen as many would need memory that the file does not justify.
  EXPECT_THAT((OneTensor{.shape = {1 << 30}, .strides = {0}}.error(folder)), outside);
  const auto not_plain = HasSubstr("'x': expected a tensor, found torch._utils._rebuild_tensor_v2 of a storage");
  EXPECT_THAT((OneTensor{.type = "QInt8Storage"}.error(folder)), not_plain);
  EXPECT_THAT((OneTensor{.offset = -1}.error(folder)), not_plain);
  EXPECT_THAT((OneTensor{.count = -1}.error(folder)), not_plain);
  EXPECT_THAT((OneTensor{.shape = {-2, 3}}.error(folder)), not_plain);
  EXPECT_THAT((OneTensor{.shape = {2}}.error(folder)), not_plain);
}

std::string pickle_error(const TemporaryFolder& folder, const std::string& pickle) {
  test::write_text(folder / "x.pth", zip_of({{"x/data.pkl", pickle}}));
  return error_of(folder / "x.pth");
}

TEST(TorchArchive, BrokenPicklesAreDataErrors) {
  const TemporaryFolder folder;
  EXPECT_EQ(pickle_error(folder, "\x80\x02}."), "no error");
  EXPECT_THAT(pickle_error(folder, "\x80\x02}"), HasSubstr("expected 1 more bytes, found 0"));
  EXPECT_THAT(pickle_error(folder, "\x80\x02."), HasSubstr("expected a value on the stack, found none"));
  EXPECT_THAT(pickle_error(folder, "\x80\x02(."), HasSubstr("found a mark"));
  EXPECT_THAT(pickle_error(folder, "\x80\x02u."), HasSubstr("expected a mark"));
  EXPECT_THAT(pickle_error(folder, "\x80\x02}(Nu."), HasSubstr("an odd number"));
  EXPECT_THAT(pickle_error(folder, "\x80\x02N(NNu."), HasSubstr("expected a dict"));
  EXPECT_THAT(pickle_error(folder, "\x80\x02h\x07."), HasSubstr("found none of this number"));
  EXPECT_THAT(pickle_error(folder,
                           "\x80\x02"
                           "iposix\nsystem\n."),
              HasSubstr("expected an opcode of a checkpoint, found 0x69"));
  EXPECT_THAT(pickle_error(folder, "\x80\x09}."), HasSubstr("protocol"));
  EXPECT_THAT(pickle_error(folder, std::string("\x80\x02X\xff\xff\xff\x7f", 7) + "short."), HasSubstr("more bytes"));
  EXPECT_THAT(pickle_error(folder, "\x80\x02K\x07."), HasSubstr("expected a dict of tensors, found a plain value"));
}

TEST(TorchArchive, DictsInThemselvesEnd) {
  const TemporaryFolder folder;
  test::write_text(folder / "x.pth",
                   zip_of({{"x/data.pkl", std::string("\x80\x02}q\x00X\x01\x00\x00\x00xh\x00s.", 16)}}));
  EXPECT_THROW(TorchArchive(folder / "x.pth"), Error);
  // Each level holds the one below twice: 2^40 values to visit.
  PickleWriter writer;
  writer.raw("}q").raw(std::string(1, '\0'));
  for (int level = 1; level < 40; ++level) {
    const std::string below(1, static_cast<char>(level - 1)), mine(1, static_cast<char>(level));
    writer.raw("}q" + mine).text("a").raw("h" + below + "s").text("b").raw("h" + below + "s");
  }
  test::write_text(folder / "x.pth", zip_of({{"x/data.pkl", writer.raw(".").bytes()}}));
  try {
    const TorchArchive file(folder / "x.pth");
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kResourceLimit);
  }
}

TEST(TorchArchive, TheSameNameTwiceIsRefused) {
  const TemporaryFolder folder;
  const std::string once = OneTensor().pickle();
  std::string twice = once.substr(0, once.size() - 1) + once.substr(3);  // into the same dict again
  test::write_text(folder / "x.pth", zip_of({{"x/data.pkl", twice}, {"x/data/0", std::string(24, '\0')}}));
  EXPECT_THAT(error_of(folder / "x.pth"), HasSubstr("tensor 'x': expected once, found twice"));
}

TEST(TorchArchive, ADirectoryOf64BitsIsRead) {
  const TensorFile wide(test::source_file("fuzz/corpus/torch_archive/zip64"));
  EXPECT_EQ(wide.tensors().size(), TensorFile(test::testdata("torch/plain.pth")).tensors().size());
}

TEST(TorchArchive, BrokenArchivesAreDataErrors) {
  const TemporaryFolder folder;
  const std::string good = load_file(test::testdata("torch/plain.pth"));
  const auto error_with = [&](const std::string& bytes) {
    test::write_text(folder / "x.pth", bytes);
    return error_of(folder / "x.pth");
  };
  for (const std::size_t size : {good.size() - 1, good.size() / 2, std::size_t{30}, std::size_t{4}}) {
    EXPECT_THAT(error_with(good.substr(0, size)), HasSubstr("is the file whole?")) << size;
  }
  EXPECT_THAT(error_with(zip_of({{"x/other", "1"}})), HasSubstr("zip archive without data.pkl"));
  EXPECT_THAT(error_with(zip_of({{"x/data.pkl", "\x80\x02}."}, {"y/data.pkl", "\x80\x02}."}})), HasSubstr("several"));
  EXPECT_THAT(error_with(zip_of({{"x/data.pkl", "\x80\x02}."}, {"x/data.pkl", "\x80\x02}."}})), HasSubstr("twice"));
  EXPECT_THAT(error_with(zip_of({{"x/data.pkl", "\x80\x02}."}, {"x/byteorder", "big"}})), HasSubstr("byteorder"));
  std::string tar(1024, '\0');
  tar.replace(257, 5, "ustar");
  EXPECT_THAT(error_with(tar), HasSubstr("a tar archive"));
  const std::string legacy = load_file(test::testdata("torch/legacy.pth"));
  EXPECT_NE(error_with(legacy.substr(0, legacy.size() - 1)), "no error");
  EXPECT_NE(error_with(legacy.substr(0, 40)), "no error");
}

TEST(TorchArchive, MembersMustLieApart) {
  const TemporaryFolder folder;
  std::string archive = zip_of({{"x/data.pkl", "\x80\x02}."}, {"x/data/0", "1234"}, {"x/data/1", "1234"}});
  // The last entry of the directory names the header of the one before: same name length, another name.
  const auto last = archive.rfind("PK\x01\x02"), before = archive.rfind("PK\x01\x02", last - 1);
  std::string lying = archive;
  lying.replace(last + 42, 4, archive.substr(before + 42, 4));
  test::write_text(folder / "x.pth", lying);
  EXPECT_THAT(error_of(folder / "x.pth"), HasSubstr("x/data/1: expected its header at byte"));
  // A member that claims the bytes of the next one.
  lying = archive;
  lying.replace(before + 20, 1, "\x20").replace(before + 24, 1, "\x20");
  test::write_text(folder / "x.pth", lying);
  EXPECT_THAT(error_of(folder / "x.pth"), HasSubstr("found two that share byte"));
  lying.replace(before + 22, 1, "\x40").replace(before + 26, 1, "\x40");
  test::write_text(folder / "x.pth", lying);
  EXPECT_THAT(error_of(folder / "x.pth"), HasSubstr("expected a member of"));
}

TEST(TensorFile, KindsAreToldByTheirContent) {
  const TemporaryFolder folder;
  const std::vector<float> values = {1.0F, 2.0F};
  write_safetensors(folder / "weights.bin", {{"a", float_tensor(values, {2})}});
  EXPECT_EQ(TensorFile(folder / "weights.bin").tensors().at("a").to_float(), values);
  std::filesystem::copy_file(test::testdata("torch/plain.pth"), folder / "model.safetensors");
  EXPECT_EQ(TensorFile(folder / "model.safetensors").tensors().count("float"), 1U);
}

TEST(TensorFile, AGitLfsPointerIsNamed) {
  const TemporaryFolder folder;
  test::write_text(folder / "model.safetensors",
                   "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 3944517836\n");
  EXPECT_THAT(error_of(folder / "model.safetensors"), HasSubstr("git-LFS's pointer file"));
}

}  // namespace
}  // namespace imagerank
