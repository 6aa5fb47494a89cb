#include "clip/cpu_towers.h"

#include <algorithm>
#include <cstring>

#include "clip/spare_buffers.h"

namespace imagerank::clip {
namespace {

using kernels::Format;

std::size_t size(std::int64_t value) { return static_cast<std::size_t>(value); }

/// int8 is for the layers: 3 % of the work, and the first look at the pixels, stay finer.
Format patch_format(Format format) { return format == Format::kInt8 ? Format::kBf16 : format; }

}  // namespace

struct CpuTowers::Tower {
  Tower(const TowerConfig& config, const WeightReader& weights, const std::string& name, const std::string& norm,
        std::size_t dim, Format format, const kernels::Kernels& kernels, std::size_t threads)
      : layers(
            config, [&](const std::string& parameter) { return weights.read(parameter); }, name, format, kernels,
            threads),
        norm_weight(weights.read(name + norm + "_weight")),
        norm_bias(weights.read(name + norm + "_bias")),
        projection(kernels, weights.read(name + ".projection"), dim, size(config.width), Format::kFp32) {}

  CpuTransformer layers;
  std::vector<float> norm_weight, norm_bias;  ///< [width], before the projection
  kernels::PackedMatrix projection;           ///< [dim, width], float32
  mutable SpareBuffers<Buffers> spare;
};

/// Of one pass of a tower.
struct CpuTowers::Buffers {
  Buffers(const TowerConfig& config, std::size_t rows, std::size_t longest, std::size_t dim, Format format)
      : layers(config, rows, longest, format),
        projected(rows, dim),
        projection_in(rows, size(config.width), Format::kFp32),
        row(size(config.width)) {}

  TransformerBuffers layers;
  std::vector<RowRange> sequences;
  std::vector<std::size_t> pooled;
  CpuPatches::Buffers patches;         ///< vision only
  kernels::FloatRows projected;        ///< [rows, dim]
  kernels::ProductRows projection_in;  ///< [rows, width], float32
  std::vector<float> row;              ///< [width], one row that is converted
};

CpuTowers::CpuTowers(const WeightReader& weights, Format format, const kernels::Kernels& kernels, TowerNeed need,
                     std::size_t threads)
    : config_(weights.config()), kernels_(kernels) {
  const std::size_t dim = size(config_.projection_dim), width = size(config_.vision.width);
  image_group_ = std::max<std::size_t>(1, kRows / size(config_.vision_tokens()));
  if (need.images) {
    vision_ = std::make_unique<Tower>(config_.vision, weights, "vision", ".post_norm", dim, format, kernels_, threads);
    patches_ = CpuPatches(kernels_, weights.read("vision.patch_embedding"), width, size(config_.image_size),
                          size(config_.patch_size), patch_format(format));
    pre_norm_weight_ = weights.read("vision.pre_norm_weight");
    pre_norm_bias_ = weights.read("vision.pre_norm_bias");
    vision_positions_ = weights.read("vision.position_embedding");
    const std::vector<float> class_token = weights.read("vision.class_embedding");
    for (std::size_t i = 0; i < width; ++i) vision_positions_[i] += class_token[i];
  }
  if (need.texts) {
    text_ = std::make_unique<Tower>(config_.text, weights, "text", ".final_norm", dim, format, kernels_, threads);
    tokens_ = weights.read("text.token_embedding");
    text_positions_ = weights.read("text.position_embedding");
  }
}

CpuTowers::~CpuTowers() = default;

std::string CpuTowers::obstacle(const ModelConfig& config) {
  const std::string vision = CpuTransformer::obstacle(config.vision);
  return vision.empty() ? CpuTransformer::obstacle(config.text) : vision;
}

void CpuTowers::embed_images(std::span<const float> pixels, std::span<float> vectors) const {
  const std::size_t dim = size(config_.projection_dim);
  const std::size_t image = 3 * size(config_.image_size * config_.image_size);
  const std::size_t tokens = size(config_.vision_tokens());
  const auto lease = vision_->spare.take([&] {
    auto buffers =
        std::make_unique<Buffers>(config_.vision, image_group_ * tokens, tokens, dim, vision_->layers.format());
    buffers->patches = patches_.make_buffers(image_group_);
    return buffers;
  });
  const std::size_t count = vectors.size() / dim;
  for (std::size_t first = 0; first < count; first += image_group_) {
    embed_image_group(*lease, pixels.data() + first * image, std::min(image_group_, count - first),
                      vectors.data() + first * dim);
  }
}

void CpuTowers::embed_image_group(Buffers& buffers, const float* pixels, std::size_t count, float* vectors) const {
  const std::size_t tokens = size(config_.vision_tokens()), width = size(config_.vision.width);
  const kernels::FloatRows& hidden = buffers.layers.hidden;
  buffers.sequences.clear();
  for (std::size_t i = 0; i < count; ++i) {
    buffers.sequences.push_back({i * tokens, tokens});
    for (std::size_t t = 0; t < tokens; ++t) {
      std::memcpy(hidden.row(i * tokens + t), vision_positions_.data() + t * width, width * sizeof(float));
    }
  }
  patches_.add(kernels_, buffers.patches, pixels, count, hidden);
  for (std::size_t r = 0; r < count * tokens; ++r) {
    kernels_.rows.layer_norm(hidden.row(r), pre_norm_weight_.data(), pre_norm_bias_.data(), width,
                             static_cast<float>(config_.vision.layer_norm_eps), hidden.row(r));
  }
  buffers.pooled.assign(count, 0);
  vision_->layers.run(buffers.layers, buffers.sequences, buffers.pooled, false);
  std::vector<float*> targets(count);
  for (std::size_t i = 0; i < count; ++i) targets[i] = vectors + i * size(config_.projection_dim);
  project(buffers, *vision_, count, targets.data());
}

void CpuTowers::embed_texts(std::span<const std::span<const std::int64_t>> texts,
                            std::span<float* const> vectors) const {
  const std::size_t context = size(config_.context_length);
  const std::size_t rows = std::max(kRows, context);
  const auto lease = text_->spare.take([&] {
    return std::make_unique<Buffers>(config_.text, rows, context, size(config_.projection_dim), text_->layers.format());
  });
  for (std::size_t begin = 0; begin < texts.size();) {
    std::size_t end = begin, tokens = 0;
    while (end < texts.size() && tokens + texts[end].size() <= rows) tokens += texts[end++].size();
    embed_text_group(*lease, texts.subspan(begin, end - begin), vectors.data() + begin);
    begin = end;
  }
}

void CpuTowers::embed_text_group(Buffers& buffers, std::span<const std::span<const std::int64_t>> texts,
                                 float* const* vectors) const {
  const std::size_t width = size(config_.text.width);
  buffers.sequences.clear();
  buffers.pooled.clear();
  std::size_t row = 0;
  for (const std::span<const std::int64_t> text : texts) {
    buffers.sequences.push_back({row, text.size()});
    buffers.pooled.push_back(text.size() - 1);
    for (std::size_t t = 0; t < text.size(); ++t, ++row) {
      const float* token = tokens_.data() + size(text[t]) * width;
      const float* position = text_positions_.data() + t * width;
      float* hidden = buffers.layers.hidden.row(row);
      for (std::size_t i = 0; i < width; ++i) hidden[i] = token[i] + position[i];
    }
  }
  text_->layers.run(buffers.layers, buffers.sequences, buffers.pooled, true);
  project(buffers, *text_, texts.size(), vectors);
}

void CpuTowers::project(Buffers& buffers, const Tower& tower, std::size_t count, float* const* vectors) const {
  const std::size_t dim = size(config_.projection_dim);
  const kernels::FloatRows &hidden = buffers.layers.hidden, &projected = buffers.projected;
  for (std::size_t r = 0; r < count; ++r) {
    kernels_.rows.layer_norm(hidden.row(r), tower.norm_weight.data(), tower.norm_bias.data(), tower.norm_weight.size(),
                             static_cast<float>(tower.layers.config().layer_norm_eps), buffers.row.data());
    buffers.projection_in.set(kernels_, r, buffers.row.data());
  }
  kernels::multiply(kernels_, buffers.projection_in, count, tower.projection, 0, tower.projection.panels(), 0,
                    [&](std::size_t row, std::size_t height, std::size_t column, float* tile) {
                      kernels_.rows.store(tile, height, kernels::kNoBias.data(), projected.row(row) + column,
                                          projected.stride());
                    });
  for (std::size_t r = 0; r < count; ++r) std::memcpy(vectors[r], projected.row(r), dim * sizeof(float));
}

}  // namespace imagerank::clip
