#include "core/linear_layers.h"

#include <ranges>
#include <utility>

#include "core/fail.h"
#include "core/tensor_match.h"

namespace imagerank {
namespace {

std::vector<float> numbers(const std::map<std::string, TensorView>& tensors, const std::string& name,
                           const std::filesystem::path& place) {
  const TensorView& view = tensors.at(name);
  if (!is_floating(view.type)) {
    fail(ErrorCode::kCorruptData, "{}: tensor '{}': expected floating numbers, found integers", place.string(), name);
  }
  return finite_floats(view, name, place);
}

}  // namespace

LinearFunction fold_linear_layers(const std::map<std::string, TensorView>& tensors,
                                  const std::vector<std::string>& prefixes, const std::filesystem::path& place) {
  LinearFunction folded{{1.0}, 0.0};
  // From the last layer, which has one output, to the first: a row of weights meets each matrix.
  for (const std::string& prefix : std::views::reverse(prefixes)) {
    const std::string name = prefix + "weight";
    const std::vector<std::int64_t>& shape = tensors.at(name).shape;
    const std::vector<float> bias = numbers(tensors, prefix + "bias", place), matrix = numbers(tensors, name, place);
    const std::size_t rows = folded.weight.size();
    if (shape.size() != 2 || static_cast<std::size_t>(shape[0]) != rows || bias.size() != rows || shape[1] < 1) {
      fail(ErrorCode::kCorruptData, "{}: tensor '{}': expected [{}, inputs] and a bias of {}, found {} and {}",
           place.string(), name, rows, rows, shape_text(shape), bias.size());
    }
    const auto columns = static_cast<std::size_t>(shape[1]);
    std::vector<double> next(columns);
    for (std::size_t row = 0; row < rows; ++row) {
      folded.bias += folded.weight[row] * double{bias[row]};
      for (std::size_t column = 0; column < columns; ++column) {
        next[column] += folded.weight[row] * double{matrix[row * columns + column]};
      }
    }
    folded.weight = std::move(next);
  }
  return folded;
}

}  // namespace imagerank
