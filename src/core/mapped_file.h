#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

namespace imagerank {

/// A read-only memory map of a whole file. Movable; the span lives as long as the object.
class MappedFile {
 public:
  MappedFile() = default;
  /// @throws Error kNotFound, kIo.
  explicit MappedFile(const std::filesystem::path& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return {data_, size_}; }

 private:
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

/// Gives back the memory of the whole pages in a part of a MappedFile: it counts as the process's own while it is read.
/// Reading it again reads the file again.
void forget_pages(std::span<const std::byte> part) noexcept;

}  // namespace imagerank
