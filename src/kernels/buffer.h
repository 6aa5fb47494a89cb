#pragma once

#include <cstddef>
#include <span>
#include <utility>

namespace imagerank::kernels {

/// Zeroed memory in pages of its own, huge ones where the system gives them: weights and activations are read in
/// strides that would miss the small pages' translations.
class Buffer {
 public:
  Buffer() = default;
  /// @throws std::bad_alloc.
  explicit Buffer(std::size_t bytes);
  Buffer(Buffer&& other) noexcept : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~Buffer();

  [[nodiscard]] std::byte* data() const noexcept { return data_; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

 private:
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

/// [rows, columns] of float32, and spare rows. Behind each row a panel's columns are free, so that whole tiles may be
/// stored to columns that end inside one.
class FloatRows {
 public:
  FloatRows() = default;
  FloatRows(std::size_t rows, std::size_t columns);
  [[nodiscard]] float* row(std::size_t index) const noexcept { return data_ + index * stride_; }
  [[nodiscard]] std::size_t stride() const noexcept { return stride_; }

 private:
  Buffer buffer_;
  float* data_ = nullptr;
  std::size_t stride_ = 0;
};

}  // namespace imagerank::kernels
