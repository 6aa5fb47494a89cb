#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace imagerank::preferences {

/// One feature of a tf.train.Example: of the three lists, one is filled.
struct Feature {
  std::vector<std::string> bytes;
  std::vector<float> floats;
  std::vector<std::int64_t> integers;
};
using Example = std::map<std::string, Feature, std::less<>>;

/// A serialised tf.train.Example. Features not in `wanted` are left out, so that large ones cost nothing.
/// Source: tensorflow/core/example/{example,feature}.proto and the protocol buffers wire format.
/// @throws Error kCorruptData if it is none.
[[nodiscard]] Example parse_example(std::span<const std::byte> bytes, std::span<const std::string_view> wanted);

/// Calls `visit` with each record of a TFRecord file: a length, its masked CRC-32C, the payload, and that one's.
/// Memory: the file is mapped, not read. @return how many there were.
/// @throws Error kCorruptData, naming the record (from 1), where it is cut short or a checksum differs; kNotFound, kIo.
std::int64_t for_each_tfrecord(
    const std::filesystem::path& path,
    const std::function<void(std::span<const std::byte> payload, std::int64_t number)>& visit);

}  // namespace imagerank::preferences
