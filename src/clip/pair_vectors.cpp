#include "clip/pair_vectors.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <vector>

#include "core/fail.h"
#include "images/preprocess.h"

namespace imagerank::clip {
namespace {

using torch::Tensor;
constexpr std::int64_t kChunk = 64;

/// uint8 [B, S, S, 3] rows to float32 [B, 3, S, S] on the device, normalised as CLIP does.
Tensor load_pixels(const CaptionedImages& pairs, std::span<const std::uint32_t> rows, std::int64_t side,
                   torch::Device device) {
  const auto row_bytes = static_cast<std::size_t>(side * side * 3);
  Tensor bytes = torch::empty({static_cast<std::int64_t>(rows.size()), side, side, 3}, torch::kUInt8);
  auto* out = bytes.data_ptr<std::uint8_t>();
  for (const std::uint32_t row : rows) {
    const auto source = pairs.pixels.subspan(row * row_bytes, row_bytes);
    out = std::ranges::copy(source, out).out;
  }
  const images::PreprocessOptions preprocessing;
  const auto plane = [&](const std::array<float, 3>& values, double scale) {
    return torch::tensor({values[0] * scale, values[1] * scale, values[2] * scale}, torch::kFloat32)
        .to(device)
        .view({1, 3, 1, 1});
  };
  return (bytes.to(device).permute({0, 3, 1, 2}).to(torch::kFloat32) - plane(preprocessing.mean, 255.0)) /
         plane(preprocessing.std, 255.0);
}

/// Token rows cut to the context (end of text kept last), padded to the longest. @return tokens int64 [B, T].
Tensor load_tokens(const CaptionedImages& pairs, std::span<const std::uint32_t> rows, const ModelConfig& config,
                   Tensor& ends) {
  std::size_t longest = 0;
  const auto context = static_cast<std::size_t>(config.context_length);
  for (const std::uint32_t row : rows) longest = std::max(longest, std::min(pairs.tokens[row].size(), context));
  const auto count = static_cast<std::int64_t>(rows.size());
  Tensor tokens = torch::full({count, static_cast<std::int64_t>(longest)}, config.eos_token_id, torch::kInt64);
  ends = torch::empty({count}, torch::kInt64);
  auto* out = tokens.data_ptr<std::int64_t>();
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto& own = pairs.tokens[rows[i]];
    const std::size_t length = std::min(own.size(), longest);
    std::copy_n(own.begin(), length, out + i * longest);
    out[i * longest + length - 1] = config.eos_token_id;
    ends.data_ptr<std::int64_t>()[i] = static_cast<std::int64_t>(length) - 1;
  }
  return tokens;
}

}  // namespace

void check_pairs(const CaptionedImages& pairs, const ModelConfig& model) {
  const auto side = static_cast<std::size_t>(model.image_size);
  if (pairs.pixels.size() != pairs.size() * side * side * 3) {
    fail(ErrorCode::kInvalidArgument, "pairs: expected {} bytes of pixels for {} captions at {} px, found {}",
         pairs.size() * side * side * 3, pairs.size(), side, pairs.pixels.size());
  }
  for (const auto& row : pairs.tokens) {
    const bool valid = row.size() >= 2 &&
                       std::ranges::all_of(row, [&](std::int32_t id) { return id >= 0 && id < model.vocabulary_size; });
    if (!valid) {
      fail(ErrorCode::kInvalidArgument, "pairs: expected two or more token ids in 0..{}, found others",
           model.vocabulary_size - 1);
    }
  }
}

Tensor embed_images(ClipModel& model, const CaptionedImages& pairs, std::span<const std::uint32_t> rows) {
  const torch::Device device = model->logit_scale.device();
  std::vector<Tensor> parts;
  for (std::size_t i = 0; i < rows.size(); i += kChunk) {
    const auto chunk = rows.subspan(i, std::min<std::size_t>(kChunk, rows.size() - i));
    parts.push_back(model->vision->forward(load_pixels(pairs, chunk, model->config().image_size, device)));
  }
  return torch::cat(parts);
}

Tensor embed_captions(ClipModel& model, const CaptionedImages& pairs, std::span<const std::uint32_t> rows) {
  std::vector<std::int64_t> by_length(rows.size());
  std::iota(by_length.begin(), by_length.end(), std::int64_t{0});
  const auto row_of = [&](std::int64_t i) { return rows[static_cast<std::size_t>(i)]; };
  std::ranges::stable_sort(by_length, [&](std::int64_t a, std::int64_t b) {
    return pairs.tokens[row_of(a)].size() < pairs.tokens[row_of(b)].size();
  });
  const torch::Device device = model->logit_scale.device();
  std::vector<Tensor> parts;
  Tensor position = torch::empty({static_cast<std::int64_t>(rows.size())}, torch::kInt64);
  for (std::size_t i = 0; i < rows.size(); i += kChunk) {
    std::vector<std::uint32_t> chunk;
    for (std::size_t k = i; k < std::min(rows.size(), i + kChunk); ++k) {
      position.data_ptr<std::int64_t>()[by_length[k]] = static_cast<std::int64_t>(k);
      chunk.push_back(row_of(by_length[k]));
    }
    Tensor ends;
    const Tensor tokens = load_tokens(pairs, chunk, model->config(), ends);
    parts.push_back(model->text->forward_at(tokens.to(device), ends.to(device)));
  }
  return torch::cat(parts).index_select(0, position.to(device));
}

Tensor unit(const Tensor& x) { return x / x.norm(2, -1, true).clamp_min(1e-6); }

}  // namespace imagerank::clip
