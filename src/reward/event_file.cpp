#include "reward/event_file.h"

#include <bit>
#include <chrono>
#include <cstring>
#include <fstream>
#include <span>
#include <string_view>

#include "core/atomic_file.h"
#include "core/crc32c.h"
#include "core/fail.h"

namespace imagerank::reward {
namespace {

static_assert(std::endian::native == std::endian::little, "TFRecord and protocol buffers are little-endian");

template <typename T>
void append_fixed(std::string& out, T value) {
  char bytes[sizeof value];
  std::memcpy(bytes, &value, sizeof value);
  out.append(bytes, sizeof value);
}

void append_varint(std::string& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>((value & 0x7f) | 0x80);
  out += static_cast<char>(value);
}

/// A field of protocol buffers' wire format.
void append_key(std::string& out, std::uint32_t number, std::uint32_t wire_type) {
  append_varint(out, (number << 3) | wire_type);
}
constexpr std::uint32_t kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5;

void append_bytes(std::string& out, std::uint32_t number, std::string_view bytes) {
  append_key(out, number, kBytes);
  append_varint(out, bytes.size());
  out += bytes;
}

double now_s() { return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count(); }

std::string event(std::int64_t step, std::uint32_t what, std::string_view payload) {
  std::string bytes;
  append_key(bytes, 1, kFixed64);  // wall_time
  append_fixed(bytes, now_s());
  append_key(bytes, 2, kVarint);  // step
  append_varint(bytes, static_cast<std::uint64_t>(step));
  append_bytes(bytes, what, payload);
  return bytes;
}
constexpr std::uint32_t kFileVersion = 3, kSummary = 5;

void append_scalar(std::string& summary, std::string_view tag, float number) {
  std::string value;
  append_bytes(value, 1, tag);
  append_key(value, 2, kFixed32);  // simple_value
  append_fixed(value, number);
  append_bytes(summary, 1, value);
}

std::uint32_t checksum(std::string_view bytes) { return masked_crc32c(std::as_bytes(std::span(bytes))); }

std::string record(std::string_view payload) {
  std::string bytes;
  append_fixed(bytes, static_cast<std::uint64_t>(payload.size()));
  append_fixed(bytes, checksum(std::string_view(bytes)));
  bytes += payload;
  append_fixed(bytes, checksum(payload));
  return bytes;
}

std::string epoch_record(const nlohmann::json& epoch) {
  std::string summary;
  const auto add = [&](std::string_view tag, const nlohmann::json& number) {
    if (number.is_number()) append_scalar(summary, tag, number.get<float>());
  };
  add("loss/train", epoch.value("loss", nlohmann::json()));
  add("loss/prompts", epoch.value("prompt_loss", nlohmann::json()));
  add("learning_rate", epoch.value("lr", nlohmann::json()));
  add("seconds", epoch.value("seconds", nlohmann::json()));
  const nlohmann::json measured = epoch.value("validation", nlohmann::json::object());
  for (const auto& [name, number] : measured.items())
    add(name == "loss" ? "loss/validation" : "validation/" + name, number);
  return record(event(epoch.at("epoch").get<std::int64_t>(), kSummary, summary));
}

}  // namespace

std::filesystem::path EventFile::path_in(const std::filesystem::path& folder) {
  return folder / "events.out.tfevents.imagerank";
}

EventFile::EventFile(const std::filesystem::path& folder, const nlohmann::json& history) : path_(path_in(folder)) {
  std::string bytes = record(event(0, kFileVersion, "brain.Event:2"));
  for (const nlohmann::json& epoch : history) bytes += epoch_record(epoch);
  write_file_atomically(path_, bytes, /*durable=*/false);
}

void EventFile::add_epoch(const nlohmann::json& epoch) {
  const std::string bytes = epoch_record(epoch);
  std::ofstream out(path_, std::ios::binary | std::ios::app);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  out.close();
  if (!out) fail(ErrorCode::kIo, "{}: cannot append an epoch's figures", path_.string());
}

}  // namespace imagerank::reward
