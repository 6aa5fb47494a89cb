#include "reward/lstm.h"

#include <torch/csrc/autograd/custom_function.h>

#include "reward/wide_linear.h"

namespace imagerank::reward {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// One hidden-sized piece of rows of gates: 0 i, 1 f, 2 g, 3 o.
at::Tensor gate(const at::Tensor& gates, std::int64_t which) {
  const std::int64_t hidden = gates.size(1) / 4;
  return gates.narrow(1, which * hidden, hidden);
}

at::Tensor one_minus_square(const at::Tensor& values) { return 1.0 - values * values; }
at::Tensor sigmoid_slope(const at::Tensor& values) { return values * (1.0 - values); }

class TwoStepLstm : public torch::autograd::Function<TwoStepLstm> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input, const at::Tensor& input_weight,
                            const at::Tensor& state_weight, const at::Tensor& input_bias,
                            const at::Tensor& state_bias) {
    const std::int64_t rows = input.size(0);
    const std::int64_t dim = input.size(1) / 2;
    const at::Tensor gates = wide_product(input.reshape({2 * rows, dim}), input_weight, input_bias + state_bias)
                                 .view({rows, 2, input_weight.size(0)});
    const at::Tensor gates1 = gates.select(1, 0);
    const at::Tensor i1 = at::sigmoid(gate(gates1, 0));
    const at::Tensor g1 = at::tanh(gate(gates1, 2));
    const at::Tensor o1 = at::sigmoid(gate(gates1, 3));
    const at::Tensor c1 = i1 * g1;
    const at::Tensor t1 = at::tanh(c1);
    const at::Tensor h1 = o1 * t1;
    const at::Tensor gates2 = at::addmm(gates.select(1, 1), h1, state_weight.t());
    const at::Tensor i2 = at::sigmoid(gate(gates2, 0));
    const at::Tensor f2 = at::sigmoid(gate(gates2, 1));
    const at::Tensor g2 = at::tanh(gate(gates2, 2));
    const at::Tensor o2 = at::sigmoid(gate(gates2, 3));
    const at::Tensor t2 = at::tanh(f2 * c1 + i2 * g2);
    context->save_for_backward({input, input_weight, state_weight, i1, g1, o1, c1, t1, h1, i2, f2, g2, o2, t2});
    return o2 * t2;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &input = saved[0], &input_weight = saved[1], &state_weight = saved[2];
    const at::Tensor &i1 = saved[3], &g1 = saved[4], &o1 = saved[5], &c1 = saved[6], &t1 = saved[7], &h1 = saved[8];
    const at::Tensor &i2 = saved[9], &f2 = saved[10], &g2 = saved[11], &o2 = saved[12], &t2 = saved[13];
    const std::int64_t rows = input.size(0);
    const at::Tensor& by_h2 = gradients[0];
    // By each step's gates before their sigmoid or tanh, laid out as the product's rows were.
    const at::Tensor by_gates = at::zeros({rows, 2, input_weight.size(0)}, input.options());
    const at::Tensor by_gates1 = by_gates.select(1, 0);
    const at::Tensor by_gates2 = by_gates.select(1, 1);
    const at::Tensor by_c2 = by_h2 * o2 * one_minus_square(t2);
    gate(by_gates2, 0).copy_(by_c2 * g2 * sigmoid_slope(i2));
    gate(by_gates2, 1).copy_(by_c2 * c1 * sigmoid_slope(f2));
    gate(by_gates2, 2).copy_(by_c2 * i2 * one_minus_square(g2));
    gate(by_gates2, 3).copy_(by_h2 * t2 * sigmoid_slope(o2));
    const at::Tensor by_h1 = at::mm(by_gates2, state_weight);
    const at::Tensor by_c1 = by_c2 * f2 + by_h1 * o1 * one_minus_square(t1);
    gate(by_gates1, 0).copy_(by_c1 * g1 * sigmoid_slope(i1));
    gate(by_gates1, 2).copy_(by_c1 * i1 * one_minus_square(g1));
    gate(by_gates1, 3).copy_(by_h1 * t1 * sigmoid_slope(o1));
    const at::Tensor both = by_gates.view({2 * rows, input_weight.size(0)});
    const at::Tensor by_bias = both.sum(0);
    return {at::Tensor(), wide_weight_gradient(both, input.reshape({2 * rows, input.size(1) / 2})),
            at::mm(by_gates2.t(), h1), by_bias, by_bias.clone()};
  }
};

}  // namespace

at::Tensor two_step_lstm(const at::Tensor& input, const LstmWeights& weights) {
  return TwoStepLstm::apply(input, weights.input_weight, weights.state_weight, weights.input_bias, weights.state_bias);
}

}  // namespace imagerank::reward
