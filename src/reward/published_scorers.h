#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "clip/encoder.h"

namespace imagerank::reward {

/// How a published scorer makes a number of an image's and a prompt's vector.
enum class ScoreRule {
  kCosine,        ///< cos
  kScaledCosine,  ///< exp(logit_scale) cos, of the encoder's own weights
  kClipScore,     ///< 2.5 max(cos, 0)
  kLinearHead,    ///< a head in a file of its own (reward/published_head.h); the prompt does not matter
  kCross,         ///< what a cross-encoder (blip/cross_encoder.h) says of image and prompt together
};

/// A file in a repository of a hub.
struct HubFile {
  std::string_view repository;
  std::string_view file;  ///< "": the model that the repository is
};

/// A scorer that others have published: all that decides on its numbers.
struct PublishedScorer {
  std::string_view name;   ///< what --reward takes: "pickscore"
  std::string_view title;  ///< "PickScore v1"
  ScoreRule rule = ScoreRule::kCosine;
  HubFile encoder;                       ///< the weights of its towers
  HubFile head = {};                     ///< of kLinearHead
  std::string_view encoder_config = {};  ///< a file beside the encoder's weights, of a name of its own
  HubFile vocabulary = {};               ///< of kCross, whose tokenizer is not CLIP's
  std::string_view head_page = {};       ///< where the head was published
  std::size_t dim = 0;                   ///< numbers a vector; of kCross 0
  std::string_view text_prefix = {};
  std::optional<images::Resize> resize = std::nullopt;
  images::CropRounding crop_rounding = images::CropRounding::kEven;
  clip::TextCleaning text_cleaning = clip::TextCleaning::kOpenAi;
  bool own_antialias = false;  ///< --hps-antialias says whether its resizing antialiases
  double table_scale = 1.0;    ///< by which published tables multiply its numbers
  std::string_view range;      ///< what its numbers look like
  std::string_view source;     ///< paper and code

  [[nodiscard]] bool reads_text() const noexcept { return rule != ScoreRule::kLinearHead; }
};

/// The one table of scorers.
[[nodiscard]] std::span<const PublishedScorer> published_scorers();
/// By name; nullptr for others.
[[nodiscard]] const PublishedScorer* find_scorer(std::string_view name) noexcept;
[[nodiscard]] std::vector<std::string_view> scorer_names();
/// The scorer whose head's file is called so: what a file's name promises. nullptr for others.
[[nodiscard]] const PublishedScorer* find_scorer_of_head(std::string_view file) noexcept;

/// Where files that are no CLIP are looked for first: $IMAGERANK_SCORERS, else $XDG_DATA_HOME/imagerank/scorers,
/// else ~/.local/share/imagerank/scorers; empty if not even HOME is set.
[[nodiscard]] std::filesystem::path scorers_folder();

/// Where a scorer's encoder is, as --model has it: a hub's name, or the path of a pulled file of weights.
/// No network. @throws Error kNotFound: one line that says which file, where to, and what pulls it.
[[nodiscard]] std::string find_scorer_model(const PublishedScorer& scorer);
/// The file of weights that --model names for a scorer whose weights are no CLIP: it, one of the scorer's name in a
/// folder or in a pulled repository. @throws Error kNotFound, likewise.
[[nodiscard]] std::filesystem::path find_scorer_weights(const PublishedScorer& scorer, const std::string& model);
/// A folder with a scorer's vocabulary: its weights' own, scorers_folder(), or a pulled repository's. @param weights
/// its file. @throws Error kNotFound, likewise.
[[nodiscard]] std::filesystem::path find_scorer_vocabulary(const PublishedScorer& scorer,
                                                           const std::filesystem::path& weights);
/// Where a scorer's head is: in scorers_folder() or in the cache of a hub. @throws Error kNotFound, likewise.
[[nodiscard]] std::filesystem::path find_scorer_head(const PublishedScorer& scorer);
/// A folder with CLIP's tokenizer for a model: its own ("" then), else that of a CLIP that was pulled.
/// @param model  a name, folder or file. @throws Error kNotFound, likewise.
[[nodiscard]] std::string find_clip_tokenizer(const std::string& title, const std::string& model);
/// Why a scorer, or its head alone, cannot be used as things are; "" if it can.
[[nodiscard]] std::string scorer_problem(const PublishedScorer& scorer);
[[nodiscard]] std::string scorer_head_problem(const PublishedScorer& scorer);
/// The repository whose tokenizer stands in for one that a scorer's repository lacks.
inline constexpr std::string_view kTokenizerRepository = "laion/CLIP-ViT-H-14-laion2B-s32B-b79K";

/// exp(logit_scale) of a model's weights. @throws Error kCorruptData if there is none.
[[nodiscard]] double read_score_scale(const std::string& model);
/// Numbers in a vector of a model. @throws Error as clip::load_model_config.
[[nodiscard]] std::size_t read_model_dim(const std::string& model);

}  // namespace imagerank::reward
