#include "blip/checkpoint.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string_view>
#include <system_error>
#include <tuple>
#include <utility>
#include <vector>

#include "core/atomic_file.h"
#include "core/fail.h"
#include "core/hash.h"
#include "core/mapped_file.h"
#include "core/tensor_match.h"
#include "core/threads.h"

namespace imagerank::blip {
namespace {

constexpr std::int64_t kHeadDepth = 64;
constexpr std::int64_t kMostWidth = 1 << 16;
constexpr std::int64_t kMostLayers = 256;
constexpr double kVisionEps = 1e-6, kTextEps = 1e-12;

const std::string kVision = "blip.visual_encoder.";
const std::string kText = "blip.text_encoder.";

/// The layers of the head; between them stand dropouts, which do nothing at inference.
std::vector<std::string> head_prefixes() {
  std::vector<std::string> prefixes;
  for (const int layer : {0, 2, 4, 6, 7}) prefixes.push_back(fmt::format("mlp.layers.{}.", layer));
  return prefixes;
}

struct Entry {
  std::string parameter;
  std::vector<std::int64_t> shape;
  std::string name;  ///< in the file
};

/// Weight and bias of a linear layer or, of one column, of a norm.
class EntryList {
 public:
  void add(const std::string& parameter, const std::string& name, std::vector<std::int64_t> shape) {
    entries_.push_back({parameter, std::move(shape), name});
  }
  void add_linear(const std::string& parameter, const std::string& name, std::int64_t rows, std::int64_t columns) {
    add(parameter + "_weight", name + ".weight", {rows, columns});
    add(parameter + "_bias", name + ".bias", {rows});
  }
  void add_norm(const std::string& parameter, const std::string& name, std::int64_t width) {
    add(parameter + "_weight", name + ".weight", {width});
    add(parameter + "_bias", name + ".bias", {width});
  }
  [[nodiscard]] const std::vector<Entry>& entries() const noexcept { return entries_; }

 private:
  std::vector<Entry> entries_;
};

void list_vision(const CrossConfig& config, EntryList& list) {
  const std::int64_t w = config.vision.width, m = config.vision.mlp_width, p = config.patch_size;
  list.add("vision.class_embedding", kVision + "cls_token", {1, 1, w});
  list.add("vision.position_embedding", kVision + "pos_embed", {1, config.vision_tokens(), w});
  list.add("vision.patch_weight", kVision + "patch_embed.proj.weight", {w, 3, p, p});
  list.add("vision.patch_bias", kVision + "patch_embed.proj.bias", {w});
  for (std::int64_t i = 0; i < config.vision.layers; ++i) {
    const std::string mine = fmt::format("vision.layer{}.", i), theirs = fmt::format("{}blocks.{}.", kVision, i);
    list.add_norm(mine + "layer_norm1", theirs + "norm1", w);
    list.add_linear(mine + "qkv", theirs + "attn.qkv", 3 * w, w);
    list.add_linear(mine + "out", theirs + "attn.proj", w, w);
    list.add_norm(mine + "layer_norm2", theirs + "norm2", w);
    list.add_linear(mine + "fc1", theirs + "mlp.fc1", m, w);
    list.add_linear(mine + "fc2", theirs + "mlp.fc2", w, m);
  }
  list.add_norm("vision.post_norm", kVision + "norm", w);
}

void list_text(const CrossConfig& config, EntryList& list) {
  const std::int64_t w = config.text.width, m = config.text.mlp_width;
  list.add("text.token_embedding", kText + "embeddings.word_embeddings.weight", {config.vocabulary_size, w});
  list.add("text.position_embedding", kText + "embeddings.position_embeddings.weight", {config.positions, w});
  list.add_norm("text.norm", kText + "embeddings.LayerNorm", w);
  for (std::int64_t i = 0; i < config.text.layers; ++i) {
    const std::string mine = fmt::format("text.layer{}.", i), theirs = fmt::format("{}encoder.layer.{}.", kText, i);
    for (const auto& [kind, name, width] :
         {std::tuple("self_", "attention.", w), std::tuple("cross_", "crossattention.", config.vision.width)}) {
      list.add_linear(mine + kind + "query", theirs + name + "self.query", w, w);
      list.add_linear(mine + kind + "key", theirs + name + "self.key", w, width);
      list.add_linear(mine + kind + "value", theirs + name + "self.value", w, width);
      list.add_linear(mine + kind + "out", theirs + name + "output.dense", w, w);
      list.add_norm(mine + kind + "norm", theirs + name + "output.LayerNorm", w);
    }
    list.add_linear(mine + "fc1", theirs + "intermediate.dense", m, w);
    list.add_linear(mine + "fc2", theirs + "output.dense", w, m);
    list.add_norm(mine + "norm", theirs + "output.LayerNorm", w);
  }
}

/// The sizes between the head's layers are the file's own.
void list_head(std::int64_t width, const std::map<std::string, TensorView>& tensors, EntryList& list) {
  const std::vector<std::string> prefixes = head_prefixes();
  constexpr std::array<std::int64_t, 5> kPublished = {1024, 128, 64, 16, 1};
  std::int64_t inputs = width;
  for (std::size_t i = 0; i < prefixes.size(); ++i) {
    const auto found = tensors.find(prefixes[i] + "weight");
    const bool own = i + 1 < prefixes.size() && found != tensors.end() && found->second.shape.size() == 2;
    const std::int64_t outputs = own ? found->second.shape[0] : kPublished.at(i);
    list.add_linear(prefixes[i], prefixes[i].substr(0, prefixes[i].size() - 1), outputs, inputs);
    inputs = outputs;
  }
}

/// Layers by the highest number behind a prefix: one that is missing in between is missed by name.
std::int64_t count_layers(const std::map<std::string, TensorView>& tensors, const std::string& prefix) {
  std::int64_t count = 0;
  for (auto at = tensors.lower_bound(prefix); at != tensors.end() && at->first.starts_with(prefix); ++at) {
    std::int64_t number = -1;
    const std::string_view rest = std::string_view(at->first).substr(prefix.size());
    std::from_chars(rest.data(), rest.data() + rest.size(), number);
    if (number < kMostLayers) count = std::max(count, number + 1);
  }
  return count;
}

}  // namespace

Checkpoint::Checkpoint(const std::filesystem::path& file) : place_(file), file_(file) {
  find_sizes();
  check_config_file();
  std::map<std::string, const TensorView*> tensors;
  for (const auto& [name, view] : file_.tensors()) tensors.emplace(name, &view);
  TensorMatcher matcher(std::move(tensors), "the rest of it");
  EntryList list;
  list_vision(config_, list);
  list_text(config_, list);
  list_head(config_.text.width, file_.tensors(), list);
  for (const Entry& entry : list.entries()) {
    if (const TensorView* const view = matcher.take(entry.name, entry.shape)) {
      parts_.emplace(entry.parameter, Part{entry.name, view});
    }
  }
  matcher.check(place_, /*all=*/false);
}

/// From the tensors that say them. What those lack, or say absurdly, is one line.
void Checkpoint::find_sizes() {
  const auto extent = [&](const std::string& name, std::size_t rank, std::size_t axis) {
    const auto found = file_.tensors().find(name);
    if (found == file_.tensors().end() || found->second.shape.size() != rank) {
      fail(
          ErrorCode::kCorruptData,
          "{}: expected ImageReward's checkpoint (blip.visual_encoder, blip.text_encoder, mlp), found {} tensors, '{}' "
          "of {} axes not among them",
          place_.string(), file_.tensors().size(), name, rank);
    }
    const std::int64_t size = found->second.shape[axis];
    if (size < 1 || size > (axis == 0 && rank == 2 ? std::int64_t{1} << 24 : kMostWidth)) {
      fail(ErrorCode::kCorruptData, "{}: tensor '{}': axis {}: expected 1 to {}, found {}", place_.string(), name, axis,
           kMostWidth, size);
    }
    return size;
  };
  const auto set_tower = [&](clip::TowerConfig& tower, std::int64_t width, const std::string& layers,
                             const std::string& fc1, double eps) {
    tower.width = width;
    tower.heads = std::max<std::int64_t>(1, width / kHeadDepth);
    tower.layers = count_layers(file_.tensors(), layers);
    if (width % kHeadDepth != 0 || tower.layers == 0) {
      fail(ErrorCode::kCorruptData,
           "{}: expected layers {}0 and on, of a width that is a multiple of {}, found {} of width {}", place_.string(),
           layers, kHeadDepth, tower.layers, width);
    }
    tower.mlp_width = extent(layers + "0." + fc1, 2, 0);
    tower.activation = clip::Activation::kGelu;
    tower.layer_norm_eps = eps;
  };
  const std::string patches = kVision + "patch_embed.proj.weight", words = kText + "embeddings.word_embeddings.weight";
  set_tower(config_.vision, extent(patches, 4, 0), kVision + "blocks.", "mlp.fc1.weight", kVisionEps);
  set_tower(config_.text, extent(words, 2, 1), kText + "encoder.layer.", "intermediate.dense.weight", kTextEps);
  config_.patch_size = extent(patches, 4, 3);
  const std::int64_t tokens = extent(kVision + "pos_embed", 3, 1);
  const auto side = static_cast<std::int64_t>(std::lround(std::sqrt(static_cast<double>(tokens - 1))));
  if (side < 1 || side * side + 1 != tokens) {
    fail(ErrorCode::kCorruptData, "{}: tensor '{}pos_embed': expected 1 token and a square of patches, found {} tokens",
         place_.string(), kVision, tokens);
  }
  config_.image_size = side * config_.patch_size;
  config_.vocabulary_size = extent(words, 2, 0);
  config_.positions = extent(kText + "embeddings.position_embeddings.weight", 2, 0);
}

/// What the text side's own config says beside what its tensors do.
void Checkpoint::check_config_file() const {
  const std::filesystem::path path = place_.parent_path() / "med_config.json";
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return;
  constexpr std::size_t kMostBytes = std::size_t{1} << 20;
  const auto config = nlohmann::json::parse(load_file(path, kMostBytes), nullptr, /*allow_exceptions=*/false);
  if (!config.is_object()) fail(ErrorCode::kCorruptData, "{}: expected a JSON object", path.string());
  const auto expect = [&](const char* field, const nlohmann::json& expected) {
    const auto found = config.find(field);
    if (found == config.end() || *found == expected) return;
    fail(ErrorCode::kCorruptData, "{}: {}: expected {}, as {} is read, found {}", path.string(), field, expected.dump(),
         place_.filename().string(), found->dump());
  };
  expect("num_attention_heads", config_.text.heads);
  expect("hidden_act", "gelu");
  expect("layer_norm_eps", config_.text.layer_norm_eps);
}

std::vector<float> Checkpoint::read(const std::string& parameter) const {
  const Part& part = parts_.at(parameter);
  std::vector<float> values = finite_floats(*part.view, part.name, place_);
  if (!part.view->is_copy) forget_pages(part.view->bytes);
  return values;
}

LinearFunction Checkpoint::head() const { return fold_linear_layers(file_.tensors(), head_prefixes(), place_); }

std::string Checkpoint::digest(std::size_t threads) const {
  std::vector<std::pair<const Part*, std::string>> digests;
  for (const auto& [parameter, part] : parts_) digests.emplace_back(&part, "");
  share_range(digests.size(), 1, threads, [&](std::size_t first, std::size_t last) {
    for (std::size_t i = first; i < last; ++i) {
      const TensorView& view = *digests[i].first->view;
      digests[i].second = sha256_hex(view.bytes);
      if (!view.is_copy) forget_pages(view.bytes);
    }
  });
  Digest whole;
  for (const auto& [part, digest] : digests) {
    whole.update(
        fmt::format("{} {} {} {}\n", part->name, type_name(part->view->type), shape_text(part->view->shape), digest));
  }
  return whole.hex_digest();
}

}  // namespace imagerank::blip
