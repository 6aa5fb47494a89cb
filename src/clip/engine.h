#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "clip/encoder.h"
#include "clip/weight_reader.h"

namespace imagerank::clip {

/// The towers behind an encoder: ours or libtorch's.
class TowerEngine {
 public:
  TowerEngine() = default;
  TowerEngine(const TowerEngine&) = delete;
  TowerEngine& operator=(const TowerEngine&) = delete;
  virtual ~TowerEngine() = default;

  /// Images, and tokens of texts, that one call does best.
  [[nodiscard]] virtual std::size_t image_group() const noexcept = 0;
  [[nodiscard]] virtual std::size_t text_group() const noexcept = 0;
  /// Whether a call runs on its calling thread alone. Otherwise the engine has threads of its own, and calls wait for
  /// each other.
  [[nodiscard]] virtual bool one_thread_a_call() const noexcept = 0;
  [[nodiscard]] virtual const std::string& description() const noexcept = 0;

  /// @param pixels  float32 [n, 3, S, S]. @param vectors  [n, dim], written. Thread-safe.
  virtual void embed_images(std::span<const float> pixels, std::span<float> vectors) const = 0;
  /// @param texts  valid ids, each up to its pooled token. @param vectors  where each one's [dim] goes. Thread-safe.
  virtual void embed_texts(std::span<const std::span<const std::int64_t>> texts,
                           std::span<float* const> vectors) const = 0;
};

/// Chooses by options.engine, device and precision. @throws Error kUnavailable, saying what stands in the way.
[[nodiscard]] std::unique_ptr<TowerEngine> make_engine(const WeightReader& weights, const EncoderOptions& options);
/// What make_engine would run, as TowerEngine::description says it; for a combination that is not there, why.
[[nodiscard]] std::string describe_engine(const ModelConfig& config, const EncoderOptions& options);

/// "fp32", "bf16", "int8".
[[nodiscard]] const char* precision_name(Precision precision) noexcept;

}  // namespace imagerank::clip
