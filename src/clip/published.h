#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace imagerank::clip {

/// A CLIP model that others have published in a hub's repository.
struct PublishedModel {
  std::string_view repository;       ///< "openai/clip-vit-base-patch32"
  std::string_view open_clip;        ///< the pair that open_clip knows the same weights by, "ViT-B-32/openai"; or ""
  std::string_view kind;             ///< "encoder", or "scorer": fine-tuned to tell which image people prefer
  std::int64_t dim = 0;              ///< numbers in a vector
  std::int64_t parameters = 0;       ///< in both towers
  std::uint64_t download_bytes = 0;  ///< of its weights; 0: not known before it is asked for
  std::string_view licence;          ///< an SPDX name; "": not known before it is asked for
  std::string_view about;            ///< one line: what it is good for
  std::string_view weights = {};     ///< their file, where it has a name of its own
};

/// Every such model, encoders first. Source of the pairs: open_clip's src/open_clip/pretrained.py.
[[nodiscard]] std::span<const PublishedModel> published_models();
/// By repository or by open_clip pair; nullptr for others.
[[nodiscard]] const PublishedModel* find_published(std::string_view name) noexcept;

/// A model in a hub: "ORG/NAME", "ORG/NAME@REVISION", or an open_clip pair as ORG/NAME.
struct HubName {
  std::string repository;
  std::string revision = "main";
};
/// nullopt for what could be none, such as a path with three parts.
[[nodiscard]] std::optional<HubName> parse_hub_name(std::string_view name);

/// The snapshot of a model in the cache that Hugging Face's tools share, for the revision that was pulled last.
/// No network. nullopt if it is not there. @throws Error kCorruptData for a cache that cannot be read.
[[nodiscard]] std::optional<std::filesystem::path> find_cached_model(const HubName& name);
/// What a cached snapshot is called: "ORG/NAME@COMMIT"; nullopt for a folder that is none.
[[nodiscard]] std::optional<std::string> cached_model_name(const std::filesystem::path& folder);

/// Which of a repository's files a model is: config, preprocessing, tokenizer, its card, and of the weights those that
/// are preferred: model.safetensors, its shards, open_clip's, then the same as .bin. None below a folder.
/// @param weights  the weights' file, where it has a name of its own. @return in the order of `paths`; without weights
/// if there are none.
[[nodiscard]] std::vector<std::string> choose_model_files(const std::vector<std::string>& paths,
                                                          std::string_view weights = {});
[[nodiscard]] bool is_weight_file(std::string_view name) noexcept;

/// Names among `known` that look like `name`, nearest first, three at most.
[[nodiscard]] std::vector<std::string> near_names(std::string_view name, const std::vector<std::string>& known);
/// Every name that needs no path: built in, published, cached.
[[nodiscard]] std::vector<std::string> known_model_names();
/// "; did you mean a or b?", or "".
[[nodiscard]] std::string suggestion(std::string_view name);

}  // namespace imagerank::clip
