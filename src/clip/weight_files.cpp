#include "clip/weight_files.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string_view>
#include <system_error>

#include "core/atomic_file.h"
#include "core/fail.h"
#include "core/shown.h"

namespace imagerank::clip {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxIndexBytes = std::size_t{64} << 20;
constexpr auto kNames =
    std::to_array<std::string_view>({"model.safetensors", "model.safetensors.index.json", "open_clip_model.safetensors",
                                     "open_clip_pytorch_model.safetensors", "pytorch_model.bin",
                                     "pytorch_model.bin.index.json", "open_clip_pytorch_model.bin"});

/// What a wrapper, torch.compile or a text tower of its own puts before a name.
constexpr auto kPrefixes = std::to_array<std::string_view>({"module.", "_orig_mod.", "text."});

bool is_constant(std::string_view name) {
  return name == "input_resolution" || name == "context_length" || name == "vocab_size";
}

std::string bare_name(std::string_view name) {
  for (const std::string_view prefix : kPrefixes) {
    if (name.starts_with(prefix)) name.remove_prefix(prefix.size());
  }
  return std::string(name);
}

/// The shards of an index: {"weight_map": {tensor: file}}.
WeightFiles read_index(const fs::path& index) {
  const auto document = nlohmann::json::parse(load_file(index, kMaxIndexBytes), nullptr, /*allow_exceptions=*/false);
  const auto map = document.is_object() ? document.find("weight_map") : document.end();
  if (!document.is_object() || map == document.end() || !map->is_object() || map->empty()) {
    fail(ErrorCode::kCorruptData, "{}: expected {{\"weight_map\": {{tensor: file}}}}, found something else",
         index.string());
  }
  std::map<std::string, std::size_t> shards;  // and how many tensors lie in each
  for (const auto& [tensor, file] : map->items()) {
    const std::string name = file.is_string() ? file.get<std::string>() : "";
    if (name.empty() || name.find('/') != std::string::npos || name == "." || name == "..") {
      fail(ErrorCode::kCorruptData, "{}: weight_map: '{}': expected a file's name, found {}", index.string(),
           shown(tensor), shown(file.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace)));
    }
    ++shards[name];
  }
  WeightFiles result{{}, index};
  for (const auto& [name, tensors] : shards) {
    const fs::path path = index.parent_path() / name;
    if (std::error_code ignored; !fs::exists(path, ignored)) {
      fail(ErrorCode::kNotFound, "{}: shard {}: expected it beside the index, with {} tensors, found none",
           index.string(), shown(name), tensors);
    }
    result.files.push_back(path);
  }
  return result;
}

/// The only file of a kind in a folder; "" if there is none. @throws Error kCorruptData if there are several.
fs::path find_only(const fs::path& folder, std::string_view extension) {
  fs::path found;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    if (entry.path().extension() != extension || !entry.is_regular_file(ignored)) continue;
    if (!found.empty()) {
      fail(ErrorCode::kCorruptData, "{}: expected one checkpoint, found {} and {}", folder.string(),
           std::min(found, entry.path()).filename().string(), std::max(found, entry.path()).filename().string());
    }
    found = entry.path();
  }
  return found;
}

/// What a download that was not finished leaves behind: in the folder, in Hugging Face's cache around it, or in what
/// its tools put into a folder of one's own.
std::optional<fs::path> find_incomplete(const fs::path& folder) {
  const fs::path whole = fs::absolute(folder).lexically_normal();
  for (const fs::path& place : {whole, whole / ".cache/huggingface/download", whole / "../../blobs"}) {
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(place, ignored)) {
      if (entry.path().extension() == ".incomplete") return entry.path().lexically_normal();
    }
  }
  return std::nullopt;
}

std::optional<WeightLayout> find_layout(const std::vector<TensorFile>& files) {
  std::optional<WeightLayout> layout;
  bool constants = false;
  for (const TensorFile& file : files) {
    for (const auto& [name, view] : file.tensors()) {
      const std::string bare = bare_name(name);
      if (bare.starts_with("visual.")) layout = WeightLayout::kOpenClip;
      if (bare.starts_with("vision_model.")) layout = WeightLayout::kHuggingFace;
      constants = constants || is_constant(bare);
    }
  }
  const bool open_ai = constants || std::ranges::any_of(files, &TensorFile::is_script);
  return layout == WeightLayout::kOpenClip && open_ai ? WeightLayout::kOpenAi : layout;
}

}  // namespace

const char* layout_name(WeightLayout layout) noexcept {
  switch (layout) {
    case WeightLayout::kOpenClip:
      return "open_clip";
    case WeightLayout::kOpenAi:
      return "openai";
    default:
      return "hugging_face";
  }
}

WeightFiles find_weight_files(const fs::path& folder) {
  std::error_code ignored;
  if (fs::is_regular_file(folder, ignored)) return {{folder}, folder};
  for (const std::string_view name : kNames) {
    const fs::path path = folder / name;
    if (!fs::exists(path, ignored)) continue;
    return name.ends_with(".json") ? read_index(path) : WeightFiles{{path}, path};
  }
  for (const char* extension : {".pt", ".pth"}) {
    if (const fs::path path = find_only(folder, extension); !path.empty()) return {{path}, path};
  }
  if (const auto incomplete = find_incomplete(folder)) {
    fail(ErrorCode::kNotFound, "{}: expected weights, found a download that was not finished, {}; pull the model again",
         folder.string(), incomplete->string());
  }
  fail(ErrorCode::kNotFound, "{}: expected {} or one .pt in a model folder, found none of them", folder.string(),
       fmt::join(kNames, ", "));
}

WeightTensors::WeightTensors(const fs::path& folder) {
  const WeightFiles found = find_weight_files(folder);
  place_ = found.place;
  for (const fs::path& file : found.files) files_.emplace_back(file);
  const auto layout = find_layout(files_);
  if (!layout) {
    fail(ErrorCode::kCorruptData, "{}: expected CLIP's tensors (vision_model.* or visual.*), found none",
         place_.string());
  }
  layout_ = *layout;
  for (const TensorFile& file : files_) {
    for (const auto& [name, view] : file.tensors()) {
      const std::string bare = bare_name(name);
      if (bare.ends_with("position_ids") || bare == "attn_mask" || is_constant(bare)) continue;
      if (!tensors_.emplace(bare, &view).second) {
        fail(ErrorCode::kCorruptData, "{}: tensor '{}': expected once, found twice", place_.string(), shown(bare));
      }
    }
  }
}

}  // namespace imagerank::clip
