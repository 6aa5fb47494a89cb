#include "reward/wide_linear.h"

#include <torch/csrc/autograd/custom_function.h>

#include "reward/work_crew.h"

namespace imagerank::reward {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// Part of a tensor's rows (dimension 0) or columns (1).
at::Tensor part(const at::Tensor& whole, std::int64_t dimension, const Piece& piece) {
  return whole.narrow(dimension, static_cast<std::int64_t>(piece.begin), static_cast<std::int64_t>(piece.count));
}

/// Calls `work` with each piece of `size` that is not empty.
template <typename Work>
void share_pieces(std::int64_t size, const Work& work) {
  share([&](std::size_t piece) {
    const Piece own = piece_of(static_cast<std::size_t>(size), piece);
    if (own.count > 0) work(own);
  });
}

class WideLinear : public torch::autograd::Function<WideLinear> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input, const at::Tensor& weight,
                            const at::Tensor& bias) {
    context->save_for_backward({input, weight});
    return wide_product(input, weight, bias);
  }
  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &input = saved[0], &weight = saved[1];
    const at::Tensor by_output = gradients[0].contiguous();
    at::Tensor by_input;
    if (context->needs_input_grad(0)) {
      by_input = at::empty(input.sizes(), input.options());
      share_pieces(input.size(1), [&](const Piece& piece) {
        at::Tensor own = part(by_input, 1, piece);
        at::mm_out(own, by_output, part(weight, 1, piece));
      });
    }
    return {by_input, wide_weight_gradient(by_output, input), by_output.sum(0)};
  }
};

}  // namespace

at::Tensor wide_linear(const at::Tensor& input, const at::Tensor& weight, const at::Tensor& bias) {
  return WideLinear::apply(input, weight, bias);
}

at::Tensor wide_product(const at::Tensor& input, const at::Tensor& weight, const at::Tensor& bias) {
  at::Tensor result = at::empty({input.size(0), weight.size(0)}, input.options());
  share_pieces(weight.size(0), [&](const Piece& piece) {
    at::Tensor own = part(result, 1, piece);
    at::addmm_out(own, part(bias, 0, piece), input, part(weight, 0, piece).t());
  });
  return result;
}

at::Tensor wide_weight_gradient(const at::Tensor& outputs, const at::Tensor& inputs) {
  at::Tensor result = at::empty({outputs.size(1), inputs.size(1)}, inputs.options());
  share_pieces(outputs.size(1), [&](const Piece& piece) {
    at::Tensor own = part(result, 0, piece);
    at::mm_out(own, part(outputs, 1, piece).t(), inputs);
  });
  return result;
}

}  // namespace imagerank::reward
