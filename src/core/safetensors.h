#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/mapped_file.h"

namespace imagerank {

enum class TensorType { kF64, kF32, kF16, kBF16, kI64, kI32, kI16, kI8, kU8, kBool };
[[nodiscard]] std::size_t element_size(TensorType type) noexcept;
[[nodiscard]] std::string_view type_name(TensorType type) noexcept;  ///< "F32", as safetensors writes it
[[nodiscard]] bool is_floating(TensorType type) noexcept;

/// One tensor of a file: a view that lives as long as the object that read the file. Row-major.
struct TensorView {
  TensorType type = TensorType::kF32;
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;  ///< may be unaligned
  bool is_copy = false;              ///< in memory of its own rather than in the mapped file

  [[nodiscard]] std::size_t element_count() const noexcept;
  /// Floating types as float32. @throws Error kCorruptData for integer types.
  [[nodiscard]] std::vector<float> to_float() const;
};

/// A memory-mapped safetensors file. Every offset and size in the header is checked against the file's size before use.
class SafetensorsFile {
 public:
  /// @throws Error kNotFound, kCorruptData (naming the file, the tensor, what was expected and what was found).
  explicit SafetensorsFile(const std::filesystem::path& path);

  [[nodiscard]] const std::map<std::string, TensorView>& tensors() const noexcept { return tensors_; }
  [[nodiscard]] const std::map<std::string, std::string>& metadata() const noexcept { return metadata_; }
  /// nullptr if the file has no such tensor.
  [[nodiscard]] const TensorView* find(const std::string& name) const noexcept;

 private:
  MappedFile file_;
  std::map<std::string, TensorView> tensors_;
  std::map<std::string, std::string> metadata_;
};

/// A tensor to write; `bytes` must hold element_count * element_size(type).
struct TensorToWrite {
  TensorType type = TensorType::kF32;
  std::vector<std::int64_t> shape;
  std::vector<std::byte> bytes;
};
[[nodiscard]] TensorToWrite float_tensor(std::span<const float> values, std::vector<std::int64_t> shape);
[[nodiscard]] TensorToWrite half_tensor(std::span<const float> values, std::vector<std::int64_t> shape);

/// Written atomically, tensors in name order: same content, same bytes. @throws Error kIo, kResourceLimit.
void write_safetensors(const std::filesystem::path& path, const std::map<std::string, TensorToWrite>& tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace imagerank
