#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/atomic_file.h"
#include "core/half.h"
#include "core/hash.h"
#include "core/npy.h"
#include "core/random.h"
#include "core/safetensors.h"
#include "imagerank/error.h"
#include "support/test_support.h"

namespace imagerank {
namespace {

template <typename Action>
ErrorCode code_of(const Action& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.code();
  }
  return ErrorCode::kCancelled;
}

TEST(Half, RoundTripsEveryValue) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    const float value = float_from_half(half);
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(float_from_half(half_from_float(value))));
    } else {
      ASSERT_EQ(half_from_float(value), half) << bits;
    }
  }
}

TEST(Half, RoundsToNearestEvenAndOverflowsToInfinity) {
  EXPECT_EQ(float_from_half(half_from_float(1.0F + 0x1p-11F)), 1.0F);                // tie, to even
  EXPECT_EQ(float_from_half(half_from_float(1.0F + 3 * 0x1p-11F)), 1.0F + 0x1p-9F);  // tie, to even above
  EXPECT_EQ(float_from_half(half_from_float(65504.0F)), 65504.0F);
  EXPECT_TRUE(std::isinf(float_from_half(half_from_float(65520.0F))));
  EXPECT_EQ(float_from_half(half_from_float(0x1p-24F)), 0x1p-24F);
  EXPECT_EQ(float_from_half(half_from_float(0x1p-26F)), 0.0F);
  EXPECT_TRUE(std::signbit(float_from_half(half_from_float(-0.0F))));
}

TEST(Npy, RoundTrip) {
  const test::TemporaryFolder folder;
  const std::vector<float> values = {1.0F, -2.5F, 3.25F, 0.0F, 5.0F, 6.0F};
  const std::array<std::size_t, 2> shape = {2, 3};
  write_npy(folder / "x.npy", values, shape);
  const NpyFile file(folder / "x.npy");
  EXPECT_EQ(file.type(), NpyType::kFloat32);
  EXPECT_EQ(file.shape(), std::vector<std::size_t>({2, 3}));
  EXPECT_EQ(file.to_float(), values);
  EXPECT_EQ(code_of([&] { (void)file.to_int64(); }), ErrorCode::kCorruptData);
  const std::string bytes = load_file(folder / "x.npy");
  EXPECT_EQ((bytes.size() - values.size() * sizeof(float)) % 128, 0U);
}

TEST(Npy, OneDimensionHasATrailingComma) {
  const std::array<std::size_t, 1> shape = {7};
  EXPECT_NE(npy_header(NpyType::kFloat32, shape).find("'shape': (7,)"), std::string::npos);
}

TEST(Npy, RejectsLyingAndTruncatedFiles) {
  const test::TemporaryFolder folder;
  const std::vector<float> values(6, 1.0F);
  const std::array<std::size_t, 2> shape = {2, 3};
  write_npy(folder / "x.npy", values, shape);
  const std::string good = load_file(folder / "x.npy");
  const auto code_with = [&](const std::string& bytes) {
    test::write_text(folder / "bad.npy", bytes);
    return code_of([&] { const NpyFile file(folder / "bad.npy"); });
  };
  for (const std::size_t size : {std::size_t{0}, std::size_t{5}, std::size_t{11}, std::size_t{60}, good.size() - 1}) {
    EXPECT_EQ(code_with(good.substr(0, size)), ErrorCode::kCorruptData) << size;
  }
  const auto replaced = [&](const std::string& from, const std::string& to) {
    std::string bytes = good;
    bytes.replace(bytes.find(from), from.size(), to);
    return bytes;
  };
  EXPECT_EQ(code_with(replaced("(2, 3)", "(9, 3)")), ErrorCode::kCorruptData);
  EXPECT_EQ(code_with(replaced("<f4", "|O8")), ErrorCode::kCorruptData);
  EXPECT_EQ(code_with(replaced("False", "True ")), ErrorCode::kCorruptData);
  EXPECT_EQ(code_with("<html>this is not numpy</html>"), ErrorCode::kCorruptData);
  EXPECT_EQ(code_of([&] { const NpyFile file(folder / "none.npy"); }), ErrorCode::kNotFound);
}

TEST(Safetensors, RoundTripIsByteStable) {
  const test::TemporaryFolder folder;
  const std::vector<float> values = {1.0F, -2.0F, 0.5F, 4.0F};
  const std::map<std::string, TensorToWrite> tensors = {{"b", float_tensor(values, {2, 2})},
                                                        {"a", half_tensor(values, {4})}};
  write_safetensors(folder / "x.safetensors", tensors, {{"format", "pt"}});
  write_safetensors(folder / "y.safetensors", tensors, {{"format", "pt"}});
  EXPECT_EQ(load_file(folder / "x.safetensors"), load_file(folder / "y.safetensors"));
  const SafetensorsFile file(folder / "x.safetensors");
  ASSERT_NE(file.find("a"), nullptr);
  EXPECT_EQ(file.find("a")->to_float(), values);
  EXPECT_EQ(file.find("b")->to_float(), values);
  EXPECT_EQ(file.find("b")->shape, std::vector<std::int64_t>({2, 2}));
  EXPECT_EQ(file.find("c"), nullptr);
  EXPECT_EQ(file.metadata().at("format"), "pt");
}

TEST(Safetensors, RejectsLyingAndTruncatedFiles) {
  const test::TemporaryFolder folder;
  const auto code_with = [&](const std::string& header, std::size_t data_bytes, std::uint64_t extra = 0) {
    const std::uint64_t size = header.size() + extra;
    std::string bytes(sizeof(size), '\0');
    std::memcpy(bytes.data(), &size, sizeof(size));
    test::write_text(folder / "bad", bytes + header + std::string(data_bytes, '\0'));
    return code_of([&] { const SafetensorsFile file(folder / "bad"); });
  };
  const std::string good = R"({"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  EXPECT_EQ(code_with(good, 8), ErrorCode::kCancelled);  // loads
  EXPECT_EQ(code_with(good, 7), ErrorCode::kCorruptData);
  EXPECT_EQ(code_with(good, 8, 1U << 30U), ErrorCode::kCorruptData);
  EXPECT_EQ(code_with(good, 8, std::numeric_limits<std::uint64_t>::max() - good.size()), ErrorCode::kCorruptData);
  EXPECT_EQ(code_with("not json", 8), ErrorCode::kCorruptData);
  EXPECT_EQ(code_with(R"({"x":{"dtype":"F99","shape":[2],"data_offsets":[0,8]}})", 8), ErrorCode::kCorruptData);
  EXPECT_EQ(code_with(R"({"x":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", 8), ErrorCode::kCorruptData);
  EXPECT_EQ(code_with(R"({"x":{"dtype":"F32","shape":[4611686018427387905,4],"data_offsets":[0,8]}})", 8),
            ErrorCode::kCorruptData);
  EXPECT_EQ(code_with(R"({"x":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})", 8), ErrorCode::kCorruptData);
  EXPECT_EQ(code_with(R"({"x":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})", 8), ErrorCode::kCorruptData);
  EXPECT_EQ(code_with(R"({"x":7})", 8), ErrorCode::kCorruptData);
  test::write_text(folder / "short", "1234");
  EXPECT_EQ(code_of([&] { const SafetensorsFile file(folder / "short"); }), ErrorCode::kCorruptData);
}

TEST(Digest, KnownDigests) {
  EXPECT_EQ(sha256_hex(std::string_view()), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  Digest hash;
  hash.update("ab");
  hash.update("c");
  EXPECT_EQ(hash.hex_digest(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Random, IsTheSameEverywhereAndFair) {
  Random random(42);
  EXPECT_EQ(Random(0).next(), Random(0).next());
  EXPECT_NE(Random(1).next(), Random(2).next());
  EXPECT_NE(Random(1, 1).next(), Random(1, 2).next());
  std::array<int, 6> counts = {};
  double sum = 0.0;
  double squares = 0.0;
  constexpr int kDraws = 60000;
  for (int i = 0; i < kDraws; ++i) {
    ++counts[random.below(6)];
    const double value = random.normal();
    sum += value;
    squares += value * value;
  }
  for (const int count : counts) EXPECT_NEAR(count, kDraws / 6.0, 400);
  EXPECT_NEAR(sum / kDraws, 0.0, 0.02);
  EXPECT_NEAR(squares / kDraws, 1.0, 0.03);
}

TEST(ExitCode, FollowsTheErrorCode) {
  EXPECT_EQ(exit_code(ErrorCode::kInvalidArgument), 2);
  EXPECT_EQ(exit_code(ErrorCode::kCancelled), 130);
  EXPECT_EQ(exit_code(ErrorCode::kCorruptData), 1);
}

}  // namespace
}  // namespace imagerank
