#include <cstring>

#include "core/crc32c.h"
#include "preferences/import_world.h"
#include "preferences/tfrecord.h"

namespace imagerank::preferences {
namespace {

std::string varint(std::uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7U) bytes += static_cast<char>((value & 0x7FU) | 0x80U);
  return bytes + static_cast<char>(value);
}
std::string delimited(int field, const std::string& bytes) {
  return varint(static_cast<std::uint64_t>(field) << 3U | 2U) + varint(bytes.size()) + bytes;
}
template <typename T>
std::string raw(T value) {
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}
std::uint32_t checksum(const std::string& bytes) { return masked_crc32c(std::as_bytes(std::span(bytes))); }
std::string record(const std::string& payload) {
  const std::string length = raw<std::uint64_t>(payload.size());
  return length + raw(checksum(length)) + payload + raw(checksum(payload));
}
std::string feature(const std::string& key, int kind, const std::string& list) {
  return delimited(1, delimited(1, key) + delimited(2, delimited(kind, list)));
}
std::string bytes_feature(const std::string& key, const std::string& value) {
  return feature(key, 1, delimited(1, value));
}
/// Packed, as TensorFlow writes it, or one by one, as the format allows too.
std::string float_feature(const std::string& key, float value, bool packed = true) {
  return feature(key, 2, packed ? delimited(1, raw(value)) : varint(1U << 3U | 5U) + raw(value));
}
std::string example(const std::string& name, float score) {
  return delimited(1, bytes_feature("filename", name) + float_feature("aesthetics_score", score) +
                          float_feature("artifact_score", 0.5F, false) + float_feature("misalignment_score", 0.75F) +
                          float_feature("overall_score", 1.0F) + bytes_feature("artifact_map", std::string(1000, 'x')));
}

using RichhfTest = ImportWorld;

TEST(Tfrecord, ChecksumIsThatOfTheFormat) {
  // CRC-32C of "123456789" is e3069283; masked as TFRecord does by hand: rotated right by 15, plus a282ead8.
  EXPECT_EQ(checksum("123456789"), ((0xE3069283U >> 15U) | (0xE3069283U << 17U)) + 0xA282EAD8U);
}

TEST_F(RichhfTest, ScoresFindTheirPrompts) {
  const auto file =
      text("train.tfrecord", record(example("train/u1.png", 0.25F)) + record(example("train/u2.png", 0.5F)));
  const ImportCounts alone = import("richhf", {file});
  EXPECT_EQ(alone.ratings, 8);
  ASSERT_EQ(alone.notes.size(), 1U);
  EXPECT_NE(alone.notes[0].find("2 of 2 images have no prompt"), std::string::npos) << alone.notes[0];
  import("pickapic", {write("p.parquet",
                            "SELECT 1 AS ranking_id, 'a fox' AS caption, 'u1' AS image_0_uid, 'u3' AS "
                            "image_1_uid, 1.0 AS label_0, 0.0 AS label_1")});
  const ImportCounts joined = import("richhf", {file});
  EXPECT_EQ(joined.ratings, 8);
  EXPECT_EQ(count("SELECT count(*) FROM ratings WHERE image_uid = 'u1' AND prompt = 'a fox'"), 4);
  EXPECT_EQ(count("SELECT count(*) FROM ratings WHERE image_uid = 'u2' AND prompt = ''"), 4);
  EXPECT_EQ(count("SELECT count(*) FROM ratings WHERE image_uid = 'u1' AND aspect = 'aesthetics' AND score = 0.25"), 1);
  EXPECT_EQ(count("SELECT count(*) FROM ratings WHERE image_uid = 'u1' AND aspect = 'artifact' AND score = 0.5"), 1);
  const auto before = snapshot();
  EXPECT_EQ(import("richhf", {file}).added_ratings, 0);
  EXPECT_EQ(snapshot(), before);
}

TEST_F(RichhfTest, DamageIsNamed) {
  const std::string good = record(example("train/u1.png", 0.25F));
  const auto refused = [&](const std::string& bytes, const std::string& part) {
    expect_refused("richhf", {text("bad.tfrecord", bytes)}, ErrorCode::kCorruptData, {"record", part});
  };
  refused(good + good.substr(0, 7), "record 2: expected 12 bytes of length, found 7");
  refused(good.substr(0, good.size() - 1), "found the end of the file");
  std::string flipped = good;
  flipped[20] = static_cast<char>(flipped[20] ^ 1);
  refused(flipped, "its checksum");
  flipped = good;
  flipped[0] = static_cast<char>(flipped[0] ^ 1);
  refused(flipped, "length whose checksum differs");
  const std::string length = raw<std::uint64_t>(std::uint64_t{1} << 62U);
  refused(length + raw(checksum(length)) + "x", "record 1: expected 4611686018427387904 bytes");
  refused(record("\x0a\xff\xff\xff\xff\x0f"), "expected 4294967295 more bytes, found 0");
  refused(record(std::string(12, '\xff')), "tf.train.Example");
  refused(record(""), "'filename'");
  refused(record(delimited(1, bytes_feature("filename", "a.png"))), "'aesthetics_score'");
  expect_refused("richhf", {text("empty.tfrecord", "")}, ErrorCode::kCorruptData, {"empty"});
}

TEST_F(RichhfTest, UnsafeNamesAreCounted) {
  const auto file =
      text("t.tfrecord", record(example("..", 0.25F)) + record(example(std::string("a\0b.png", 7), 0.25F)) +
                             record(example("\xff.png", 0.25F)) + record(example("ok.png", 0.25F)));
  ImportCounts counts = import("richhf", {file});
  EXPECT_EQ(counts.ratings, 4);
  EXPECT_EQ(counts.skipped["unsafe_uid"] + counts.skipped["no_image_uid"], 12);
}

}  // namespace
}  // namespace imagerank::preferences
