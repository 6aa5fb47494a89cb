#include "kernels/buffer.h"

#include <sys/mman.h>

#include <cstdint>
#include <new>

#include "kernels/format.h"

namespace imagerank::kernels {

Buffer::Buffer(std::size_t bytes) {
  if (bytes == 0) return;
  constexpr std::size_t kPage = 4096, kHugePage = std::size_t{1} << 21;
  const bool huge = bytes >= kHugePage;
  const std::size_t whole = round_up(bytes, kPage), spare = huge ? kHugePage : 0;
  void* memory = mmap(nullptr, whole + spare, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  data_ = static_cast<std::byte*>(memory);
  size_ = whole;
  if (!huge) return;
  // Huge pages start at their multiples: what is before the first and behind the end goes back.
  const auto start = reinterpret_cast<std::uintptr_t>(memory);
  const std::size_t before = round_up(start, kHugePage) - start;
  if (before > 0) munmap(data_, before);
  data_ += before;
  if (before < spare) munmap(data_ + whole, spare - before);
  madvise(data_, whole, MADV_HUGEPAGE);  // a wish: small pages do as well
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
