#include "reward/head_kinds.h"

#include <array>
#include <string>
#include <utility>

#include "core/fail.h"

namespace imagerank::reward {
namespace {

constexpr std::array kLossNames = {std::pair{Loss::kMse, std::string_view("mse")},
                                   std::pair{Loss::kCe, std::string_view("ce")},
                                   std::pair{Loss::kBce, std::string_view("bce")},
                                   std::pair{Loss::kBt, std::string_view("bt")},
                                   std::pair{Loss::kDavidson, std::string_view("davidson")},
                                   std::pair{Loss::kRaoKupper, std::string_view("rao-kupper")},
                                   std::pair{Loss::kPlackettLuce, std::string_view("plackett-luce")}};

constexpr std::array kAllLosses = {Loss::kMse,      Loss::kCe,        Loss::kBce,         Loss::kBt,
                                   Loss::kDavidson, Loss::kRaoKupper, Loss::kPlackettLuce};
// One utility for image and prompt together: no logit a class.
constexpr std::array kUtilityLosses = {Loss::kBt,           Loss::kDavidson, Loss::kRaoKupper,
                                       Loss::kPlackettLuce, Loss::kMse,      Loss::kBce};

// Rates, decay and dropout are what validation preferred on a simulated world of 3,000 rankings, split by prompt.
constexpr std::array kHeads = {
    HeadKind{"mlp", "linear to 512, ReLU, linear, over [image | text]", kAllLosses, InputScaling::kStandardise, 1e-3,
             0.3, 0.0},
    HeadKind{"cnn", "two 3x3 convolutions over [image | text] as a plane of 32 rows", kAllLosses,
             InputScaling::kStandardise, 1e-3, 0.1, 0.0},
    HeadKind{"lstm", "100 hidden units over two time steps: image vector, text vector", kAllLosses,
             InputScaling::kStandardise, 3e-4, 0.1, 0.0},
    HeadKind{"deep", "three hidden layers with dropout over [image | text]", kAllLosses, InputScaling::kStandardise,
             3e-4, 0.3, 0.2},
    HeadKind{"attention", "cross-attention between the two vectors, cut into tokens", kAllLosses,
             InputScaling::kStandardise, 3e-4, 0.1, 0.1},
    HeadKind{"linear", "one linear layer over [image | text]", kAllLosses, InputScaling::kStandardise, 1e-3, 0.01, 0.0},
    HeadKind{"interaction", "linear to 512, ReLU, linear, over [image | text | image * text]", kAllLosses,
             InputScaling::kStandardise, 3e-4, 1.0, 0.5},
    HeadKind{"clip", "scaled cosine of the two vectors after low-rank residual adapters", kUtilityLosses,
             InputScaling::kUnitLength, 3e-4, 0.01, 0.5},
};

std::string names_of(std::span<const Loss> losses) {
  std::string names;
  for (const Loss loss : losses) {
    if (!names.empty()) names += ", ";
    names += loss_name(loss);
  }
  return names;
}

}  // namespace

std::span<const HeadKind> head_kinds() { return kHeads; }

const HeadKind& head_kind(std::string_view name) {
  std::string names;
  for (const HeadKind& kind : kHeads) {
    if (kind.name == name) return kind;
    if (!names.empty()) names += ", ";
    names += kind.name;
  }
  fail(ErrorCode::kInvalidArgument, "--head: expected one of {}, found '{}'", names, name);
}

std::string_view loss_name(Loss loss) {
  for (const auto& [value, name] : kLossNames) {
    if (value == loss) return name;
  }
  return "";
}

Loss parse_loss(std::string_view name) {
  for (const auto& [value, known] : kLossNames) {
    if (known == name) return value;
  }
  fail(ErrorCode::kInvalidArgument, "--loss: expected one of {}, found '{}'", names_of(kAllLosses), name);
}

void check_loss(const HeadKind& kind, Loss loss, std::int32_t class_count) {
  bool fits = false;
  for (const Loss allowed : kind.losses) fits = fits || allowed == loss;
  if (!fits) {
    fail(ErrorCode::kInvalidArgument, "--loss: head {} takes {}, found '{}'", kind.name, names_of(kind.losses),
         loss_name(loss));
  }
  if (loss == Loss::kBce && class_count != 2) {
    fail(ErrorCode::kInvalidArgument,
         "--loss: bce needs labels of two classes (label --labels drop-ties or merge-ties), found {} classes",
         class_count);
  }
}

}  // namespace imagerank::reward
