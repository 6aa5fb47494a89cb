#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "blip/checkpoint.h"
#include "kernels/attention.h"
#include "kernels/buffer.h"
#include "kernels/kernels.h"
#include "kernels/product.h"

namespace imagerank::blip {

/// A linear layer on the kernels.
struct CrossLinear {
  kernels::PackedMatrix weight;
  std::vector<float> bias;  ///< [columns]
};

/// BLIP's text side on the CPU: a post-norm transformer whose tokens see each other and, in each layer, the image's
/// states. float32. A text's numbers do not depend on the other texts of a pass. Shared by threads, each with its own
/// buffers.
class CrossLayers {
 public:
  /// @param threads  that read and pack layers, at most.
  CrossLayers(const Checkpoint& checkpoint, const kernels::Kernels& kernels, std::size_t threads);

  /// Of one thread's passes.
  struct Buffers {
    explicit Buffers(const CrossConfig& config);
    kernels::ProductRows states;                    ///< [vision tokens, vision width], what the image is
    std::vector<kernels::ProductRows> keys_values;  ///< of each layer [vision tokens, 2 * width], made of the states
    kernels::FloatRows hidden;                      ///< [kRows, width]
    kernels::ProductRows input;                     ///< [kRows, width], as the next product reads it
    kernels::ProductRows queries;                   ///< [kRows, 3 * width]: query, key, value
    kernels::ProductRows context;                   ///< [kRows, width]
    kernels::ProductRows mlp;                       ///< [kRows, mlp_width]
    kernels::HeadAttention attention;
  };
  /// Tokens of a pass.
  static constexpr std::size_t kRows = 280;
  /// Tokens of a text, at most.
  static constexpr std::size_t kMostTokens = 35;

  /// What each layer sees of an image, from buffers.states: once for all its texts.
  void see_image(Buffers& buffers) const;
  /// @param texts  each 1 to kMostTokens valid ids; kRows in all, at most. @return each one's first state, [width], in
  /// rows of buffers.hidden: text t's is firsts[t].
  std::vector<std::size_t> run(Buffers& buffers, std::span<const std::span<const std::int64_t>> texts) const;

  /// Why sizes cannot run here; "" if they can.
  [[nodiscard]] static std::string obstacle(const CrossConfig& config);

 private:
  struct Norm {
    std::vector<float> weight, bias;  ///< [width]
  };
  struct Layer {
    CrossLinear self_in;  ///< [3 * width, width]: query, key, value; the scores' scale is in the query
    CrossLinear self_out;
    Norm self_norm;
    CrossLinear cross_query;        ///< the same
    CrossLinear cross_keys_values;  ///< [2 * width, vision width]
    CrossLinear cross_out;
    Norm cross_norm;
    CrossLinear fc1, fc2;
    Norm norm;
  };
  struct Text {
    std::size_t first = 0, length = 0;
  };
  void embed(Buffers& buffers, std::span<const std::span<const std::int64_t>> texts) const;
  void see_texts(Buffers& buffers, const Layer& layer, std::span<const Text> texts) const;
  void look_at_image(Buffers& buffers, std::size_t index, std::span<const Text> texts) const;
  void add_mlp(Buffers& buffers, const Layer& layer, std::size_t rows) const;
  /// hidden = norm(hidden + rows * layer), and the next product's input.
  void add_and_norm(Buffers& buffers, const kernels::ProductRows& rows, std::size_t count, const CrossLinear& layer,
                    const Norm& norm) const;
  void norm_rows(Buffers& buffers, std::size_t count, const Norm& norm) const;

  CrossConfig config_;
  kernels::Kernels kernels_;
  std::vector<Layer> layers_;
  std::vector<float> tokens_, positions_;  ///< [vocabulary, width], [positions, width]
  Norm embedding_norm_;
};

}  // namespace imagerank::blip
