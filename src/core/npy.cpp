#include "core/npy.h"

#include <array>
#include <charconv>
#include <cstring>
#include <limits>
#include <optional>
#include <string_view>

#include "core/atomic_file.h"
#include "core/fail.h"
#include "core/half.h"
#include "core/printable.h"

namespace imagerank {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";

struct TypeName {
  NpyType type;
  std::string_view name;
  std::size_t bytes;
};
constexpr std::array kTypes = {
    TypeName{NpyType::kFloat16, "<f2", 2}, TypeName{NpyType::kFloat32, "<f4", 4}, TypeName{NpyType::kFloat64, "<f8", 8},
    TypeName{NpyType::kInt32, "<i4", 4},   TypeName{NpyType::kInt64, "<i8", 8},
};

const TypeName& type_name(NpyType type) {
  for (const TypeName& entry : kTypes) {
    if (entry.type == type) return entry;
  }
  return kTypes.front();
}

/// The text between the quotes or brackets that follow 'key': in the header's Python dictionary.
std::optional<std::string_view> header_value(std::string_view header, std::string_view key) {
  const std::size_t at = header.find(key);
  if (at == std::string_view::npos) return std::nullopt;
  std::size_t begin = header.find(':', at + key.size());
  if (begin == std::string_view::npos) return std::nullopt;
  begin = header.find_first_not_of(' ', begin + 1);
  if (begin == std::string_view::npos) return std::nullopt;
  const char close = header[begin] == '(' ? ')' : header[begin] == '\'' ? '\'' : ',';
  if (close != ',') ++begin;
  const std::size_t end = header.find_first_of(close == ',' ? ",}" : std::string_view(&close, 1), begin);
  if (end == std::string_view::npos) return std::nullopt;
  return header.substr(begin, end - begin);
}

std::vector<std::size_t> parse_shape(std::string_view text, const std::filesystem::path& path) {
  std::vector<std::size_t> shape;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at != end) {
    if (*at == ' ' || *at == ',') {
      ++at;
      continue;
    }
    std::size_t value = 0;
    const auto [next, error] = std::from_chars(at, end, value);
    if (error != std::errc())
      fail(ErrorCode::kCorruptData, "{}: npy header: expected a shape such as (2, 3), found other text", path.string());
    shape.push_back(value);
    at = next;
  }
  return shape;
}

template <typename T>
T load_element(std::span<const std::byte> bytes, std::size_t index) {
  T value;
  std::memcpy(&value, bytes.data() + index * sizeof(T), sizeof(T));
  return value;
}

void write_array(const std::filesystem::path& path, NpyType type, std::span<const std::byte> bytes,
                 std::span<const std::size_t> shape) {
  std::size_t count = 1;
  for (const std::size_t extent : shape) count *= extent;
  if (count * type_name(type).bytes != bytes.size()) {
    fail(ErrorCode::kInvalidArgument, "{}: the shape holds {} elements, the data {}", path.string(), count,
         bytes.size() / type_name(type).bytes);
  }
  AtomicFile file(path);
  file.write(npy_header(type, shape));
  file.write(bytes);
  file.commit();
}

}  // namespace

NpyFile::NpyFile(const std::filesystem::path& path) : file_(path), path_(path) {
  const std::span<const std::byte> bytes = file_.bytes();
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (bytes.size() < 12 || !text.starts_with(kMagic)) {
    fail(ErrorCode::kCorruptData, "{}: expected a numpy .npy file, found other bytes", path.string());
  }
  const auto byte_at = [&](std::size_t i) { return std::to_integer<std::size_t>(bytes[i]); };
  const std::size_t version = byte_at(6);
  std::size_t header_at = 10;
  std::size_t header_size = byte_at(8) | (byte_at(9) << 8);
  if (version >= 2) {
    header_at = 12;
    header_size |= (byte_at(10) << 16) | (byte_at(11) << 24);
  }
  if (version < 1 || version > 3 || header_size > bytes.size() - header_at) {
    fail(ErrorCode::kCorruptData, "{}: npy header: expected {} bytes, found {} in the file", path.string(), header_size,
         bytes.size());
  }
  const std::string_view header = text.substr(header_at, header_size);
  const auto descr = header_value(header, "'descr'");
  const auto order = header_value(header, "'fortran_order'");
  const auto shape = header_value(header, "'shape'");
  if (!descr || !order || !shape)
    fail(ErrorCode::kCorruptData, "{}: npy header: expected descr, fortran_order, shape", path.string());
  if (!order->starts_with("False"))
    fail(ErrorCode::kCorruptData, "{}: expected C order, found Fortran order", path.string());
  const TypeName* found = nullptr;
  for (const TypeName& entry : kTypes) {
    if (entry.name == *descr) found = &entry;
  }
  if (found == nullptr) {
    fail(ErrorCode::kCorruptData, "{}: expected dtype <f2, <f4, <f8, <i4 or <i8, found {}", path.string(),
         printable(*descr, 16));
  }
  type_ = found->type;
  shape_ = parse_shape(*shape, path);
  data_offset_ = header_at + header_size;
  const std::size_t available = (bytes.size() - data_offset_) / found->bytes;
  std::size_t count = 1;
  for (const std::size_t extent : shape_) {
    if (extent != 0 && count > std::numeric_limits<std::size_t>::max() / extent) {
      fail(ErrorCode::kCorruptData, "{}: the shape overflows", path.string());
    }
    count *= extent;
  }
  if (count != available || (bytes.size() - data_offset_) % found->bytes != 0) {
    fail(ErrorCode::kCorruptData, "{}: expected {} elements of {}, found {} bytes of data", path.string(), count,
         *descr, bytes.size() - data_offset_);
  }
}

std::size_t NpyFile::element_count() const noexcept {
  std::size_t count = 1;
  for (const std::size_t extent : shape_) count *= extent;
  return count;
}

std::span<const std::byte> NpyFile::bytes() const noexcept { return file_.bytes().subspan(data_offset_); }

std::vector<float> NpyFile::to_float() const {
  const std::span<const std::byte> data = bytes();
  std::vector<float> values(element_count());
  for (std::size_t i = 0; i < values.size(); ++i) {
    switch (type_) {
      case NpyType::kFloat16:
        values[i] = float_from_half(load_element<std::uint16_t>(data, i));
        break;
      case NpyType::kFloat32:
        values[i] = load_element<float>(data, i);
        break;
      case NpyType::kFloat64:
        values[i] = static_cast<float>(load_element<double>(data, i));
        break;
      case NpyType::kInt32:
        values[i] = static_cast<float>(load_element<std::int32_t>(data, i));
        break;
      case NpyType::kInt64:
        values[i] = static_cast<float>(load_element<std::int64_t>(data, i));
        break;
    }
  }
  return values;
}

std::vector<std::int64_t> NpyFile::to_int64() const {
  if (type_ != NpyType::kInt32 && type_ != NpyType::kInt64) {
    fail(ErrorCode::kCorruptData, "{}: expected integers, found {}", path_.string(), type_name(type_).name);
  }
  const std::span<const std::byte> data = bytes();
  std::vector<std::int64_t> values(element_count());
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = type_ == NpyType::kInt32 ? load_element<std::int32_t>(data, i) : load_element<std::int64_t>(data, i);
  }
  return values;
}

std::string npy_header(NpyType type, std::span<const std::size_t> shape) {
  std::string extents;
  for (const std::size_t extent : shape) extents += fmt::format("{}, ", extent);
  if (shape.size() > 1) extents.resize(extents.size() - 2);
  if (shape.size() == 1) extents.resize(extents.size() - 1);
  std::string dictionary =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", type_name(type).name, extents);
  constexpr std::size_t kPrefix = 10;
  constexpr std::size_t kAlignment =
      128;  // one width for every array size, so that a header can be overwritten in place
  const std::size_t total = (kPrefix + dictionary.size() + 1 + kAlignment - 1) / kAlignment * kAlignment;
  dictionary.append(total - kPrefix - dictionary.size() - 1, ' ');
  dictionary += '\n';
  std::string header(kMagic);
  header += '\x01';
  header += '\x00';
  header += static_cast<char>(dictionary.size() & 0xff);
  header += static_cast<char>(dictionary.size() >> 8);
  return header + dictionary;
}

void write_npy(const std::filesystem::path& path, std::span<const float> values, std::span<const std::size_t> shape) {
  write_array(path, NpyType::kFloat32, std::as_bytes(values), shape);
}

void write_npy_half(const std::filesystem::path& path, std::span<const std::uint16_t> values,
                    std::span<const std::size_t> shape) {
  write_array(path, NpyType::kFloat16, std::as_bytes(values), shape);
}

}  // namespace imagerank
