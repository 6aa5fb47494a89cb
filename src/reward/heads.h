#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/random.h"

namespace imagerank::reward {

/// What a head's parameters depend on.
struct HeadShape {
  std::string head;      ///< a HeadKind's name
  std::int64_t dim = 0;  ///< of one vector; a head's input row has 2 * dim numbers
  std::int64_t outputs = 1;
  std::int64_t hidden = 512;  ///< mlp, deep, attention, cnn, interaction
  std::int64_t rank = 64;     ///< clip's adapters
  std::int64_t layers = 3;    ///< deep's hidden ones
};

/// A trainable tensor: contiguous, a leaf of the graph; float32 in training, float64 in a loaded Reward.
struct Parameter {
  std::string name;
  at::Tensor value;
  bool decay = true;  ///< weight decay applies: matrices, not biases and scales
};

/// A head's forward pass in training draws its dropout from `random`; inference has neither.
struct Dropout {
  double rate = 0.0;
  Random* random = nullptr;
};

/// Where a new head's parameters come from: contiguous, of this shape, all of one type. @param bound  a random start is
/// uniform in +-bound, zero for 0.
using ParameterSource =
    std::function<at::Tensor(const std::string& name, const std::vector<std::int64_t>& shape, double bound)>;
/// Drawn from a seed: the same numbers on every machine.
[[nodiscard]] ParameterSource random_parameters(std::uint64_t seed);

/// Image and text vector of a row -> numbers. Rows never see each other.
class Head {
 public:
  virtual ~Head() = default;
  Head(const Head&) = delete;
  Head& operator=(const Head&) = delete;
  /// @param input  [N, 2 * dim], prepared by a Scaler, of the parameters' type. @return [N, outputs], differentiable.
  [[nodiscard]] virtual at::Tensor forward(const at::Tensor& input, const Dropout& dropout) const = 0;
  /// In a fixed order.
  [[nodiscard]] std::vector<Parameter>& parameters() noexcept { return parameters_; }
  [[nodiscard]] const std::vector<Parameter>& parameters() const noexcept { return parameters_; }

 protected:
  Head() = default;
  at::Tensor add(const std::string& name, const std::vector<std::int64_t>& shape, double bound,
                 const ParameterSource& source);

 private:
  std::vector<Parameter> parameters_;
};

/// @throws Error kInvalidArgument for a name or a size that makes no head; what `source` throws.
[[nodiscard]] std::unique_ptr<Head> make_head(const HeadShape& shape, const ParameterSource& source);

}  // namespace imagerank::reward
