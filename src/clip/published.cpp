#include "clip/published.h"

#include <algorithm>
#include <array>
#include <numeric>

#include "clip/model_config.h"
#include "core/fail.h"
#include "hub_cache/cache.h"
#include "hub_cache/environment.h"

namespace imagerank::clip {
namespace {

// Licences are those that the hub states; of OpenAI's, whose cards state none, openai/CLIP's.
// Parameters follow from the published shapes (ModelConfig::parameter_count), which the tests check where it has them.
constexpr std::array kPublished = {
    PublishedModel{"openai/clip-vit-base-patch32", "ViT-B-32/openai", "encoder", 512, 151277313, 0, "MIT",
                   "the fastest; LAION's first aesthetic head stands on it"},
    PublishedModel{"openai/clip-vit-base-patch16", "ViT-B-16/openai", "encoder", 512, 149620737, 0, "MIT",
                   "four times as many patches as B/32"},
    PublishedModel{"openai/clip-vit-large-patch14", "ViT-L-14/openai", "encoder", 768, 427616513, 0, "MIT",
                   "LAION's aesthetic heads and HPS v1 stand on it"},
    PublishedModel{"openai/clip-vit-large-patch14-336", "ViT-L-14-336/openai", "encoder", 768, 427944193, 0, "MIT",
                   "L/14 at 336 px: small things in large images, 2.2 times the tokens"},
    PublishedModel{"laion/CLIP-ViT-B-32-laion2B-s34B-b79K", "ViT-B-32/laion2b_s34b_b79k", "encoder", 512, 151277313, 0,
                   "", "B/32 on LAION-2B"},
    PublishedModel{"laion/CLIP-ViT-B-32-DataComp.XL-s13B-b90K", "ViT-B-32/datacomp_xl_s13b_b90k", "encoder", 512,
                   151277313, 0, "MIT", "B/32 on DataComp-XL"},
    PublishedModel{"laion/CLIP-ViT-B-16-laion2B-s34B-b88K", "ViT-B-16/laion2b_s34b_b88k", "encoder", 512, 149620737, 0,
                   "", "B/16 on LAION-2B"},
    PublishedModel{"laion/CLIP-ViT-B-16-DataComp.XL-s13B-b90K", "ViT-B-16/datacomp_xl_s13b_b90k", "encoder", 512,
                   149620737, 0, "MIT", "B/16 on DataComp-XL"},
    PublishedModel{"laion/CLIP-ViT-L-14-laion2B-s32B-b82K", "ViT-L-14/laion2b_s32b_b82k", "encoder", 768, 427616513, 0,
                   "MIT", "L/14 on LAION-2B; its mean and standard deviation are 0.5"},
    PublishedModel{"laion/CLIP-ViT-L-14-DataComp.XL-s13B-b90K", "ViT-L-14/datacomp_xl_s13b_b90k", "encoder", 768,
                   427616513, 0, "MIT", "L/14 on DataComp-XL"},
    PublishedModel{"laion/CLIP-ViT-H-14-laion2B-s32B-b79K", "ViT-H-14/laion2b_s32b_b79k", "encoder", 1024, 986109441, 0,
                   "MIT", "what PickScore and HPSv2 start from; alone 60.8 % of Pick-a-Pic's test pairs"},
    PublishedModel{"laion/CLIP-ViT-g-14-laion2B-s12B-b42K", "ViT-g-14/laion2b_s12b_b42k", "encoder", 1024, 1366678273,
                   0, "MIT", "heads 88 wide"},
    PublishedModel{"laion/CLIP-ViT-g-14-laion2B-s34B-b88K", "ViT-g-14/laion2b_s34b_b88k", "encoder", 1024, 1366678273,
                   0, "MIT", "g/14, trained for longer"},
    PublishedModel{"laion/CLIP-ViT-bigG-14-laion2B-39B-b160k", "ViT-bigG-14/laion2b_s39b_b160k", "encoder", 1280,
                   2539567105, 0, "MIT", "the largest; 10 GB in float32"},
    PublishedModel{"yuvalkirstain/PickScore_v1", "", "scorer", 1024, 986109441, 3940000000, "",
                   "H/14 fine-tuned on Pick-a-Pic: 70.5 % of its test pairs; score = exp(logit_scale) cosine"},
    PublishedModel{"adams-story/HPSv2-hf", "", "scorer", 1024, 986109441, 1970000000, "",
                   "HPSv2 (H/14 fine-tuned on HPDv2: 83.3 % of its test) in Hugging Face's layout; score = cosine"},
    PublishedModel{"xswu/HPSv2", "", "scorer", 1024, 986109441, 1970000000, "Apache-2.0",
                   "HPSv2.1 as published, 84.1 % of HPDv2's test; weights alone, neither config nor tokenizer",
                   "HPS_v2.1_compressed.pt"},
};

constexpr std::array kOtherFiles = {"config.json",
                                    "open_clip_config.json",
                                    "preprocessor_config.json",
                                    "tokenizer.json",
                                    "tokenizer_config.json",
                                    "special_tokens_map.json",
                                    "vocab.json",
                                    "merges.txt",
                                    "bpe_simple_vocab_16e6.txt.gz",
                                    "README.md"};

/// What the weights may be called, preferred first; a file of shards is named by its index.
constexpr std::array kWeights = {"model.safetensors",           "model.safetensors.index.json",
                                 "open_clip_model.safetensors", "open_clip_pytorch_model.safetensors",
                                 "pytorch_model.bin",           "pytorch_model.bin.index.json",
                                 "open_clip_pytorch_model.bin"};

bool has(const std::vector<std::string>& paths, std::string_view name) {
  return std::ranges::find(paths, name) != paths.end();
}

/// "model-00001-of-00002.safetensors" for "model.safetensors.index.json".
bool is_shard_of(std::string_view path, std::string_view index) {
  constexpr std::string_view kIndex = ".index.json";
  if (!index.ends_with(kIndex)) return false;
  const std::string_view whole = index.substr(0, index.size() - kIndex.size());
  const std::size_t dot = whole.rfind('.');
  return path.starts_with(fmt::format("{}-", whole.substr(0, dot))) && path.ends_with(whole.substr(dot)) &&
         path.find("-of-") != std::string_view::npos;
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

/// Levenshtein's, letters of either case being one.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (lower(a[i - 1]) == lower(b[j - 1]) ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row.back();
}

hub_cache::Repository repository_of(const HubName& name) {
  return {hub_cache::RepositoryKind::kModel, name.repository, name.revision};
}

}  // namespace

std::span<const PublishedModel> published_models() { return kPublished; }

const PublishedModel* find_published(std::string_view name) noexcept {
  const auto* const found = std::ranges::find_if(kPublished, [&](const PublishedModel& model) {
    return model.repository == name || (!name.empty() && model.open_clip == name);
  });
  return found == kPublished.end() ? nullptr : found;
}

std::optional<HubName> parse_hub_name(std::string_view name) {
  HubName result;
  const std::size_t at = name.find('@');
  if (at != std::string_view::npos) {
    result.revision = name.substr(at + 1);
    if (!hub_cache::is_safe_file_name(result.revision)) return std::nullopt;
    name = name.substr(0, at);
  }
  const PublishedModel* const published = find_published(name);
  result.repository = published == nullptr ? name : published->repository;
  if (!hub_cache::is_repository_id(result.repository)) return std::nullopt;
  return result;
}

std::optional<std::filesystem::path> find_cached_model(const HubName& name) {
  const std::filesystem::path root = hub_cache::cache_folder(hub_cache::process_environment());
  if (root.empty()) return std::nullopt;
  const hub_cache::RepositoryCache cache(root, repository_of(name));
  const std::optional<std::string> commit = cache.read_ref(name.revision);
  std::error_code error;
  if (!commit || !std::filesystem::is_directory(cache.snapshot(*commit), error)) return std::nullopt;
  return cache.snapshot(*commit);
}

std::optional<std::string> cached_model_name(const std::filesystem::path& folder) {
  const std::filesystem::path snapshots = folder.parent_path();
  const auto repository = hub_cache::parse_folder_name(snapshots.parent_path().filename().string());
  if (snapshots.filename() != "snapshots" || !repository) return std::nullopt;
  if (repository->kind != hub_cache::RepositoryKind::kModel) return std::nullopt;
  return fmt::format("{}@{}", repository->id, folder.filename().string());
}

std::vector<std::string> choose_model_files(const std::vector<std::string>& paths, std::string_view weights) {
  std::string_view preferred = weights;
  if (preferred.empty()) {
    const auto* const found = std::ranges::find_if(kWeights, [&](const char* name) { return has(paths, name); });
    if (found != kWeights.end()) preferred = *found;
  }
  std::vector<std::string> chosen;
  for (const std::string& path : paths) {
    const bool other = std::ranges::find(kOtherFiles, path) != kOtherFiles.end();
    if (other || path == preferred || is_shard_of(path, preferred)) chosen.push_back(path);
  }
  return chosen;
}

bool is_weight_file(std::string_view name) noexcept {
  return name.ends_with(".safetensors") || name.ends_with(".bin") || name.ends_with(".pt") || name.ends_with(".pth");
}

std::vector<std::string> near_names(std::string_view name, const std::vector<std::string>& known) {
  constexpr std::size_t kMost = 3;
  std::vector<std::pair<std::size_t, std::string>> near;
  for (const std::string& candidate : known) {
    // The part behind the slash may be all that was given.
    const std::string_view tail = std::string_view(candidate).substr(candidate.find('/') + 1);
    const std::size_t distance = std::min(edit_distance(name, candidate), edit_distance(name, tail));
    if (distance <= std::max<std::size_t>(2, name.size() / 4)) near.emplace_back(distance, candidate);
  }
  std::ranges::stable_sort(near, {}, [](const auto& pair) { return pair.first; });
  std::vector<std::string> names;
  for (auto& [distance, candidate] : near) {
    if (names.size() < kMost) names.push_back(std::move(candidate));
  }
  return names;
}

std::vector<std::string> known_model_names() {
  std::vector<std::string> names = {"builtin/sample"};
  for (const PublishedModel& model : kPublished) {
    names.emplace_back(model.repository);
    if (!model.open_clip.empty()) names.emplace_back(model.open_clip);
  }
  const auto root = hub_cache::cache_folder(hub_cache::process_environment());
  for (const hub_cache::Repository& repository :
       hub_cache::list_repositories(root, hub_cache::RepositoryKind::kModel)) {
    if (find_published(repository.id) == nullptr) names.push_back(repository.id);
  }
  return names;
}

std::string suggestion(std::string_view name) {
  const std::vector<std::string> near = near_names(name, known_model_names());
  return near.empty() ? "" : fmt::format("; did you mean {}?", fmt::join(near, " or "));
}

}  // namespace imagerank::clip
