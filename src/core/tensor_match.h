#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/safetensors.h"

namespace imagerank {

/// Takes the tensors that a model is made of out of a file's, and tells all that is wrong at once.
class TensorMatcher {
 public:
  /// @param tensors  of a file, which outlives this. @param says  what the shapes expected follow from: "the config".
  TensorMatcher(std::map<std::string, const TensorView*> tensors, std::string says);

  [[nodiscard]] bool has(const std::string& name) const { return left_.contains(name); }
  /// The tensor, each once; nullptr if there is none. What is missing, of another shape or no floats is noted.
  const TensorView* take(const std::string& name, const std::vector<std::int64_t>& expected);
  /// @param all  whether a tensor that was not taken is wrong too. @throws Error kCorruptData naming every tensor that
  /// is wrong, with the shape expected.
  void check(const std::filesystem::path& place, bool all);

 private:
  std::map<std::string, const TensorView*> left_;
  std::string says_;
  std::vector<std::string> missing_, wrong_;
};

/// A tensor's numbers. @throws Error kCorruptData if one of them is not finite.
[[nodiscard]] std::vector<float> finite_floats(const TensorView& view, const std::string& name,
                                               const std::filesystem::path& place);
/// "[3, 4]".
[[nodiscard]] std::string shape_text(const std::vector<std::int64_t>& shape);

}  // namespace imagerank
