#include "blip/cross_encoder.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "blip/checkpoint.h"
#include "blip/cross_layers.h"
#include "blip/word_piece.h"
#include "clip/cpu_patches.h"
#include "clip/cpu_transformer.h"
#include "clip/models.h"
#include "clip/spare_buffers.h"
#include "clip/untrained.h"
#include "core/fail.h"
#include "core/hash.h"
#include "core/mapped_file.h"
#include "kernels/kernels.h"

namespace imagerank::blip {
namespace {

using kernels::Format;

/// What ImageReward's numbers are standardised by.
constexpr double kMean = 0.16717362830052426, kDeviation = 1.0333394966054072;

std::size_t size(std::int64_t value) { return static_cast<std::size_t>(value); }

std::string name_of(const Checkpoint& checkpoint, const CrossPlace& place) {
  Digest hash;
  hash.update(checkpoint.digest(size(clip::tower_threads())));
  hash.update(MappedFile(place.vocabulary).bytes());
  std::string slug;
  for (const char c : place.weights.stem().string()) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    slug += plain ? c : c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : '-';
  }
  return fmt::format("{}-fp32-{}", slug, hash.hex_digest().substr(0, 8));
}

void check_vocabulary(const WordPiece& words, const CrossConfig& config, const CrossPlace& place) {
  if (words.size() == config.vocabulary_size) return;
  fail(ErrorCode::kCorruptData,
       "{}: expected the {} tokens that {} has states for, [DEC] and [ENC] among them, found {}",
       place.vocabulary.string(), config.vocabulary_size, place.weights.string(), words.size());
}

const kernels::Kernels& checked_kernels(const Checkpoint& checkpoint, const CrossPlace& place,
                                        const std::optional<kernels::Kernels>& kernels) {
  if (!kernels) {
    fail(ErrorCode::kUnavailable, "{}: runs on AVX2 or better, which this CPU has not", place.weights.string());
  }
  const std::string vision = clip::CpuTransformer::obstacle(checkpoint.config().vision);
  const std::string obstacle = vision.empty() ? CrossLayers::obstacle(checkpoint.config()) : vision;
  if (!obstacle.empty()) fail(ErrorCode::kUnavailable, "{}: {}", place.weights.string(), obstacle);
  return *kernels;
}

}  // namespace

struct CrossEncoder::State {
  State(const Checkpoint& checkpoint, const CrossPlace& from, const kernels::Kernels& chosen)
      : place(from),
        config(checkpoint.config()),
        words(from.vocabulary),
        kernels(chosen),
        vision(
            config.vision, [&](const std::string& parameter) { return checkpoint.read(parameter); }, "vision",
            Format::kFp32, chosen, size(clip::tower_threads())),
        patches(chosen, checkpoint.read("vision.patch_weight"), size(config.vision.width), size(config.image_size),
                size(config.patch_size), Format::kFp32),
        starts(checkpoint.read("vision.position_embedding")),
        norm_weight(checkpoint.read("vision.post_norm_weight")),
        norm_bias(checkpoint.read("vision.post_norm_bias")),
        layers(checkpoint, chosen, size(clip::tower_threads())),
        head(checkpoint.head()) {
    const std::vector<float> first = checkpoint.read("vision.class_embedding");
    const std::vector<float> bias = checkpoint.read("vision.patch_bias");
    for (std::size_t i = 0; i < starts.size(); ++i) starts[i] += i < first.size() ? first[i] : bias[i % bias.size()];
    preprocessing.resize_shortest_edge = preprocessing.crop_size = static_cast<std::int32_t>(config.image_size);
  }

  /// Of one thread's calls.
  struct Buffers {
    Buffers(const CrossConfig& config, const clip::CpuPatches& first)
        : vision(config.vision, size(config.vision_tokens()), size(config.vision_tokens()), Format::kFp32),
          patches(first.make_buffers(1)),
          cross(config),
          row(size(config.vision.width)) {}
    clip::TransformerBuffers vision;
    clip::CpuPatches::Buffers patches;
    CrossLayers::Buffers cross;
    std::vector<float> row;  ///< [vision width], one state
  };

  void see_image(Buffers& buffers, std::span<const float> pixels) const;
  void score_group(Buffers& buffers, std::span<const CrossPrompt* const> prompts, float* scores) const;

  CrossPlace place;
  CrossConfig config;
  WordPiece words;
  kernels::Kernels kernels;
  clip::CpuTransformer vision;
  clip::CpuPatches patches;
  std::vector<float> starts;                  ///< [vision tokens, width]: position, and class token or bias
  std::vector<float> norm_weight, norm_bias;  ///< [vision width]
  CrossLayers layers;
  LinearFunction head;
  images::PreprocessOptions preprocessing;
  std::string name;
  bool untrained = false;
  mutable clip::SpareBuffers<Buffers> spare;
};

void CrossEncoder::State::see_image(Buffers& buffers, std::span<const float> pixels) const {
  const std::size_t width = size(config.vision.width), tokens = size(config.vision_tokens());
  const kernels::FloatRows& hidden = buffers.vision.hidden;
  for (std::size_t t = 0; t < tokens; ++t) {
    std::memcpy(hidden.row(t), starts.data() + t * width, width * sizeof(float));
  }
  patches.add(kernels, buffers.patches, pixels.data(), 1, hidden);
  const clip::RowRange whole{0, tokens};
  vision.run(buffers.vision, std::span(&whole, 1), {}, /*causal=*/false);
  for (std::size_t t = 0; t < tokens; ++t) {
    kernels.rows.layer_norm(hidden.row(t), norm_weight.data(), norm_bias.data(), width,
                            static_cast<float>(config.vision.layer_norm_eps), buffers.row.data());
    buffers.cross.states.set(kernels, t, buffers.row.data());
  }
  layers.see_image(buffers.cross);
}

void CrossEncoder::State::score_group(Buffers& buffers, std::span<const CrossPrompt* const> prompts,
                                      float* scores) const {
  std::vector<std::span<const std::int64_t>> texts;
  for (const CrossPrompt* const prompt : prompts) texts.emplace_back(prompt->tokens);
  const std::vector<std::size_t> firsts = layers.run(buffers.cross, texts);
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    const float* const state = buffers.cross.hidden.row(firsts[i]);
    double sum = head.bias;
    for (std::size_t k = 0; k < head.weight.size(); ++k) sum += head.weight[k] * double{state[k]};
    scores[i] = static_cast<float>((sum - kMean) / kDeviation);
  }
}

CrossEncoder::CrossEncoder(std::unique_ptr<State> state) : state_(std::move(state)) {}
CrossEncoder::CrossEncoder(CrossEncoder&&) noexcept = default;
CrossEncoder& CrossEncoder::operator=(CrossEncoder&&) noexcept = default;
CrossEncoder::~CrossEncoder() = default;

CrossEncoder CrossEncoder::load(const CrossPlace& place) {
  const Checkpoint checkpoint(place.weights);
  auto state = std::make_unique<State>(checkpoint, place, checked_kernels(checkpoint, place, kernels::find_kernels()));
  check_vocabulary(state->words, state->config, place);
  const CrossConfig& config = state->config;
  state->untrained = clip::weights_look_random([&](const std::string& parameter) { return checkpoint.read(parameter); },
                                               config.vision, config.text);
  state->name = name_of(checkpoint, place);
  return CrossEncoder(std::move(state));
}

std::string cross_encoder_name(const CrossPlace& place) { return name_of(Checkpoint(place.weights), place); }

CrossPrompt CrossEncoder::read_prompt(std::string_view prompt) const {
  CrossPrompt result{state_->words.tokenize(prompt), false};
  const std::size_t most = std::min(CrossLayers::kMostTokens, size(state_->config.positions));
  result.truncated = result.tokens.size() > most;
  if (result.truncated) {
    result.tokens.resize(most);
    result.tokens.back() = state_->words.end();
  }
  return result;
}

void CrossEncoder::score(std::span<const float> pixels, std::span<const CrossPrompt* const> prompts,
                         std::span<float> scores) const {
  const State& state = *state_;
  const std::size_t image = 3 * size(state.config.image_size * state.config.image_size);
  if (pixels.size() != image || scores.size() != prompts.size()) {
    fail(ErrorCode::kInvalidArgument,
         "cross-encoder: expected {} numbers of an image and a score a prompt, found {}, and {} for {}", image,
         pixels.size(), scores.size(), prompts.size());
  }
  if (prompts.empty()) return;
  const auto lease = state.spare.take([&] { return std::make_unique<State::Buffers>(state.config, state.patches); });
  state.see_image(*lease, pixels);
  for (std::size_t begin = 0; begin < prompts.size();) {
    std::size_t end = begin, tokens = 0;
    while (end < prompts.size() && tokens + prompts[end]->tokens.size() <= CrossLayers::kRows) {
      tokens += prompts[end++]->tokens.size();
    }
    state.score_group(*lease, prompts.subspan(begin, end - begin), scores.data() + begin);
    begin = end;
  }
}

const images::PreprocessOptions& CrossEncoder::preprocessing() const noexcept { return state_->preprocessing; }
const std::string& CrossEncoder::name() const noexcept { return state_->name; }
const CrossPlace& CrossEncoder::place() const noexcept { return state_->place; }
bool CrossEncoder::untrained() const noexcept { return state_->untrained; }

}  // namespace imagerank::blip
