#include "core/tensor_match.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <span>
#include <utility>

#include "core/fail.h"
#include "core/shown.h"

namespace imagerank {
namespace {

/// All of them, within reason.
std::string listed(const std::vector<std::string>& items, const char* separator = ", ") {
  constexpr std::size_t kMost = 200;
  const std::span<const std::string> first = std::span(items).first(std::min(items.size(), kMost));
  const std::string text = fmt::format("{}", fmt::join(first, separator));
  return items.size() <= kMost ? text : fmt::format("{} and {} more", text, items.size() - kMost);
}

bool all_finite(std::span<const float> values) {
  constexpr std::uint32_t kExponent = 0x7f800000;
  bool special = false;
  for (const float value : values) special |= (std::bit_cast<std::uint32_t>(value) & kExponent) == kExponent;
  return !special;
}

}  // namespace

std::string shape_text(const std::vector<std::int64_t>& shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

TensorMatcher::TensorMatcher(std::map<std::string, const TensorView*> tensors, std::string says)
    : left_(std::move(tensors)), says_(std::move(says)) {}

const TensorView* TensorMatcher::take(const std::string& name, const std::vector<std::int64_t>& expected) {
  const auto at = left_.find(name);
  if (at == left_.end()) {
    missing_.push_back(fmt::format("'{}' {}", name, shape_text(expected)));
    return nullptr;
  }
  const TensorView& view = *at->second;
  const bool scalar = expected.empty() && view.element_count() == 1;  // some files write logit_scale as [1]
  if (view.shape != expected && !scalar) {
    wrong_.push_back(fmt::format("tensor '{}': expected {} as {} says, found {}", name, shape_text(expected), says_,
                                 shape_text(view.shape)));
  } else if (!is_floating(view.type)) {
    wrong_.push_back(fmt::format("tensor '{}': expected F16, BF16, F32 or F64, found integers", name));
  }
  left_.erase(at);
  return &view;
}

void TensorMatcher::check(const std::filesystem::path& place, bool all) {
  std::vector<std::string> parts = wrong_;
  if (!missing_.empty()) parts.push_back(fmt::format("expected {}, found no such tensor", listed(missing_)));
  if (all && !left_.empty()) {
    std::vector<std::string> over;
    for (const auto& [name, view] : left_) over.push_back(fmt::format("'{}' {}", shown(name), shape_text(view->shape)));
    parts.push_back(fmt::format("expected no tensor beside {}'s model, found {}", says_, listed(over)));
  }
  if (!parts.empty()) fail(ErrorCode::kCorruptData, "{}: {}", place.string(), listed(parts, "; "));
}

std::vector<float> finite_floats(const TensorView& view, const std::string& name, const std::filesystem::path& place) {
  std::vector<float> values = view.to_float();
  if (!all_finite(values)) {
    fail(ErrorCode::kCorruptData, "{}: tensor '{}': expected finite numbers, found NaN or infinity", place.string(),
         name);
  }
  return values;
}

}  // namespace imagerank
