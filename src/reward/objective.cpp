#include "reward/objective.h"

#include <algorithm>
#include <limits>

#include "reward/losses.h"

namespace imagerank::reward {
namespace {

at::Tensor tensor_of(const std::vector<float>& values, at::ScalarType type) {
  at::Tensor tensor = at::empty({static_cast<std::int64_t>(values.size())}, at::kFloat);
  std::ranges::copy(values, tensor.data_ptr<float>());
  return tensor.to(type);
}

at::Tensor indices_of(const std::vector<std::uint32_t>& rows) {
  at::Tensor tensor = at::empty({static_cast<std::int64_t>(rows.size())}, at::kLong);
  std::ranges::copy(rows, tensor.data_ptr<std::int64_t>());
  return tensor;
}

/// Lists one after another -> utilities and levels [lists, longest].
at::Tensor list_losses(const at::Tensor& outputs, const Batch& batch, double smoothing) {
  const std::size_t width = *std::ranges::max_element(batch.list_sizes);
  std::vector<std::uint32_t> rows(batch.list_sizes.size() * width, 0);
  std::vector<float> levels(rows.size(), static_cast<float>(kNoImage));
  std::uint32_t next = 0;
  for (std::size_t i = 0; i < batch.list_sizes.size(); ++i) {
    for (std::size_t k = 0; k < batch.list_sizes[i]; ++k, ++next) {
      rows[i * width + k] = next;
      levels[i * width + k] = batch.targets[next];
    }
  }
  const std::vector<std::int64_t> shape = {static_cast<std::int64_t>(batch.list_sizes.size()),
                                           static_cast<std::int64_t>(width)};
  return plackett_luce(outputs.squeeze(1).index_select(0, indices_of(rows)).view(shape),
                       tensor_of(levels, outputs.scalar_type()).view(shape), smoothing);
}

}  // namespace

Objective::Objective(const ObjectiveOptions& options, const ParameterSource& source) : options_(options) {
  static_assert(static_cast<double>(RankedImage::kUnordered) == kUnordered);
  if (!learns_ties(options.loss)) return;
  at::Tensor width = source("loss.tie_width", {1}, 0.0);
  width.requires_grad_(true);
  parameters_.push_back({"loss.tie_width", std::move(width), /*decay=*/false});
}

at::Tensor Objective::unit_losses(const at::Tensor& outputs, const Batch& batch) const {
  const auto own_rows = static_cast<std::int64_t>(batch.own_rows);
  const at::Tensor own = own_rows == outputs.size(0) ? outputs : outputs.narrow(0, 0, own_rows);
  const double smoothing = options_.label_smoothing;
  if (uses_lists(options_.loss)) return list_losses(own, batch, smoothing);
  const at::Tensor targets = tensor_of(batch.targets, outputs.scalar_type());
  if (options_.loss == Loss::kMse) return squared_error(own, targets);
  if (options_.loss == Loss::kCe) return cross_entropy(own, targets.to(at::kLong), smoothing);
  if (options_.loss == Loss::kBce) return binary_loss(own, targets, smoothing);
  const auto count = static_cast<std::int64_t>(batch.unit_count());
  const at::Tensor difference = (own.narrow(0, 0, count) - own.narrow(0, count, count)).squeeze(1);
  if (options_.loss == Loss::kBt) return bradley_terry(difference, targets, smoothing);
  const at::Tensor width = parameters_.front().value.to(outputs.scalar_type());
  return options_.loss == Loss::kDavidson ? davidson(difference, targets, width, smoothing)
                                          : rao_kupper(difference, targets, width, smoothing);
}

at::Tensor Objective::scores(const at::Tensor& outputs) const {
  if (options_.loss == Loss::kCe) {
    const at::Tensor log_probabilities = at::log_softmax(outputs, 1);
    const std::int64_t best = outputs.size(1) - 1;
    if (options_.prompts.logits) {
      return log_probabilities.select(1, best) - at::logsumexp(log_probabilities.narrow(1, 0, best), 1);
    }
    return at::mv(log_probabilities.exp(), at::arange(outputs.size(1), outputs.options()));
  }
  if (options_.loss == Loss::kBce && !options_.prompts.logits) return at::sigmoid(outputs.squeeze(1));
  return outputs.squeeze(1);
}

at::Tensor Objective::prompt_losses(const at::Tensor& outputs, const Batch& batch) const {
  const auto own = static_cast<std::int64_t>(batch.own_rows);
  const std::vector<std::int64_t> shape = {static_cast<std::int64_t>(batch.right_rows.size()),
                                           static_cast<std::int64_t>(batch.wrong_count)};
  const at::Tensor all = scores(outputs);
  // Wrong prompts lie one right row after another, so that row i of the view holds those of image i.
  return prompt_classification(
      all.index_select(0, indices_of(batch.right_rows)), all.narrow(0, own, shape[0] * shape[1]).view(shape),
      tensor_of(batch.wrong_known, outputs.scalar_type()).view(shape), options_.prompts.temperature);
}

at::Tensor Objective::total(const at::Tensor& outputs, const Batch& batch) const {
  const at::Tensor weights = tensor_of(batch.weights, outputs.scalar_type());
  const at::Tensor loss = weighted_mean(unit_losses(outputs, batch), weights);
  if (options_.prompts.weight <= 0.0 || batch.right_rows.empty()) return loss;
  const at::Tensor right_weights = weights.index_select(0, indices_of(batch.right_units));
  return loss + options_.prompts.weight * (right_weights * prompt_losses(outputs, batch)).sum() / weights.sum();
}

double Objective::score_range() const noexcept {
  const bool bounded = is_classification(options_.loss) && !options_.prompts.logits;
  return bounded ? options_.class_count - 1.0 : std::numeric_limits<double>::infinity();
}

}  // namespace imagerank::reward
