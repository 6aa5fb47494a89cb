#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "clip/encoder.h"
#include "clip/model_config.h"

namespace imagerank::clip {

/// What a model folder holds, from its config and the header of its weights.
struct ModelInfo {
  std::string name;              ///< as it was asked for
  std::filesystem::path folder;  ///< absolute
  ModelConfig config;
  std::string layout;             ///< layout_name()
  std::filesystem::path weights;  ///< the file, or the index of its shards
  std::string tokenizer;          ///< the file it would be read from, "" if the folder has none
  bool has_preprocessing = false;
  images::PreprocessOptions preprocessing;  ///< meaningful with has_preprocessing
};

/// @param model  as in resolve_model. @throws Error kNotFound, kCorruptData.
[[nodiscard]] ModelInfo load_model_info(const std::string& model);

/// The models that have a name without a download and are there: today "builtin/sample".
[[nodiscard]] std::vector<ModelInfo> list_builtin_models();

/// Writes config.json (marked "imagerank_untrained"), preprocessor_config.json and model.safetensors (float16) with
/// random weights by Hugging Face's scheme. With a tokenizer folder its files are copied, and vocabulary size and ids
/// of start and end follow it. Same seed, same bytes.
/// @throws Error kRefused if the folder holds a model already, kNotFound, kCorruptData, kIo.
void write_random_model(ModelConfig config, const std::filesystem::path& folder, std::uint64_t seed,
                        const std::optional<std::filesystem::path>& tokenizer_folder);

/// Writes folder/preprocessor_config.json as Hugging Face's CLIPImageProcessor reads it; of kShortestEdge only.
void save_preprocess_options(const images::PreprocessOptions& options, const std::filesystem::path& folder);

/// How a folder's model wants its images: by preprocessor_config.json, else open_clip_config.json; without either,
/// OpenAI's archives are known; HPSv2's checkpoints (HPS_v2*) are known unless the first is there. @throws Error
/// kNotFound, kCorruptData, naming the file.
[[nodiscard]] images::PreprocessOptions load_preprocessing(const std::filesystem::path& folder);

/// The same under a scorer's rules. @param config  the model's. @throws Error kNotFound if neither folder nor rules say
/// anything.
[[nodiscard]] images::PreprocessOptions load_preprocessing(const std::filesystem::path& folder,
                                                           const ModelConfig& config, const InputRules& rules);

/// What Tokenizer::load would read in a folder, by name; empty if there is nothing.
[[nodiscard]] std::vector<std::string> find_tokenizer_files(const std::filesystem::path& folder);

/// Threads of the towers' products, for the whole process: libtorch's and OpenBLAS's. At least 1.
void set_tower_threads(int threads);
[[nodiscard]] int tower_threads();

/// One line if the BLAS behind libtorch is the reference implementation, which is some forty times slower.
[[nodiscard]] std::optional<std::string> slow_blas_warning();
/// The same for the library file that would provide it, links resolved.
[[nodiscard]] std::optional<std::string> slow_blas_warning(const std::filesystem::path& library);

}  // namespace imagerank::clip
