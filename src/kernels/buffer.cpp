#include "kernels/buffer.h"

#include <sys/mman.h>

#include <new>

#include "kernels/format.h"

namespace imagerank::kernels {

Buffer::Buffer(std::size_t bytes) : size_(bytes) {
  if (bytes == 0) return;
  constexpr std::size_t kHugePage = std::size_t{1} << 21;
  const std::size_t whole = round_up(bytes, bytes >= kHugePage ? kHugePage : 4096);
  void* memory = mmap(nullptr, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  if (bytes >= kHugePage) madvise(memory, whole, MADV_HUGEPAGE);  // a wish: small pages do as well
  data_ = static_cast<std::byte*>(memory);
  size_ = whole;
}

Buffer::~Buffer() {
  if (data_ != nullptr) munmap(data_, size_);
}

FloatRows::FloatRows(std::size_t rows, std::size_t columns)
    : stride_(round_up(columns, kPanelColumns) + kPanelColumns) {
  buffer_ = Buffer((rows + kSpareRows) * stride_ * sizeof(float));
  data_ = reinterpret_cast<float*>(buffer_.data());
}

}  // namespace imagerank::kernels
