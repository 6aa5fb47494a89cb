#include "reward/conv_plane.h"

#include <torch/csrc/autograd/custom_function.h>

#include "reward/conv_plane_kernels.h"

namespace imagerank::reward {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

std::int64_t as_extent(std::size_t size) { return static_cast<std::int64_t>(size); }

PlaneShape shape_of(const at::Tensor& input) {
  return PlaneShape(static_cast<std::size_t>(input.size(1)) / kPlaneRows);
}

class ConvPlane : public torch::autograd::Function<ConvPlane> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input, const at::Tensor& weight1,
                            const at::Tensor& bias1, const at::Tensor& weight2, const at::Tensor& bias2) {
    const PlaneShape shape = shape_of(input);
    const std::int64_t rows = input.size(0);
    const at::Tensor taps = taps_last(weight2);
    const PlaneWeights weights{weight1.data_ptr<float>(), bias1.data_ptr<float>(), taps.data_ptr<float>(),
                               bias2.data_ptr<float>()};
    const at::Tensor halves = at::empty({as_extent(shape.halves_size())}, at::kFloat);
    const at::Tensor pooled = at::empty({rows, as_extent(shape.pooled_size())}, at::kFloat);
    const at::Tensor places = at::empty({rows, as_extent(shape.places_size())}, at::kByte);
    const at::Tensor output = at::empty({rows, as_extent(shape.output_size())}, at::kFloat);
    for (std::int64_t row = 0; row < rows; ++row) {
      plane_forward(shape, weights, input.data_ptr<float>() + row * input.size(1), halves.data_ptr<float>(),
                    pooled.data_ptr<float>() + row * pooled.size(1),
                    places.data_ptr<std::uint8_t>() + row * places.size(1),
                    output.data_ptr<float>() + row * output.size(1));
    }
    context->save_for_backward({input, weight1, bias1, weight2, bias2, pooled, places, output});
    return output;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &input = saved[0], &weight1 = saved[1], &bias1 = saved[2], &weight2 = saved[3], &bias2 = saved[4];
    const at::Tensor &pooled = saved[5], &places = saved[6], &output = saved[7];
    const at::Tensor by_output = gradients[0].contiguous();
    const PlaneShape shape = shape_of(input);
    const at::Tensor taps = taps_last(weight2);
    const PlaneWeights weights{weight1.data_ptr<float>(), bias1.data_ptr<float>(), taps.data_ptr<float>(),
                               bias2.data_ptr<float>()};
    const auto lanes = as_extent(kLanes);
    const at::Tensor by_weight1 = at::zeros({32, 9, lanes}, at::kFloat);
    const at::Tensor by_bias1 = at::zeros({32, lanes}, at::kFloat);
    const at::Tensor by_weight2 = at::zeros({32, 9, 5, lanes}, at::kFloat);
    const at::Tensor by_bias2 = at::zeros({5, lanes}, at::kFloat);
    const PlaneGradients sums{by_weight1.data_ptr<float>(), by_bias1.data_ptr<float>(), by_weight2.data_ptr<float>(),
                              by_bias2.data_ptr<float>()};
    const at::Tensor halves = at::empty({as_extent(shape.halves_size())}, at::kFloat);
    const at::Tensor slopes = at::empty({as_extent(shape.slopes_size())}, at::kFloat);
    const at::Tensor by_pooled = at::empty({as_extent(shape.places_size())}, at::kFloat);
    for (std::int64_t row = 0; row < input.size(0); ++row) {
      plane_backward(
          shape, weights, input.data_ptr<float>() + row * input.size(1),
          pooled.data_ptr<float>() + row * pooled.size(1), places.data_ptr<std::uint8_t>() + row * places.size(1),
          output.data_ptr<float>() + row * output.size(1), by_output.data_ptr<float>() + row * by_output.size(1),
          halves.data_ptr<float>(), slopes.data_ptr<float>(), by_pooled.data_ptr<float>(), sums);
    }
    return {at::Tensor(), by_weight1.sum(2).view({32, 1, 3, 3}), by_bias1.sum(1),
            by_weight2.sum(3).permute({2, 0, 1}).reshape({5, 32, 3, 3}), by_bias2.sum(1)};
  }

 private:
  /// [5, 32, 3, 3] -> [32, 9, 5].
  static at::Tensor taps_last(const at::Tensor& weight2) {
    return weight2.detach().view({5, 32, 9}).permute({1, 2, 0}).contiguous();
  }
};

}  // namespace

at::Tensor conv_plane(const at::Tensor& input, const ConvPlaneWeights& weights) {
  const bool fits = input.scalar_type() == at::kFloat && input.is_contiguous() && has_plane_kernels();
  if (!fits) return conv_plane_reference(input, weights);
  return ConvPlane::apply(input, weights.weight1, weights.bias1, weights.weight2, weights.bias2);
}

at::Tensor conv_plane_reference(const at::Tensor& input, const ConvPlaneWeights& weights) {
  at::Tensor plane = input.reshape({-1, 1, as_extent(kPlaneRows), input.size(1) / as_extent(kPlaneRows)});
  plane = at::conv2d(plane, weights.weight1, weights.bias1, 1, 1);
  // ReLU and maximum commute, and behind the pool ReLU has a quarter of the work.
  plane = at::relu(at::max_pool2d(plane, 2));
  return at::relu(at::conv2d(plane, weights.weight2, weights.bias2, 1, 1)).flatten(1);
}

}  // namespace imagerank::reward
