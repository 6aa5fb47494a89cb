#include "support/torch_zip.h"

#include <cstring>

namespace imagerank::test {
namespace {

template <typename T>
void put(std::string& bytes, T value) {
  const auto at = bytes.size();
  bytes.resize(at + sizeof(T));
  std::memcpy(bytes.data() + at, &value, sizeof(T));
}

/// What a member's own header and its entry in the directory have in common.
void put_member(std::string& bytes, const std::string& name, std::size_t size) {
  bytes.append(14, '\0');  // version, flags, stored, date, no checksum
  put(bytes, static_cast<std::uint32_t>(size));
  put(bytes, static_cast<std::uint32_t>(size));
  put(bytes, static_cast<std::uint16_t>(name.size()));
}

}  // namespace

std::string zip_of(const std::vector<std::pair<std::string, std::string>>& files) {
  std::string archive, directory;
  for (const auto& [name, bytes] : files) {
    directory.append("PK\x01\x02").append(2, '\0');
    put_member(directory, name, bytes.size());
    directory.append(12, '\0');
    put(directory, static_cast<std::uint32_t>(archive.size()));
    directory.append(name);
    archive.append("PK\x03\x04");
    put_member(archive, name, bytes.size());
    archive.append(2, '\0').append(name).append(bytes);
  }
  const auto begin = static_cast<std::uint32_t>(archive.size());
  archive.append(directory).append("PK\x05\x06").append(4, '\0');
  for (int i = 0; i < 2; ++i) put(archive, static_cast<std::uint16_t>(files.size()));
  put(archive, static_cast<std::uint32_t>(directory.size()));
  put(archive, begin);
  archive.append(2, '\0');
  return archive;
}

PickleWriter& PickleWriter::raw(const std::string& bytes) {
  bytes_.append(bytes);
  return *this;
}

PickleWriter& PickleWriter::text(const std::string& value) {
  bytes_.push_back('X');
  put(bytes_, static_cast<std::uint32_t>(value.size()));
  return raw(value);
}

PickleWriter& PickleWriter::integer(std::int64_t value) {
  bytes_.append("\x8a\x08");
  put(bytes_, value);
  return *this;
}

PickleWriter& PickleWriter::integers(const std::vector<std::int64_t>& values) {
  raw("(");
  for (const std::int64_t value : values) integer(value);
  return raw("t");
}

PickleWriter& PickleWriter::global(const std::string& module, const std::string& name) {
  bytes_.append("c").append(module).append("\n").append(name).append("\n");
  return *this;
}

}  // namespace imagerank::test
