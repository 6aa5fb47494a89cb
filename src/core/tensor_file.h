#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <variant>

#include "core/safetensors.h"
#include "core/torch_archive.h"

namespace imagerank {

/// A memory-mapped file of named tensors: safetensors or a PyTorch checkpoint. Its content says which, not its name.
class TensorFile {
 public:
  /// @throws Error kNotFound, kIo, kCorruptData, kResourceLimit, as SafetensorsFile and TorchArchive do; kCorruptData
  /// if the file is git-LFS's pointer to one.
  explicit TensorFile(const std::filesystem::path& path);

  /// Views that live as long as this object.
  [[nodiscard]] const std::map<std::string, TensorView>& tensors() const noexcept;
  /// Whether it is a TorchScript archive.
  [[nodiscard]] bool is_script() const noexcept;

 private:
  std::variant<SafetensorsFile, TorchArchive> file_;
};

}  // namespace imagerank
