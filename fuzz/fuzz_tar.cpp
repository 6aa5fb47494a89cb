// Tar archives: any bytes give members that lie within them, in order, and end or are a data error.
#include "core/tar.h"
#include "fuzz_support.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace imagerank;
  TarReader reader(std::as_bytes(std::span(data, size)), "input.tar");
  std::uint64_t end = 0;
  try {
    while (const auto member = reader.next()) {
      fuzz::require(member->offset >= end + 512);
      fuzz::require(member->offset <= size && member->size <= size - member->offset);
      end = member->offset + member->size;
    }
  } catch (const Error& error) {
    fuzz::require_data_error(error);
  }
  return 0;
}
