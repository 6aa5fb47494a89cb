#include "reward/conv_plane.h"

#include <torch/csrc/autograd/custom_function.h>

#include "kernels/kernels.h"
#include "reward/conv_plane_kernels.h"
#include "reward/work_crew.h"

namespace imagerank::reward {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

std::int64_t as_extent(std::size_t size) { return static_cast<std::int64_t>(size); }

std::size_t columns_of(const at::Tensor& input) { return static_cast<std::size_t>(input.size(1)) / kPlaneRows; }

/// The widest vectors that a pooled row of W / 2 numbers fills; none below AVX2.
PlaneKernels kernels_for(std::size_t columns) {
#if defined(__x86_64__)
  static const std::optional<kernels::Level> kLevel = kernels::find_level();
  if (!kLevel) return {};
  const PlaneKernels wide = *kLevel >= kernels::Level::kAvx512 ? avx512_plane_kernels() : avx2_plane_kernels();
  return columns / 2 < wide.lanes ? avx2_plane_kernels() : wide;
#else
  return {};
#endif
}

class ConvPlane : public torch::autograd::Function<ConvPlane> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input, const at::Tensor& weight1,
                            const at::Tensor& bias1, const at::Tensor& weight2, const at::Tensor& bias2) {
    const PlaneKernels kernels = kernels_for(columns_of(input));
    const PlaneShape shape(columns_of(input), kernels.lanes);
    const std::int64_t rows = input.size(0);
    const at::Tensor taps = taps_last(weight2);
    const PlaneWeights weights{weight1.data_ptr<float>(), bias1.data_ptr<float>(), taps.data_ptr<float>(),
                               bias2.data_ptr<float>()};
    const at::Tensor halves = at::empty({kPieces, as_extent(shape.halves_size())}, at::kFloat);
    const at::Tensor pooled = at::empty({rows, as_extent(shape.pooled_size())}, at::kFloat);
    const at::Tensor places = at::empty({rows, as_extent(shape.places_size())}, at::kByte);
    const at::Tensor output = at::empty({rows, as_extent(shape.output_size())}, at::kFloat);
    share_rows(rows, [&](std::int64_t piece, std::int64_t row) {
      kernels.forward(shape, weights, row_of<float>(input, row), row_of<float>(halves, piece),
                      row_of<float>(pooled, row), row_of<std::uint8_t>(places, row), row_of<float>(output, row));
    });
    context->save_for_backward({input, weight1, bias1, weight2, bias2, pooled, places, output});
    return output;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &input = saved[0], &weight1 = saved[1], &bias1 = saved[2], &weight2 = saved[3], &bias2 = saved[4];
    const at::Tensor &pooled = saved[5], &places = saved[6], &output = saved[7];
    const at::Tensor by_output = gradients[0].contiguous();
    const PlaneKernels kernels = kernels_for(columns_of(input));
    const PlaneShape shape(columns_of(input), kernels.lanes);
    const at::Tensor taps = taps_last(weight2);
    const PlaneWeights weights{weight1.data_ptr<float>(), bias1.data_ptr<float>(), taps.data_ptr<float>(),
                               bias2.data_ptr<float>()};
    const auto lanes = as_extent(shape.lanes);
    // Each piece of the rows has sums of its own.
    const at::Tensor by_weight1 = at::zeros({kPieces, 32, 9, lanes}, at::kFloat);
    const at::Tensor by_bias1 = at::zeros({kPieces, 32, lanes}, at::kFloat);
    const at::Tensor by_weight2 = at::zeros({kPieces, 32, 9, 5, lanes}, at::kFloat);
    const at::Tensor by_bias2 = at::zeros({kPieces, 5, lanes}, at::kFloat);
    const at::Tensor halves = at::empty({kPieces, as_extent(shape.halves_size())}, at::kFloat);
    const at::Tensor slopes = at::empty({kPieces, as_extent(shape.slopes_size())}, at::kFloat);
    const at::Tensor by_pooled = at::empty({kPieces, as_extent(shape.places_size())}, at::kFloat);
    share_rows(input.size(0), [&](std::int64_t piece, std::int64_t row) {
      kernels.backward(shape, weights, row_of<float>(input, row), row_of<float>(pooled, row),
                       row_of<std::uint8_t>(places, row), row_of<float>(output, row), row_of<float>(by_output, row),
                       row_of<float>(halves, piece), row_of<float>(slopes, piece), row_of<float>(by_pooled, piece),
                       {row_of<float>(by_weight1, piece), row_of<float>(by_bias1, piece),
                        row_of<float>(by_weight2, piece), row_of<float>(by_bias2, piece)});
    });
    return {at::Tensor(), by_weight1.sum(at::IntArrayRef({0, 3})).view({32, 1, 3, 3}),
            by_bias1.sum(at::IntArrayRef({0, 2})),
            by_weight2.sum(at::IntArrayRef({0, 4})).permute({2, 0, 1}).reshape({5, 32, 3, 3}),
            by_bias2.sum(at::IntArrayRef({0, 2}))};
  }

 private:
  static constexpr auto kPieces = static_cast<std::int64_t>(WorkCrew::kPieces);
  /// Calls `work` with each row and the piece that it is in; pieces may run at once.
  template <typename Work>
  static void share_rows(std::int64_t rows, const Work& work) {
    constexpr double kOfARow = 30.0;
    share(kOfARow * static_cast<double>(rows), [&](std::size_t piece) {
      const auto own = static_cast<std::int64_t>(piece);
      for (std::int64_t row = rows * own / kPieces; row < rows * (own + 1) / kPieces; ++row) work(own, row);
    });
  }
  /// Where a row (of the first dimension) of a contiguous tensor begins.
  template <typename Number>
  static Number* row_of(const at::Tensor& tensor, std::int64_t row) {
    return tensor.data_ptr<Number>() + row * tensor.stride(0);
  }
  /// [5, 32, 3, 3] -> [32, 9, 5].
  static at::Tensor taps_last(const at::Tensor& weight2) {
    return weight2.detach().view({5, 32, 9}).permute({1, 2, 0}).contiguous();
  }
};

}  // namespace

at::Tensor conv_plane(const at::Tensor& input, const ConvPlaneWeights& weights) {
  const bool fits =
      input.scalar_type() == at::kFloat && input.is_contiguous() && kernels_for(columns_of(input)).lanes > 0;
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
