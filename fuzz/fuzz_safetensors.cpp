// safetensors files: any bytes either give tensors that lie inside the file, or are a data error.
#include "core/safetensors.h"
#include "fuzz_support.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace imagerank;
  const fuzz::MemoryFile file(data, size);
  try {
    const SafetensorsFile tensors(file.path());
    for (const auto& [name, tensor] : tensors.tensors()) {
      fuzz::require(tensors.find(name) == &tensor);
      fuzz::require(tensor.bytes.size() <= size);
      fuzz::require(tensor.bytes.size() == tensor.element_count() * element_size(tensor.type));
      if (is_floating(tensor.type)) fuzz::require(tensor.to_float().size() == tensor.element_count());
    }
  } catch (const Error& error) {
    fuzz::require_data_error(error);
  }
  return 0;
}
