#include "reward/event_file.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>

#include "core/atomic_file.h"
#include "core/crc32c.h"
#include "support/test_support.h"

namespace imagerank::reward {
namespace {

template <typename T>
T load(std::string_view bytes) {
  T value;
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

/// A message's fields in order: number, and a varint's value or the bytes.
struct Field {
  std::uint64_t number = 0;
  std::uint64_t integer = 0;
  std::string_view bytes;
};
std::vector<Field> parse_message(std::string_view bytes) {
  std::vector<Field> fields;
  const auto varint = [&] {
    std::uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      const auto byte = static_cast<unsigned char>(bytes.at(0));
      bytes.remove_prefix(1);
      value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  while (!bytes.empty()) {
    const std::uint64_t key = varint();
    Field field{key >> 3, 0, {}};
    if ((key & 7) == 0) {
      field.integer = varint();
    } else {
      const std::size_t size = (key & 7) == 1 ? 8 : (key & 7) == 5 ? 4 : varint();
      field.bytes = bytes.substr(0, size);
      bytes.remove_prefix(size);
    }
    fields.push_back(field);
  }
  return fields;
}

/// Records of a TFRecord file, checksums checked.
std::vector<std::string> read_records(const std::string& file) {
  std::vector<std::string> records;
  const auto checked = [](std::string_view bytes, std::string_view sum) {
    EXPECT_EQ(load<std::uint32_t>(sum), masked_crc32c(std::as_bytes(std::span(bytes))));
  };
  std::string_view rest = file;
  while (!rest.empty()) {
    const auto size = load<std::uint64_t>(rest.substr(0, 8));
    checked(rest.substr(0, 8), rest.substr(8, 4));
    checked(rest.substr(12, size), rest.substr(12 + size, 4));
    records.emplace_back(rest.substr(12, size));
    rest.remove_prefix(16 + size);
  }
  return records;
}

struct Event {
  std::uint64_t step = 0;
  std::string version;
  std::map<std::string, float> scalars;
};
Event parse_event(const std::string& record) {
  Event event;
  for (const Field& field : parse_message(record)) {
    if (field.number == 2) event.step = field.integer;
    if (field.number == 3) event.version = field.bytes;
    if (field.number != 5) continue;
    for (const Field& value : parse_message(field.bytes)) {
      const auto parts = parse_message(value.bytes);
      event.scalars[std::string(parts.at(0).bytes)] = load<float>(parts.at(1).bytes);
    }
  }
  return event;
}

nlohmann::json epoch(int number) {
  return {{"epoch", number},
          {"loss", 1.5 / number},
          {"lr", 0.25},
          {"validation", {{"loss", 2.0 / number}, {"accuracy", 0.5}, {"r2", nullptr}}}};
}

TEST(MaskedCrc32c, KnownValue) {
  // CRC-32C of "123456789" is 0xe3069283 (RFC 3720's check value), rotated right by 15, plus the constant.
  constexpr std::uint32_t kCrc = 0xe3069283U;
  EXPECT_EQ(masked_crc32c(std::as_bytes(std::span(std::string_view("123456789")))),
            ((kCrc >> 15) | (kCrc << 17)) + 0xa282ead8U);
}

TEST(EventFile, HoldsEveryEpochsNumbers) {
  const test::TemporaryFolder folder;
  EventFile file(folder.path(), nlohmann::json::array({epoch(1)}));
  file.add_epoch(epoch(2));
  const auto records = read_records(load_file(EventFile::path_in(folder.path())));
  ASSERT_EQ(records.size(), 3U);
  EXPECT_EQ(parse_event(records[0]).version, "brain.Event:2");
  const Event last = parse_event(records[2]);
  EXPECT_EQ(last.step, 2U);
  EXPECT_EQ(
      last.scalars,
      (std::map<std::string, float>{
          {"loss/train", 0.75F}, {"loss/validation", 1.0F}, {"learning_rate", 0.25F}, {"validation/accuracy", 0.5F}}));
}

TEST(EventFile, AResumedRunLeavesNoDoubles) {
  const test::TemporaryFolder folder;
  EventFile first(folder.path(), nlohmann::json::array());
  first.add_epoch(epoch(1));
  first.add_epoch(epoch(2));  // the checkpoint of epoch 2 was never written
  EventFile again(folder.path(), nlohmann::json::array({epoch(1)}));
  again.add_epoch(epoch(2));
  EXPECT_EQ(read_records(load_file(EventFile::path_in(folder.path()))).size(), 3U);
}

}  // namespace
}  // namespace imagerank::reward
