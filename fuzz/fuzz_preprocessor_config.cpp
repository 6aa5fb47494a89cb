// preprocessor_config.json: any text either gives usable sizes or is a data error.
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "fuzz_support.h"
#include "images/preprocess.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace imagerank;
  const fuzz::MemoryFile file(data, size);
  static const std::filesystem::path kFolder = [] {
    std::string name = (std::filesystem::temp_directory_path() / "imagerank_fuzz_XXXXXX").string();
    fuzz::require(::mkdtemp(name.data()) != nullptr);
    std::atexit([] { std::filesystem::remove_all(kFolder); });
    return std::filesystem::path(name);
  }();
  std::filesystem::remove(kFolder / "preprocessor_config.json");
  std::filesystem::create_symlink(file.path(), kFolder / "preprocessor_config.json");
  try {
    const images::PreprocessOptions options = images::load_preprocess_options(kFolder);
    fuzz::require(options.crop_size >= 1 && options.crop_size <= 4096);
    fuzz::require(options.resize_shortest_edge >= 1 && options.resize_shortest_edge <= 4096);
    for (std::size_t c = 0; c < 3; ++c)
      fuzz::require(std::isfinite(options.mean[c]) && std::isfinite(options.std[c]) && options.std[c] > 0.0F);
  } catch (const Error& error) {
    fuzz::require_data_error(error);
  }
  return 0;
}
