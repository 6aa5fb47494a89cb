#pragma once

#include <deque>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "core/mapped_file.h"
#include "core/safetensors.h"

namespace imagerank {

/// The tensors of a PyTorch checkpoint (.pt, .pth, .bin), where they lie in the memory-mapped file.
///
/// Read are torch.save's zip archives (since 1.6) and its older files, and TorchScript archives. Nothing is imported or
/// called: the pickle is read as data (core/pickle.h), and only torch's own tensors, parameters and storages, ordered
/// dicts and TorchScript's modules have a meaning. Every offset, shape and stride is checked against its storage, and
/// every storage against the file, before memory is reserved.
///
/// Of a checkpoint that holds more (optimizer, epoch, arguments), the tensors are those of its "state_dict",
/// "model_state_dict", "model" or "module"; what else lies there is not looked at. Names of nested dicts and modules
/// are joined by dots. Numbers, texts and None are no tensors and are left out. Source of the format:
/// torch/serialization.py, torch/_utils.py, torch/csrc/jit/serialization/pickler.cpp.
class TorchArchive {
 public:
  /// @throws Error kNotFound, kIo, kCorruptData (naming the file, the tensor, what was expected and what was found;
  /// also if a tensor's place holds something that Python would import or call), kResourceLimit.
  explicit TorchArchive(const std::filesystem::path& path);

  [[nodiscard]] const std::map<std::string, TensorView>& tensors() const noexcept { return tensors_; }

  /// Whether it is TorchScript's: a module rather than a dict.
  [[nodiscard]] bool is_script() const noexcept { return is_script_; }

  /// Whether a file starts as one of these.
  [[nodiscard]] static bool looks_like(std::span<const std::byte> start) noexcept;

 private:
  MappedFile file_;
  std::deque<std::vector<std::byte>> copies_;  ///< of tensors that are not row-major in the file
  std::map<std::string, TensorView> tensors_;
  bool is_script_ = false;
};

}  // namespace imagerank
