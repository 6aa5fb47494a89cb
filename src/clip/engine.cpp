#include "clip/engine.h"

#include <algorithm>
#include <mutex>
#include <vector>

#include "clip/cpu_towers.h"
#include "clip/models.h"
#include "clip/towers.h"
#include "clip/weights.h"
#include "core/fail.h"
#include "kernels/kernels.h"

namespace imagerank::clip {
namespace {

kernels::Format format_of(Precision precision) {
  switch (precision) {
    case Precision::kBf16:
      return kernels::Format::kBf16;
    case Precision::kInt8:
      return kernels::Format::kInt8;
    default:
      return kernels::Format::kFp32;
  }
}

/// Why the native engine cannot run; "" if it can.
std::string native_obstacle(const ModelConfig& config, Device device) {
  if (device != Device::kCpu) return "device cuda";
  if (!kernels::best_level()) return "this CPU has no AVX2";
  return CpuTowers::obstacle(config);
}

/// Where native_obstacle finds none.
kernels::Kernels native_kernels() { return kernels::find_kernels().value(); }

std::string describe_native(Precision precision) {
  std::string description = fmt::format("native, {}", native_kernels().tile(format_of(precision)).name);
  const std::string& obstacle = kernels::amx_obstacle();
  if (precision != Precision::kFp32 && !obstacle.empty()) description += fmt::format(" (not AMX: {})", obstacle);
  return description;
}

class NativeEngine : public TowerEngine {
 public:
  NativeEngine(const WeightReader& weights, const EncoderOptions& options)
      : towers_(weights, format_of(options.precision), native_kernels(), options.need,
                static_cast<std::size_t>(tower_threads())),
        description_(describe_native(options.precision)) {}

  [[nodiscard]] std::size_t image_group() const noexcept override { return towers_.image_group(); }
  [[nodiscard]] std::size_t text_group() const noexcept override { return CpuTowers::text_group(); }
  [[nodiscard]] bool one_thread_a_call() const noexcept override { return true; }
  [[nodiscard]] const std::string& description() const noexcept override { return description_; }
  void embed_images(std::span<const float> pixels, std::span<float> vectors) const override {
    towers_.embed_images(pixels, vectors);
  }
  void embed_texts(std::span<const std::span<const std::int64_t>> texts,
                   std::span<float* const> vectors) const override {
    towers_.embed_texts(texts, vectors);
  }

 private:
  CpuTowers towers_;
  std::string description_;
};

torch::Device find_device(Device device) {
  require_device(device);
  return device == Device::kCuda ? torch::kCUDA : torch::kCPU;
}

class TorchEngine : public TowerEngine {
 public:
  TorchEngine(const WeightReader& weights, const EncoderOptions& options, std::string description)
      : model_(weights.config()), device_(find_device(options.device)), description_(std::move(description)) {
    load_weights(model_, weights);
    model_->eval();
    if (options.precision == Precision::kBf16) model_->use_bfloat16();
    model_->to(device_);
  }

  [[nodiscard]] std::size_t image_group() const noexcept override { return device_.is_cuda() ? 64 : 32; }
  [[nodiscard]] std::size_t text_group() const noexcept override { return 4096; }
  [[nodiscard]] bool one_thread_a_call() const noexcept override { return false; }
  [[nodiscard]] const std::string& description() const noexcept override { return description_; }

  void embed_images(std::span<const float> pixels, std::span<float> vectors) const override {
    const c10::InferenceMode inference;
    const std::int64_t size = model_->config().image_size;
    const std::int64_t count = static_cast<std::int64_t>(pixels.size()) / (3 * size * size);
    const torch::Tensor input = staged(torch::from_blob(const_cast<float*>(pixels.data()), {count, 3, size, size}));
    const std::scoped_lock lock(mutex_);
    VisionTower tower = model_->vision;  // modules' calls are not const
    const torch::Tensor output = tower->forward(input.to(device_, /*non_blocking=*/true)).to(torch::kCPU).contiguous();
    std::copy_n(output.data_ptr<float>(), vectors.size(), vectors.data());
  }

  /// Texts of like length share a pass, padded to its longest; the causal mask keeps the padding out of the result.
  void embed_texts(std::span<const std::span<const std::int64_t>> texts,
                   std::span<float* const> vectors) const override {
    const std::scoped_lock lock(mutex_);
    const c10::InferenceMode inference;
    for (std::size_t begin = 0; begin < texts.size();) {
      const std::size_t first = texts[begin].size();
      std::size_t end = begin + 1, longest = first;
      while (end < texts.size() && texts[end].size() * 8 >= first * 7 && texts[end].size() * 7 <= first * 8) {
        longest = std::max(longest, texts[end++].size());
      }
      embed_padded(texts.subspan(begin, end - begin), longest, vectors.data() + begin);
      begin = end;
    }
  }

 private:
  /// In memory that a device reads by itself, copied there by the calling thread while another's batch is in the tower.
  [[nodiscard]] torch::Tensor staged(const torch::Tensor& pixels) const {
    if (!device_.is_cuda()) return pixels;
    torch::Tensor pinned = torch::empty(pixels.sizes(), torch::TensorOptions(torch::kFloat32).pinned_memory(true));
    return pinned.copy_(pixels);
  }

  void embed_padded(std::span<const std::span<const std::int64_t>> texts, std::size_t longest,
                    float* const* vectors) const {
    const auto count = static_cast<std::int64_t>(texts.size());
    torch::Tensor tokens = torch::zeros({count, static_cast<std::int64_t>(longest)}, torch::kInt64);
    torch::Tensor rows = torch::empty({count}, torch::kInt64);
    for (std::size_t i = 0; i < texts.size(); ++i) {
      std::ranges::copy(texts[i], tokens.data_ptr<std::int64_t>() + i * longest);
      rows.data_ptr<std::int64_t>()[i] = static_cast<std::int64_t>(texts[i].size()) - 1;
    }
    TextTower tower = model_->text;
    const torch::Tensor output = tower->forward_at(tokens.to(device_), rows.to(device_)).to(torch::kCPU).contiguous();
    const auto dim = static_cast<std::size_t>(output.size(1));
    for (std::size_t i = 0; i < texts.size(); ++i) {
      std::copy_n(output.data_ptr<float>() + i * dim, dim, vectors[i]);
    }
  }

  ClipModel model_;
  torch::Device device_;
  std::string description_;
  mutable std::mutex mutex_;
};

struct Choice {
  Engine engine = Engine::kNative;
  std::string description;  ///< or why there is none
  bool available = true;
};

Choice choose(const ModelConfig& config, const EncoderOptions& options) {
  const std::string obstacle = native_obstacle(config, options.device);
  if (options.engine != Engine::kTorch && obstacle.empty()) {
    return {Engine::kNative, describe_native(options.precision), true};
  }
  const std::string reason = options.engine == Engine::kTorch ? "asked for" : obstacle;
  if (options.engine == Engine::kNative) return {Engine::kNative, "engine native: " + reason, false};
  if (options.precision == Precision::kInt8) {
    return {Engine::kTorch, "precision int8: libtorch's towers (" + reason + ") have fp32 and bf16", false};
  }
  return {Engine::kTorch, "libtorch (" + reason + ")", true};
}

}  // namespace

void require_device(Device device) {
  if (device == Device::kCuda && !torch::cuda::is_available()) {
    fail(ErrorCode::kUnavailable, "device cuda: expected a CUDA device and a libtorch built for it, found none");
  }
}

std::unique_ptr<TowerEngine> make_engine(const WeightReader& weights, const EncoderOptions& options) {
  Choice choice = choose(weights.config(), options);
  if (!choice.available) fail(ErrorCode::kUnavailable, "{}", choice.description);
  if (choice.engine == Engine::kNative) return std::make_unique<NativeEngine>(weights, options);
  return std::make_unique<TorchEngine>(weights, options, std::move(choice.description));
}

std::string describe_engine(const ModelConfig& config, const EncoderOptions& options) {
  return choose(config, options).description;
}

const char* precision_name(Precision precision) noexcept {
  switch (precision) {
    case Precision::kBf16:
      return "bf16";
    case Precision::kInt8:
      return "int8";
    default:
      return "fp32";
  }
}

}  // namespace imagerank::clip
