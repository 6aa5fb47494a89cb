#include "clip/model_config.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <span>
#include <string_view>

#include "clip/derived_config.h"
#include "clip/weight_files.h"
#include "core/atomic_file.h"
#include "core/fail.h"

namespace imagerank::clip {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxConfigBytes = std::size_t{4} << 20;

/// One JSON object of a config file, with errors that name the file and the field.
class Fields {
 public:
  Fields(const json& object, std::string place) : object_(object), place_(std::move(place)) {
    if (!object_.is_object())
      fail(ErrorCode::kCorruptData, "{}: expected an object, found {}", place_, object_.type_name());
  }

  [[nodiscard]] bool has(const char* name) const { return object_.contains(name) && !object_[name].is_null(); }
  [[nodiscard]] std::int64_t integer(const char* name, std::int64_t missing) const {
    if (!has(name)) return missing;
    const json& value = object_[name];
    if (!value.is_number_integer()) wrong(name, "an integer", value);
    if (value.is_number_unsigned() && value.get<std::uint64_t>() > std::uint64_t{1} << 40)
      wrong(name, "a smaller integer", value);
    return value.get<std::int64_t>();
  }
  [[nodiscard]] double number(const char* name, double missing) const {
    if (!has(name)) return missing;
    if (!object_[name].is_number()) wrong(name, "a number", object_[name]);
    return object_[name].get<double>();
  }
  [[nodiscard]] bool boolean(const char* name, bool missing) const {
    if (!has(name)) return missing;
    if (!object_[name].is_boolean()) wrong(name, "true or false", object_[name]);
    return object_[name].get<bool>();
  }
  [[nodiscard]] std::string text(const char* name, const char* missing) const {
    if (!has(name)) return missing;
    if (!object_[name].is_string()) wrong(name, "a string", object_[name]);
    return object_[name].get<std::string>();
  }
  /// The object of this name, or an empty one.
  [[nodiscard]] json object(const char* name) const { return has(name) ? object_[name] : json::object(); }
  [[nodiscard]] const std::string& place() const noexcept { return place_; }

 private:
  [[noreturn]] void wrong(const char* name, const char* expected, const json& found) const {
    fail(ErrorCode::kCorruptData, "{}: {}: expected {}, found {:.40}", place_, name, expected, found.dump());
  }

  const json& object_;
  std::string place_;
};

json load_json(const std::filesystem::path& path) {
  const std::string text = load_file(path, kMaxConfigBytes);
  try {
    return json::parse(text);
  } catch (const json::exception& error) {
    fail(ErrorCode::kCorruptData, "{}: not JSON: {}", path.string(), error.what());
  }
}

Activation parse_activation(const Fields& fields) {
  const std::string name = fields.text("hidden_act", "quick_gelu");
  if (name == "quick_gelu") return Activation::kQuickGelu;
  if (name == "gelu") return Activation::kGelu;
  fail(ErrorCode::kUnavailable, "{}: hidden_act: expected quick_gelu or gelu, found {:.40}", fields.place(), name);
}

TowerConfig parse_tower(const Fields& fields, std::int64_t width, std::int64_t heads) {
  TowerConfig tower;
  tower.width = fields.integer("hidden_size", width);
  tower.layers = fields.integer("num_hidden_layers", 12);
  tower.heads = fields.integer("num_attention_heads", heads);
  tower.mlp_width = fields.integer("intermediate_size", 4 * width);
  tower.activation = parse_activation(fields);
  tower.layer_norm_eps = fields.number("layer_norm_eps", 1e-5);
  return tower;
}

/// Older files carry both text_config and text_config_dict; Hugging Face lets the latter win.
json merged(const Fields& root, const std::string& name) {
  json result = root.object(name.c_str());
  const json over = root.object((name + "_dict").c_str());
  if (result.is_object() && over.is_object()) result.update(over);
  return result;
}

// What a file leaves out has Hugging Face's defaults, which are ViT-B/32's.
ModelConfig parse_hugging_face(const std::filesystem::path& path) {
  const json document = load_json(path);
  const Fields root(document, path.string());
  const std::string type = root.text("model_type", "clip");
  if (type != "clip") fail(ErrorCode::kUnavailable, "{}: model_type: expected clip, found {:.40}", path.string(), type);
  const json vision_object = merged(root, "vision_config");
  const json text_object = merged(root, "text_config");
  const Fields vision(vision_object, path.string() + ": vision_config");
  const Fields text(text_object, path.string() + ": text_config");

  ModelConfig config;
  config.vision = parse_tower(vision, 768, 12);
  config.image_size = vision.integer("image_size", 224);
  config.patch_size = vision.integer("patch_size", 32);
  config.text = parse_tower(text, 512, 8);
  config.vocabulary_size = text.integer("vocab_size", 49408);
  config.context_length = text.integer("max_position_embeddings", 77);
  config.bos_token_id = text.integer("bos_token_id", 49406);
  config.eos_token_id = text.integer("eos_token_id", 49407);
  config.pooling = config.eos_token_id == 2 ? TextPooling::kArgmax : TextPooling::kFirstEos;
  config.projection_dim = root.integer("projection_dim", 512);
  config.logit_scale_init = root.number("logit_scale_init_value", 2.6592);
  config.untrained = root.boolean("imagerank_untrained", false);
  return config;
}

/// A field of open_clip's config that changes what a tower computes, and the values that leave it CLIP's own.
struct PlainField {
  const char* name;
  std::array<const char*, 2> plain;  ///< as JSON; null and absence are plain too
};
// Source: CLIPVisionCfg and CLIPTextCfg in open_clip/model.py.
constexpr auto kPlainVision = std::to_array<PlainField>({{"timm_model_name", {}},
                                                         {"attentional_pool", {"false"}},
                                                         {"attn_pooler_queries", {}},
                                                         {"global_average_pool", {"false"}},
                                                         {"pool_type", {"\"tok\""}},
                                                         {"no_ln_pre", {"false"}},
                                                         {"final_ln_after_pool", {"false"}},
                                                         {"input_patchnorm", {"false"}},
                                                         {"pos_embed_type", {"\"learnable\""}},
                                                         {"ls_init_value", {}},
                                                         {"norm_kwargs", {"{}"}},
                                                         {"act_kwargs", {"{}"}}});
constexpr auto kPlainText = std::to_array<PlainField>({{"hf_model_name", {}},
                                                       {"no_causal_mask", {"false"}},
                                                       {"pool_type", {"\"argmax\""}},
                                                       {"proj_bias", {"false"}},
                                                       {"proj_type", {"\"linear\""}},
                                                       {"embed_cls", {"false"}},
                                                       {"ls_init_value", {}},
                                                       {"norm_kwargs", {"{}"}},
                                                       {"act_kwargs", {"{}"}}});

// hf_model_name, timm_model_name and timm's fields with them belong to other architectures altogether.
void refuse_other_towers(const json& tower, const std::string& place, std::span<const PlainField> fields) {
  if (!tower.is_object()) return;
  for (const PlainField& field : fields) {
    const auto value = tower.find(field.name);
    if (value == tower.end() || value->is_null()) continue;
    const std::string found = value->dump();
    const bool plain = std::ranges::any_of(field.plain, [&](const char* p) { return p != nullptr && found == p; });
    if (!plain) {
      fail(ErrorCode::kUnavailable, "{}: {}: expected {} (CLIP's own tower), found {:.40}", place, field.name,
           field.plain[0] == nullptr ? "none" : field.plain[0], found);
    }
  }
}

ModelConfig parse_open_clip(const std::filesystem::path& path) {
  const json document = load_json(path);
  const Fields root(document, path.string());
  const json model_object = root.object("model_cfg");
  const Fields model(model_object, path.string() + ": model_cfg");
  const json vision_object = model.object("vision_cfg");
  const json text_object = model.object("text_cfg");
  const Fields vision(vision_object, path.string() + ": vision_cfg");
  const Fields text(text_object, path.string() + ": text_cfg");
  refuse_other_towers(vision_object, vision.place(), kPlainVision);
  refuse_other_towers(text_object, text.place(), kPlainText);
  if (vision.has("layers") && !vision_object["layers"].is_number()) {
    fail(ErrorCode::kUnavailable, "{}: layers: expected a ViT's one number, found {:.40}", vision.place(),
         vision_object["layers"].dump());
  }

  ModelConfig config;
  const Activation activation = model.boolean("quick_gelu", false) ? Activation::kQuickGelu : Activation::kGelu;
  config.vision.width = vision.integer("width", 768);
  config.vision.layers = vision.integer("layers", 12);
  config.vision.heads = config.vision.width / std::max<std::int64_t>(1, vision.integer("head_width", 64));
  config.vision.mlp_width =
      static_cast<std::int64_t>(static_cast<double>(config.vision.width) * vision.number("mlp_ratio", 4.0));
  config.image_size = vision.integer("image_size", 224);
  config.patch_size = vision.integer("patch_size", 16);
  config.text.width = text.integer("width", 512);
  config.text.layers = text.integer("layers", 12);
  config.text.heads = text.integer("heads", 8);
  config.text.mlp_width =
      static_cast<std::int64_t>(static_cast<double>(config.text.width) * text.number("mlp_ratio", 4.0));
  config.vision.activation = config.text.activation = activation;
  config.vocabulary_size = text.integer("vocab_size", 49408);
  config.context_length = text.integer("context_length", 77);
  config.eos_token_id = config.vocabulary_size - 1;
  config.bos_token_id = config.vocabulary_size - 2;
  config.pooling = TextPooling::kArgmax;
  config.projection_dim = model.integer("embed_dim", 512);
  return config;
}

void check_range(const char* name, std::int64_t value, std::int64_t low, std::int64_t high) {
  if (value < low || value > high) {
    fail(ErrorCode::kInvalidArgument, "{}: expected {} to {}, found {}", name, low, high, value);
  }
}

void validate_tower(const std::string& name, const TowerConfig& tower) {
  check_range((name + " width").c_str(), tower.width, 1, 16384);
  check_range((name + " layers").c_str(), tower.layers, 1, 256);
  check_range((name + " heads").c_str(), tower.heads, 1, tower.width);
  check_range((name + " mlp width").c_str(), tower.mlp_width, 1, 131072);
  if (tower.width % tower.heads != 0) {
    fail(ErrorCode::kInvalidArgument, "{} heads: expected a divisor of the width {}, found {}", name, tower.width,
         tower.heads);
  }
  if (!(tower.layer_norm_eps > 0.0 && tower.layer_norm_eps < 1.0)) {
    fail(ErrorCode::kInvalidArgument, "{} layer_norm_eps: expected between 0 and 1, found {}", name,
         tower.layer_norm_eps);
  }
}

std::int64_t tower_parameters(const TowerConfig& tower) noexcept {
  const std::int64_t w = tower.width;
  return tower.layers * (4 * w + 4 * (w * w + w) + 2 * w * tower.mlp_width + tower.mlp_width + w);
}

nlohmann::ordered_json tower_object(const TowerConfig& tower) {
  return {{"hidden_size", tower.width},
          {"intermediate_size", tower.mlp_width},
          {"num_hidden_layers", tower.layers},
          {"num_attention_heads", tower.heads},
          {"hidden_act", tower.activation == Activation::kQuickGelu ? "quick_gelu" : "gelu"},
          {"layer_norm_eps", tower.layer_norm_eps}};
}

}  // namespace

std::int64_t ModelConfig::parameter_count() const noexcept {
  const std::int64_t vision_rest =
      vision.width * (1 + 3 * patch_size * patch_size + vision_tokens() + 4 + projection_dim);
  const std::int64_t text_rest = text.width * (vocabulary_size + context_length + 2 + projection_dim);
  return tower_parameters(vision) + vision_rest + tower_parameters(text) + text_rest + 1;
}

void ModelConfig::validate() const {
  validate_tower("vision", vision);
  validate_tower("text", text);
  check_range("image size", image_size, 1, 8192);
  check_range("patch size", patch_size, 1, image_size);
  check_range("vocabulary size", vocabulary_size, 1, std::int64_t{1} << 24);
  check_range("context length", context_length, 2, 1 << 16);
  check_range("projection dim", projection_dim, 1, 1 << 16);
  // A legacy 2 is a sign, not a token; the others must be rows of the embedding.
  check_range("bos token id", bos_token_id, 0, vocabulary_size - 1);
  if (pooling == TextPooling::kFirstEos) check_range("eos token id", eos_token_id, 0, vocabulary_size - 1);
}

namespace {

/// The config file of a folder; "" if it has none. timm writes a config.json of its own beside open_clip's.
std::filesystem::path find_config(const std::filesystem::path& folder) {
  const std::filesystem::path hugging_face = folder / "config.json", open_clip = folder / "open_clip_config.json";
  std::error_code ignored;
  const bool has_open_clip = std::filesystem::exists(open_clip, ignored);
  if (!std::filesystem::exists(hugging_face, ignored)) return has_open_clip ? open_clip : std::filesystem::path();
  if (!has_open_clip) return hugging_face;
  const json document = load_json(hugging_face);
  return document.is_object() && document.contains("vision_config") ? hugging_face : open_clip;
}

ModelConfig load_model_config(const std::filesystem::path& folder, const WeightTensors* weights) {
  const std::filesystem::path path = find_config(folder);
  if (path.empty() && weights == nullptr) return load_model_config(folder, WeightTensors(folder));
  ModelConfig config = path.empty()                       ? derive_model_config(folder, *weights)
                       : path.filename() == "config.json" ? parse_hugging_face(path)
                                                          : parse_open_clip(path);
  if (weights != nullptr && is_open_clip(weights->layout())) config.pooling = TextPooling::kArgmax;
  try {
    config.validate();
  } catch (const Error& error) {
    fail(ErrorCode::kCorruptData, "{}: {}", path.empty() ? weights->place().string() : path.string(), error.what());
  }
  return config;
}

}  // namespace

ModelConfig load_model_config(const std::filesystem::path& folder) { return load_model_config(folder, nullptr); }

ModelConfig load_model_config(const std::filesystem::path& folder, const WeightTensors& weights) {
  return load_model_config(folder, &weights);
}

void save_model_config(const ModelConfig& config, const std::filesystem::path& folder) {
  config.validate();
  nlohmann::ordered_json text = tower_object(config.text);
  text["max_position_embeddings"] = config.context_length;
  text["vocab_size"] = config.vocabulary_size;
  text["bos_token_id"] = config.bos_token_id;
  text["eos_token_id"] = config.pooling == TextPooling::kArgmax ? 2 : config.eos_token_id;
  nlohmann::ordered_json vision = tower_object(config.vision);
  vision["image_size"] = config.image_size;
  vision["patch_size"] = config.patch_size;
  nlohmann::ordered_json root = {{"model_type", "clip"},
                                 {"architectures", {"CLIPModel"}},
                                 {"projection_dim", config.projection_dim},
                                 {"logit_scale_init_value", config.logit_scale_init}};
  if (config.untrained) root["imagerank_untrained"] = true;
  root["text_config"] = std::move(text);
  root["vision_config"] = std::move(vision);
  write_file_atomically(folder / "config.json", root.dump(1) + "\n");
}

ModelConfig named_model_config(const std::string& name) {
  struct Shape {
    const char* name;
    std::int64_t projection, image, patch, vision_width, vision_layers, vision_heads, text_width, text_layers,
        text_heads;
    Activation activation;
  };
  // Source: the model cards of OpenAI's and LAION's CLIP; heads are 80 wide in ViT-H/14, 88 in ViT-g/14.
  static constexpr auto kShapes = std::to_array<Shape>({
      {"b32", 512, 224, 32, 768, 12, 12, 512, 12, 8, Activation::kQuickGelu},
      {"b16", 512, 224, 16, 768, 12, 12, 512, 12, 8, Activation::kQuickGelu},
      {"l14", 768, 224, 14, 1024, 24, 16, 768, 12, 12, Activation::kQuickGelu},
      {"l14-336", 768, 336, 14, 1024, 24, 16, 768, 12, 12, Activation::kQuickGelu},
      {"h14", 1024, 224, 14, 1280, 32, 16, 1024, 24, 16, Activation::kGelu},
      {"g14", 1024, 224, 14, 1408, 40, 16, 1024, 24, 16, Activation::kGelu},
      {"tiny", 48, 64, 16, 128, 3, 2, 64, 2, 1, Activation::kQuickGelu},
  });
  for (const Shape& shape : kShapes) {
    if (name != shape.name) continue;
    ModelConfig config;
    config.projection_dim = shape.projection;
    config.image_size = shape.image;
    config.patch_size = shape.patch;
    config.vision = {shape.vision_width,     shape.vision_layers, shape.vision_heads,
                     4 * shape.vision_width, shape.activation,    1e-5};
    if (shape.vision_width == 1408) config.vision.mlp_width = 6144;  // a ratio of 4.3637
    config.text = {shape.text_width, shape.text_layers, shape.text_heads, 4 * shape.text_width, shape.activation, 1e-5};
    return config;
  }
  fail(ErrorCode::kInvalidArgument,
       "model architecture: expected b32, b16, l14, l14-336, h14, g14 or tiny, found {:.40}", name);
}

}  // namespace imagerank::clip
