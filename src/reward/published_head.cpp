#include "reward/published_head.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <string_view>
#include <utility>

#include "core/fail.h"
#include "core/linear_layers.h"
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
  LinearFunction folded = fold_linear_layers(file.tensors(), prefixes, path);
  return {std::move(folded.weight), folded.bias};
}

}  // namespace imagerank::reward
