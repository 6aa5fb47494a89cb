// PyTorch checkpoints: any bytes either give tensors that lie inside the file, or are a data error.
#include "core/torch_archive.h"
#include "fuzz_support.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace imagerank;
  const fuzz::MemoryFile file(data, size);
  try {
    const TorchArchive archive(file.path());
    for (const auto& [name, tensor] : archive.tensors()) {
      std::size_t count = 1;
      for (const std::int64_t extent : tensor.shape) {
        fuzz::require(extent >= 0);
        count *= static_cast<std::size_t>(extent);  // wraps only beside an extent of 0
      }
      fuzz::require(tensor.bytes.size() <= size);
      fuzz::require(tensor.bytes.size() == count * element_size(tensor.type));
      if (is_floating(tensor.type)) fuzz::require(tensor.to_float().size() == tensor.element_count());
    }
  } catch (const Error& error) {
    fuzz::require_data_error(error);
  }
  return 0;
}
