#include "fuzz_image.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace imagerank;
  fuzz::check_image(std::as_bytes(std::span(data, size)), images::ImageFormat::kWebp);
  return 0;
}
