#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace imagerank::reward {

/// What a head is fitted to. The first three read labelled points, the next three preference pairs, the last rankings.
/// For all but the first three the head gives a utility.
enum class Loss {
  kMse,           ///< squared error on the label; the head gives one number
  kCe,            ///< cross-entropy over the classes; the head gives one logit a class
  kBce,           ///< binary cross-entropy; the head gives one logit; two classes only
  kBt,            ///< Bradley-Terry: p(a over b) = sigmoid(u_a - u_b); a tie is half a win of each
  kDavidson,      ///< Bradley-Terry with a tie as an outcome, after Davidson; learns how likely ties are
  kRaoKupper,     ///< the same after Rao and Kupper: ties where utilities are closer than a threshold, learned too
  kPlackettLuce,  ///< whole rankings, or the best of several
};

/// How a vector is prepared before a head sees it.
enum class InputScaling {
  kStandardise,  ///< (x - mean) / standard deviation of each component over the training rows
  kUnitLength,   ///< image and text vector each divided by its length
};

/// The attention head's tokens a vector, numbers a token, and heads that share these numbers.
inline constexpr std::int64_t kAttentionTokens = 16, kAttentionWidth = 64, kAttentionHeads = 4;

/// A head that `train` offers, and its defaults.
struct HeadKind {
  std::string_view name;
  std::string_view summary;
  std::span<const Loss> losses;  ///< those that fit it
  InputScaling scaling = InputScaling::kStandardise;
  double learning_rate = 1e-3;
  double weight_decay = 0.01;
  double dropout = 0.0;
};

/// Every head, in the order that help shows them.
[[nodiscard]] std::span<const HeadKind> head_kinds();
/// @throws Error kInvalidArgument naming the heads there are.
[[nodiscard]] const HeadKind& head_kind(std::string_view name);

/// "mse", "ce", "bce", "bt", "davidson", "rao-kupper", "plackett-luce".
[[nodiscard]] std::string_view loss_name(Loss loss);
/// @throws Error kInvalidArgument naming the losses there are.
[[nodiscard]] Loss parse_loss(std::string_view name);
[[nodiscard]] constexpr bool uses_pairs(Loss loss) noexcept {
  return loss == Loss::kBt || loss == Loss::kDavidson || loss == Loss::kRaoKupper;
}
[[nodiscard]] constexpr bool uses_lists(Loss loss) noexcept { return loss == Loss::kPlackettLuce; }
/// A head's number is then a utility: differences mean something, its zero and labels do not.
[[nodiscard]] constexpr bool gives_utility(Loss loss) noexcept { return uses_pairs(loss) || uses_lists(loss); }
[[nodiscard]] constexpr bool learns_ties(Loss loss) noexcept {
  return loss == Loss::kDavidson || loss == Loss::kRaoKupper;
}
[[nodiscard]] constexpr bool is_classification(Loss loss) noexcept { return loss == Loss::kCe || loss == Loss::kBce; }
/// Numbers that a head gives for one row: class_count for kCe, else 1.
[[nodiscard]] constexpr std::int64_t output_count(Loss loss, std::int32_t class_count) noexcept {
  return loss == Loss::kCe ? class_count : 1;
}
/// @throws Error kInvalidArgument if the head does not fit the loss, naming those it fits, or the loss the classes.
void check_loss(const HeadKind& kind, Loss loss, std::int32_t class_count);

}  // namespace imagerank::reward
