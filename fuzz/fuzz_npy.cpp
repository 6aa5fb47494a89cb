// .npy files: any bytes either give as many elements as they hold, or are a data error.
#include "core/npy.h"
#include "fuzz_support.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace imagerank;
  const fuzz::MemoryFile file(data, size);
  try {
    const NpyFile array(file.path());
    fuzz::require(array.bytes().size() <= size);
    fuzz::require(array.to_float().size() == array.element_count());
    if (array.type() == NpyType::kInt32 || array.type() == NpyType::kInt64)
      fuzz::require(array.to_int64().size() == array.element_count());
  } catch (const Error& error) {
    fuzz::require_data_error(error);
  }
  return 0;
}
