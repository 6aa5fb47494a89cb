#include <ATen/Parallel.h>
#include <dlfcn.h>

#include <algorithm>
#include <string>

#include "clip/models.h"

namespace imagerank::clip {

void set_tower_threads(int threads) {
  const int count = std::max(1, threads);
  at::set_num_threads(count);
  // OpenBLAS built with its own threads does not follow OpenMP's number.
  using SetThreads = void (*)(int);
  if (void* symbol = dlsym(RTLD_DEFAULT, "openblas_set_num_threads"); symbol != nullptr) {
    reinterpret_cast<SetThreads>(symbol)(count);
  }
}

int tower_threads() { return at::get_num_threads(); }

std::optional<std::string> slow_blas_warning(const std::filesystem::path& library) {
  std::error_code error;
  const std::filesystem::path resolved = std::filesystem::weakly_canonical(library, error);
  const std::string path = error ? library.string() : resolved.string();
  for (const char* fast : {"openblas", "mkl", "blis", "atlas", "aocl"}) {
    if (path.find(fast) != std::string::npos) return std::nullopt;
  }
  if (!std::filesystem::path(path).filename().string().starts_with("libblas.so")) return std::nullopt;
  return "libtorch runs on the reference BLAS (" + path +
         "), some forty times slower than OpenBLAS: apt-get install libopenblas0-pthread";
}

std::optional<std::string> slow_blas_warning() {
  void* const symbol = dlsym(RTLD_DEFAULT, "sgemm_");
  Dl_info info{};
  if (symbol == nullptr || dladdr(symbol, &info) == 0 || info.dli_fname == nullptr) return std::nullopt;
  return slow_blas_warning(std::filesystem::path(info.dli_fname));
}

}  // namespace imagerank::clip
