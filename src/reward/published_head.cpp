#include "reward/published_head.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <string_view>

#include "core/fail.h"
#include "core/tensor_file.h"

namespace imagerank::reward {
namespace {

/// The linear layers of LAION's second predictor; between them stand dropouts, which do nothing at inference. With
/// activations between them the numbers are others.
constexpr auto kLayers = std::to_array<std::string_view>({"layers.0", "layers.2", "layers.4", "layers.6", "layers.7"});

std::vector<std::string> layer_prefixes(const TensorFile& file, const std::filesystem::path& path) {
  const auto& tensors = file.tensors();
  const auto holds = [&](const std::string& prefix) {
    return tensors.contains(prefix + "weight") && tensors.contains(prefix + "bias");
  };
  if (tensors.size() == 2 && holds("")) return {""};
  std::vector<std::string> prefixes;
  for (const std::string_view layer : kLayers) prefixes.push_back(fmt::format("{}.", layer));
  if (tensors.size() == 2 * prefixes.size() && std::ranges::all_of(prefixes, holds)) return prefixes;
  std::vector<std::string_view> names;
  for (const auto& [name, view] : tensors) {
    if (names.size() < 12) names.push_back(name);
  }
  fail(ErrorCode::kCorruptData,
       "{}: expected a linear head (weight and bias, or those of layers.0, .2, .4, .6 and .7), found {} tensors: {}{}",
       path.string(), tensors.size(), fmt::join(names, ", "), names.size() < tensors.size() ? ", ..." : "");
}

std::vector<double> numbers(const TensorFile& file, const std::string& name, const std::filesystem::path& path) {
  const TensorView& view = file.tensors().at(name);
  if (!is_floating(view.type)) {
    fail(ErrorCode::kCorruptData, "{}: tensor '{}': expected floating numbers, found integers", path.string(), name);
  }
  const std::vector<float> values = view.to_float();
  if (!std::ranges::all_of(values, [](float value) { return std::isfinite(value); })) {
    fail(ErrorCode::kCorruptData, "{}: tensor '{}': expected finite numbers, found others", path.string(), name);
  }
  return {values.begin(), values.end()};
}

}  // namespace

double PublishedHead::score(std::span<const float> image) const noexcept {
  double product = 0.0, square = 0.0;
  for (std::size_t i = 0; i < weight.size(); ++i) {
    const double value = image[i];
    product += weight[i] * value;
    square += value * value;
  }
  return product / std::sqrt(square) + bias;
}

PublishedHead load_published_head(const std::filesystem::path& path) {
  const TensorFile file(path);
  const std::vector<std::string> prefixes = layer_prefixes(file, path);
  PublishedHead head{{1.0}, 0.0};
  // From the last layer, which has one output, to the first: a row of weights meets each matrix.
  for (auto prefix = prefixes.rbegin(); prefix != prefixes.rend(); ++prefix) {
    const std::string name = *prefix + "weight";
    const std::vector<std::int64_t>& shape = file.tensors().at(name).shape;
    const std::vector<double> bias = numbers(file, *prefix + "bias", path), matrix = numbers(file, name, path);
    const std::size_t rows = head.weight.size();
    if (shape.size() != 2 || static_cast<std::size_t>(shape[0]) != rows || bias.size() != rows || shape[1] < 1) {
      fail(ErrorCode::kCorruptData, "{}: tensor '{}': expected [{}, inputs] and a bias of {}, found [{}] and {}",
           path.string(), name, rows, rows, fmt::join(shape, ", "), bias.size());
    }
    const auto columns = static_cast<std::size_t>(shape[1]);
    std::vector<double> folded(columns);
    for (std::size_t row = 0; row < rows; ++row) {
      head.bias += head.weight[row] * bias[row];
      for (std::size_t column = 0; column < columns; ++column) {
        folded[column] += head.weight[row] * matrix[row * columns + column];
      }
    }
    head.weight = std::move(folded);
  }
  return head;
}

}  // namespace imagerank::reward
