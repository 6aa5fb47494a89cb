#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "core/mapped_file.h"

namespace imagerank {

enum class NpyType { kFloat16, kFloat32, kFloat64, kInt32, kInt64 };

/// A numpy array file (format 1.0 to 3.0, little endian, C order), memory-mapped.
class NpyFile {
 public:
  /// Checks header, dtype and size against the file's. @throws Error kNotFound, kCorruptData.
  explicit NpyFile(const std::filesystem::path& path);

  [[nodiscard]] NpyType type() const noexcept { return type_; }
  [[nodiscard]] const std::vector<std::size_t>& shape() const noexcept { return shape_; }
  [[nodiscard]] std::size_t element_count() const noexcept;
  /// The raw elements, unaligned bytes.
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept;
  /// All elements as float32 (float64 and integers narrowed).
  [[nodiscard]] std::vector<float> to_float() const;
  /// All elements as int64. @throws Error kCorruptData if the file holds floats.
  [[nodiscard]] std::vector<std::int64_t> to_int64() const;

 private:
  MappedFile file_;
  std::filesystem::path path_;
  NpyType type_ = NpyType::kFloat32;
  std::vector<std::size_t> shape_;
  std::size_t data_offset_ = 0;
};

/// The 128-byte-aligned header of a C-order array of this type and shape (format 1.0).
[[nodiscard]] std::string npy_header(NpyType type, std::span<const std::size_t> shape);
/// Written atomically. @throws Error kInvalidArgument if the shape and the element count disagree; kIo, kResourceLimit.
void write_npy(const std::filesystem::path& path, std::span<const float> values, std::span<const std::size_t> shape);
void write_npy_half(const std::filesystem::path& path, std::span<const std::uint16_t> values,
                    std::span<const std::size_t> shape);

}  // namespace imagerank
