#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "clip/model_config.h"
#include "clip/parameter_reader.h"
#include "kernels/attention.h"
#include "kernels/buffer.h"
#include "kernels/kernels.h"
#include "kernels/product.h"

namespace imagerank::clip {

/// Rows of one image or text in a pass: [first, first + length).
struct RowRange {
  std::size_t first = 0;
  std::size_t length = 0;
};

/// The buffers of one thread's pass through a transformer, planned once.
struct TransformerBuffers {
  /// @param rows  of a pass, at most. @param longest  rows of one sequence, at most.
  TransformerBuffers(const TowerConfig& config, std::size_t rows, std::size_t longest, kernels::Format format);

  kernels::FloatRows hidden;         ///< [rows, width], the residual stream
  kernels::ProductRows normed;       ///< [rows, width]
  kernels::ProductRows pooled;       ///< [rows, width], normed rows of the pooled tokens
  kernels::ProductRows head;         ///< [rows, 3 * padded depth]: query, key, value of one head
  kernels::ProductRows query;        ///< [rows, padded depth], of the pooled tokens
  kernels::ProductRows context;      ///< [rows, width], attention's result
  kernels::ProductRows mlp;          ///< [rows, part of mlp_width]
  kernels::HeadAttention attention;  ///< of one head and sequence
  std::vector<float> row;            ///< [width], one normed row
};

/// A pre-norm transformer on the CPU, without libtorch: products in `format`, all else in float32. A row's numbers do
/// not depend on the other sequences of a pass, nor on its place in it. Shared by threads, each with its own buffers.
class CpuTransformer {
 public:
  /// @param read  called by several threads. @param tower  "vision" or "text", the prefix of its parameters.
  /// @param threads  that read and pack layers, at most.
  CpuTransformer(const TowerConfig& config, const ParameterReader& read, const std::string& tower,
                 kernels::Format format, const kernels::Kernels& kernels, std::size_t threads);

  /// The residual stream after the last layer, of one row of each sequence: rows [0, sequences.size()) of
  /// buffers.hidden. Only those rows go on after the last attention.
  /// @param sequences  of buffers.hidden, in order, without gaps. @param pooled  row in each sequence; none: every row
  /// goes on, and stays where it is.
  void run(TransformerBuffers& buffers, std::span<const RowRange> sequences, std::span<const std::size_t> pooled,
           bool causal) const;

  [[nodiscard]] const TowerConfig& config() const noexcept { return config_; }
  [[nodiscard]] kernels::Format format() const noexcept { return format_; }
  /// Why a tower cannot run here; "" if it can.
  [[nodiscard]] static std::string obstacle(const TowerConfig& config);

 private:
  struct Layer {
    std::vector<float> norm1_weight, norm1_bias, norm2_weight, norm2_bias;  ///< [width]
    kernels::PackedMatrix qkv;  ///< a head after the other, each its query, key and value, padded to whole panels
    kernels::PackedMatrix out, fc1, fc2;
    std::vector<float> qkv_bias, out_bias, fc1_bias, fc2_bias;
  };

  Layer read_layer(const ParameterReader& parameters, const std::string& prefix) const;
  void norm(TransformerBuffers& buffers, std::size_t count, const std::vector<float>& weight,
            const std::vector<float>& bias) const;
  void attention(TransformerBuffers& buffers, const Layer& layer, std::span<const RowRange> sequences,
                 bool causal) const;
  void pooled_attention(TransformerBuffers& buffers, const Layer& layer, std::span<const RowRange> sequences,
                        std::span<const std::size_t> pooled, bool causal) const;
  void add_attention(TransformerBuffers& buffers, const Layer& layer, std::size_t count) const;
  void add_mlp(TransformerBuffers& buffers, const Layer& layer, std::size_t count) const;

  TowerConfig config_;
  kernels::Format format_;
  kernels::Kernels kernels_;
  std::vector<Layer> layers_;
};

}  // namespace imagerank::clip
