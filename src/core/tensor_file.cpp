#include "core/tensor_file.h"

#include <algorithm>
#include <string_view>

#include "core/fail.h"

namespace imagerank {
namespace {

constexpr std::string_view kLfsPointer = "version https://git-lfs.github.com/spec/";

std::variant<SafetensorsFile, TorchArchive> open(const std::filesystem::path& path) {
  {
    const MappedFile file(path);
    const auto start = file.bytes().first(std::min<std::size_t>(file.bytes().size(), 512));
    const std::string_view text(reinterpret_cast<const char*>(start.data()), start.size());
    if (text.starts_with(kLfsPointer)) {
      fail(ErrorCode::kCorruptData,
           "{}: expected weights, found git-LFS's pointer file in their place; `git lfs pull` gets the file itself",
           path.string());
    }
    if (TorchArchive::looks_like(start)) return TorchArchive(path);
  }
  return SafetensorsFile(path);
}

}  // namespace

TensorFile::TensorFile(const std::filesystem::path& path) : file_(open(path)) {}

const std::map<std::string, TensorView>& TensorFile::tensors() const noexcept {
  if (const auto* const safetensors = std::get_if<SafetensorsFile>(&file_)) return safetensors->tensors();
  return std::get_if<TorchArchive>(&file_)->tensors();
}

bool TensorFile::is_script() const noexcept {
  const auto* const archive = std::get_if<TorchArchive>(&file_);
  return archive != nullptr && archive->is_script();
}

}  // namespace imagerank
