#include "serving/requests.h"

#include <charconv>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/fail.h"
#include "core/printable.h"
#include "serving/base64.h"
#include "serving/multipart.h"

namespace imagerank::serving {
namespace {

using Json = nlohmann::json;

Json parse_json(const HttpRequest& request) {
  static constexpr int kDeepest = 16;
  const auto check_depth = [](int depth, Json::parse_event_t /*event*/, Json& /*value*/) {
    if (depth > kDeepest) fail(ErrorCode::kCorruptData, "body: expected JSON of at most {} levels", kDeepest);
    return true;
  };
  Json value;
  try {
    value = Json::parse(request.body, check_depth);
  } catch (const Json::exception& error) {
    // The library's text quotes the input, which may hold anything.
    const auto* const place = dynamic_cast<const Json::parse_error*>(&error);
    fail(ErrorCode::kCorruptData, "body: expected JSON, found what does not parse at byte {}",
         place != nullptr ? place->byte : 0);
  }
  if (!value.is_object()) {
    fail(ErrorCode::kCorruptData, "body: expected a JSON object, found {}", value.type_name());
  }
  return value;
}

/// A field that may be missing or null.
const Json* find_field(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

const Json& require_field(const Json& object, const char* name, const std::string& place) {
  const Json* const field = find_field(object, name);
  if (field == nullptr) fail(ErrorCode::kInvalidArgument, "{}{}: expected it, found none", place, name);
  return *field;
}

const std::string& text_of(const Json& value, const std::string& place) {
  if (!value.is_string()) {
    fail(ErrorCode::kInvalidArgument, "{}: expected a string, found {}", place, value.type_name());
  }
  return value.get_ref<const std::string&>();
}

const Json& array_of(const Json& value, const std::string& place, const RequestLimits& limits) {
  if (!value.is_array() || value.empty()) {
    fail(ErrorCode::kInvalidArgument, "{}: expected an array of one or more, found {}", place,
         value.is_array() ? "an empty one" : value.type_name());
  }
  if (value.size() > limits.max_items) {
    fail(ErrorCode::kResourceLimit, "{}: expected at most {}, found {}", place, limits.max_items, value.size());
  }
  return value;
}

std::string checked_prompt(const std::string& prompt, const std::string& place, const RequestLimits& limits) {
  if (prompt.size() > limits.max_prompt_bytes) {
    fail(ErrorCode::kResourceLimit, "{}: expected at most {} bytes, found {}", place, limits.max_prompt_bytes,
         prompt.size());
  }
  return prompt;
}

/// An image as JSON has it: base64, a data URI, or a URL where those are taken.
void set_image(Item& item, const std::string& text, const std::string& place, const RequestLimits& limits) {
  std::string_view encoded = text;
  if (encoded.starts_with("http://") || encoded.starts_with("https://")) {
    if (!limits.image_urls) {
      fail(ErrorCode::kInvalidArgument, "{}: expected the image itself as base64 or a data URI, found a URL", place);
    }
    item.url = text;
    return;
  }
  if (encoded.starts_with("data:")) {
    const std::size_t comma = encoded.find(',');
    if (comma == std::string_view::npos || !encoded.substr(0, comma).ends_with(";base64")) {
      fail(ErrorCode::kInvalidArgument, "{}: expected data:...;base64,... , found another data URI", place);
    }
    encoded.remove_prefix(comma + 1);
  }
  std::optional<std::string> bytes = decode_base64(encoded);
  if (!bytes) fail(ErrorCode::kInvalidArgument, "{}: expected base64, found other characters or a cut text", place);
  item.image = std::move(*bytes);
}

std::size_t reward_named(const std::vector<RewardInfo>& rewards, const std::string& name) {
  if (const auto index = find_reward(rewards, name)) return *index;
  std::string names;
  for (const RewardInfo& info : rewards) names += (names.empty() ? "" : ", ") + info.name;
  fail(ErrorCode::kNotFound, "reward: expected one of {}, found '{}'", names, printable(name));
}

/// Without a name: the only one that is served. @throws Error kInvalidArgument if there are several.
std::size_t default_reward(const std::vector<RewardInfo>& rewards) {
  if (rewards.size() == 1) return 0;
  fail(ErrorCode::kInvalidArgument, "reward: expected a name, as {} rewards are served", rewards.size());
}

std::size_t parse_count(std::string_view text, const std::string& place) {
  std::size_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) {
    fail(ErrorCode::kInvalidArgument, "{}: expected a whole number, found other characters", place);
  }
  return value;
}

void choose_rewards(const Json& body, const std::vector<RewardInfo>& rewards, ScoreRequest& request) {
  if (const Json* const several = find_field(body, "rewards")) {
    for (const Json& name : array_of(*several, "rewards", {rewards.size(), 0})) {
      request.work.rewards.push_back(reward_named(rewards, text_of(name, "rewards")));
    }
    request.one_reward = false;
  } else if (const Json* const one = find_field(body, "reward")) {
    request.work.rewards = {reward_named(rewards, text_of(*one, "reward"))};
  } else {
    request.work.rewards = {default_reward(rewards)};
  }
}

ScoreRequest parse_score_json(const HttpRequest& http, const std::vector<RewardInfo>& rewards,
                              const RequestLimits& limits) {
  const Json body = parse_json(http);
  ScoreRequest request;
  choose_rewards(body, rewards, request);
  if (const Json* const top = find_field(body, "top")) {
    if (!top->is_number_unsigned()) fail(ErrorCode::kInvalidArgument, "top: expected a whole number of 0 or more");
    request.top = top->get<std::size_t>();
  }
  if (const Json* const items = find_field(body, "items")) {
    for (const Json& item : array_of(*items, "items", limits)) {
      const std::string place = fmt::format("items[{}].", request.work.items.size());
      if (!item.is_object()) {
        fail(ErrorCode::kInvalidArgument, "items: expected objects with image and prompt, found {}", item.type_name());
      }
      Item& wanted = request.work.items.emplace_back();
      set_image(wanted, text_of(require_field(item, "image", place), place + "image"), place + "image", limits);
      wanted.prompt =
          checked_prompt(text_of(require_field(item, "prompt", place), place + "prompt"), place + "prompt", limits);
    }
    return request;
  }
  const std::string prompt = checked_prompt(text_of(require_field(body, "prompt", ""), "prompt"), "prompt", limits);
  for (const Json& image : array_of(require_field(body, "images", ""), "images", limits)) {
    const std::string place = fmt::format("images[{}]", request.work.items.size());
    Item& wanted = request.work.items.emplace_back();
    set_image(wanted, text_of(image, place), place, limits);
    wanted.prompt = prompt;
  }
  return request;
}

ScoreRequest parse_score_form(const HttpRequest& http, const std::string& boundary,
                              const std::vector<RewardInfo>& rewards, const RequestLimits& limits) {
  std::vector<std::string> prompts;
  ScoreRequest request;
  for (const FormPart& part : parse_form(http.body, boundary, 2 * limits.max_items + 2)) {
    if (part.name == "prompt") {
      prompts.push_back(checked_prompt(std::string(part.content), "prompt", limits));
    } else if (part.name == "image" || part.name == "images") {
      request.work.items.emplace_back().image = std::string(part.content);
    } else if (part.name == "reward") {
      request.work.rewards = {reward_named(rewards, std::string(part.content))};
    } else if (part.name == "top") {
      request.top = parse_count(part.content, "top");
    } else {
      fail(ErrorCode::kInvalidArgument, "form: expected fields prompt, image, reward and top, found another");
    }
  }
  std::vector<Item>& items = request.work.items;
  if (items.empty()) fail(ErrorCode::kInvalidArgument, "image: expected one part or more, found none");
  if (items.size() > limits.max_items) {
    fail(ErrorCode::kResourceLimit, "image: expected at most {} parts, found {}", limits.max_items, items.size());
  }
  if (prompts.size() != 1 && prompts.size() != items.size()) {
    fail(ErrorCode::kInvalidArgument, "prompt: expected one part, or {} for the images, found {}", items.size(),
         prompts.size());
  }
  for (std::size_t i = 0; i < items.size(); ++i) items[i].prompt = prompts[prompts.size() == 1 ? 0 : i];
  if (request.work.rewards.empty()) request.work.rewards = {default_reward(rewards)};
  return request;
}

std::vector<std::size_t> groups_of(const std::vector<Item>& items) {
  std::map<std::string_view, std::size_t> first;
  std::vector<std::size_t> groups;
  for (std::size_t i = 0; i < items.size(); ++i) groups.push_back(first.emplace(*items[i].prompt, i).first->second);
  return groups;
}

}  // namespace

ScoreRequest parse_score_request(const HttpRequest& request, const std::vector<RewardInfo>& rewards,
                                 const RequestLimits& limits) {
  const MediaType media = parse_media_type(request.content_type);
  ScoreRequest parsed = media.type == "multipart/form-data" ? parse_score_form(request, media.boundary, rewards, limits)
                                                            : parse_score_json(request, rewards, limits);
  parsed.groups = groups_of(parsed.work.items);
  return parsed;
}

EmbeddingRequest parse_embedding_request(const HttpRequest& http, const std::vector<RewardInfo>& rewards,
                                         const RequestLimits& limits) {
  const Json body = parse_json(http);
  EmbeddingRequest request;
  request.work.vectors = true;
  const Json* const model = find_field(body, "model");
  // Any reward of the encoder will do: its vectors are the encoder's.
  request.work.rewards = {model != nullptr ? reward_named(rewards, text_of(*model, "model")) : default_reward(rewards)};
  if (const Json* const format = find_field(body, "encoding_format")) {
    const std::string& name = text_of(*format, "encoding_format");
    if (name != "float" && name != "base64") {
      fail(ErrorCode::kInvalidArgument, "encoding_format: expected float or base64, found '{}'", printable(name));
    }
    request.base64 = name == "base64";
  }
  const Json* const modality = find_field(body, "modality");
  const std::string kind = modality == nullptr ? "text" : text_of(*modality, "modality");
  if (kind != "text" && kind != "image") {
    fail(ErrorCode::kInvalidArgument, "modality: expected text or image, found '{}'", printable(kind));
  }
  const auto add = [&](const Json& value, const std::string& place) {
    const std::string& text = text_of(value, place);
    Item& wanted = request.work.items.emplace_back();
    if (kind == "image") {
      set_image(wanted, text, place, limits);
    } else {
      wanted.prompt = checked_prompt(text, place, limits);
    }
  };
  const Json& input = require_field(body, "input", "");
  if (input.is_string()) {
    add(input, "input");
  } else {
    for (const Json& value : array_of(input, "input", limits)) {
      add(value, fmt::format("input[{}]", request.work.items.size()));
    }
  }
  return request;
}

namespace {

/// The data of the input tensor `name`. @throws Error kInvalidArgument.
std::vector<std::string> bytes_tensor(const Json& inputs, const std::string& name) {
  for (const Json& input : inputs) {
    if (!input.is_object() || text_of(require_field(input, "name", "inputs[]."), "inputs[].name") != name) continue;
    const std::string place = "input " + name;
    if (text_of(require_field(input, "datatype", place + "."), place + ".datatype") != "BYTES") {
      fail(ErrorCode::kInvalidArgument, "{}: expected datatype BYTES, found another", place);
    }
    const Json& data = require_field(input, "data", place + ".");
    const Json& shape = require_field(input, "shape", place + ".");
    const bool fits = data.is_array() && shape.is_array() && shape.size() == 1 && shape[0].is_number_unsigned() &&
                      shape[0].get<std::size_t>() == data.size();
    if (!fits) {
      fail(ErrorCode::kInvalidArgument, "{}: expected shape [N] and an array of N, found shape {} and {}", place,
           printable(shape.dump(), 40), data.is_array() ? std::to_string(data.size()) : data.type_name());
    }
    std::vector<std::string> values;
    for (const Json& value : data) values.push_back(text_of(value, place));
    return values;
  }
  fail(ErrorCode::kInvalidArgument, "inputs: expected tensors image and prompt, found no {}", name);
}

}  // namespace

InferenceRequest parse_inference_request(const HttpRequest& http, std::size_t reward, const RequestLimits& limits) {
  const Json body = parse_json(http);
  InferenceRequest request;
  request.work.rewards = {reward};
  if (const Json* const id = find_field(body, "id")) request.id = text_of(*id, "id");
  const Json& inputs = array_of(require_field(body, "inputs", ""), "inputs", limits);
  const std::vector<std::string> images = bytes_tensor(inputs, "image");
  const std::vector<std::string> prompts = bytes_tensor(inputs, "prompt");
  if (images.empty() || images.size() > limits.max_items) {
    fail(images.empty() ? ErrorCode::kInvalidArgument : ErrorCode::kResourceLimit,
         "input image: expected 1 to {}, found {}", limits.max_items, images.size());
  }
  if (prompts.size() != 1 && prompts.size() != images.size()) {
    fail(ErrorCode::kInvalidArgument, "input prompt: expected 1, or {} for the images, found {}", images.size(),
         prompts.size());
  }
  for (std::size_t i = 0; i < images.size(); ++i) {
    Item& wanted = request.work.items.emplace_back();
    set_image(wanted, images[i], fmt::format("input image[{}]", i), limits);
    wanted.prompt = checked_prompt(prompts[prompts.size() == 1 ? 0 : i], "input prompt", limits);
  }
  return request;
}

}  // namespace imagerank::serving
