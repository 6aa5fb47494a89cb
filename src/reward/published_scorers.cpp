#include "reward/published_scorers.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <system_error>
#include <vector>

#include "clip/model_config.h"
#include "clip/models.h"
#include "clip/published.h"
#include "clip/weight_files.h"
#include "core/fail.h"
#include "hub_cache/cache.h"
#include "hub_cache/environment.h"

namespace imagerank::reward {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kClipB32 = "openai/clip-vit-base-patch32";
constexpr std::string_view kClipL14 = "openai/clip-vit-large-patch14";

constexpr std::array kScorers = {
    PublishedScorer{.name = "clipscore",
                    .title = "CLIPScore",
                    .rule = ScoreRule::kClipScore,
                    .encoder = {kClipB32, ""},
                    .dim = 512,
                    .text_prefix = "A photo depicts ",
                    .range = "0 to 2.5, often 0.5 to 0.9",
                    .source = "Hessel et al. 2021; github.com/jmhessel/clipscore"},
    PublishedScorer{.name = "pickscore",
                    .title = "PickScore v1",
                    .rule = ScoreRule::kScaledCosine,
                    .encoder = {"yuvalkirstain/PickScore_v1", ""},
                    .dim = 1024,
                    .resize = images::Resize::kShortestEdge,
                    .crop_rounding = images::CropRounding::kDown,
                    .text_cleaning = clip::TextCleaning::kHuggingFace,
                    .range = "about 17 to 24",
                    .source = "Kirstain et al. 2023; github.com/yuvalkirstain/PickScore"},
    PublishedScorer{.name = "hpsv2",
                    .title = "HPS v2",
                    .encoder = {"xswu/HPSv2", "HPS_v2_compressed.pt"},
                    .dim = 1024,
                    .resize = images::Resize::kLongestEdge,
                    .own_antialias = true,
                    .table_scale = 100.0,
                    .range = "0.2 to 0.35; published tables show 100 times as much",
                    .source = "Wu et al. 2023; github.com/tgxs002/HPSv2"},
    PublishedScorer{.name = "hpsv2.1",
                    .title = "HPS v2.1",
                    .encoder = {"xswu/HPSv2", "HPS_v2.1_compressed.pt"},
                    .dim = 1024,
                    .resize = images::Resize::kLongestEdge,
                    .own_antialias = true,
                    .table_scale = 100.0,
                    .range = "0.1 to 0.35; published tables show 100 times as much",
                    .source = "Wu et al. 2023; github.com/tgxs002/HPSv2"},
    PublishedScorer{.name = "aesthetic-v1",
                    .title = "LAION aesthetic v1",
                    .rule = ScoreRule::kLinearHead,
                    .encoder = {kClipL14, ""},
                    .head = {"", "sa_0_4_vit_l_14_linear.pth"},
                    .head_page = "https://github.com/LAION-AI/aesthetic-predictor/raw/main/sa_0_4_vit_l_14_linear.pth",
                    .dim = 768,
                    .range = "about 1 to 10",
                    .source = "github.com/LAION-AI/aesthetic-predictor"},
    PublishedScorer{.name = "aesthetic-v2",
                    .title = "LAION aesthetic v2",
                    .rule = ScoreRule::kLinearHead,
                    .encoder = {kClipL14, ""},
                    .head = {"camenduru/improved-aesthetic-predictor", "sac+logos+ava1-l14-linearMSE.pth"},
                    .head_page = "https://github.com/christophschuhmann/improved-aesthetic-predictor/raw/main/"
                                 "sac%2Blogos%2Bava1-l14-linearMSE.pth",
                    .dim = 768,
                    .range = "about 1 to 10",
                    .source = "github.com/christophschuhmann/improved-aesthetic-predictor"},
    PublishedScorer{.name = "imagereward",
                    .title = "ImageReward v1.0",
                    .rule = ScoreRule::kCross,
                    .encoder = {"THUDM/ImageReward", "ImageReward.pt"},
                    .encoder_config = "med_config.json",
                    .vocabulary = {"google-bert/bert-base-uncased", "vocab.txt"},
                    .range = "about -2 to 2",
                    .source = "Xu et al. 2023; github.com/THUDM/ImageReward"},
};

std::string cache_text() { return hub_cache::cache_folder(hub_cache::process_environment()).string(); }

/// A pulled repository's folder.
std::optional<fs::path> find_pulled(std::string_view repository) {
  if (repository.empty()) return std::nullopt;
  return clip::find_cached_model({std::string(repository), "main"});
}

bool is_file(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

}  // namespace

std::span<const PublishedScorer> published_scorers() { return kScorers; }

const PublishedScorer* find_scorer(std::string_view name) noexcept {
  const auto* const found = std::ranges::find(kScorers, name, &PublishedScorer::name);
  return found == kScorers.end() ? nullptr : found;
}

std::vector<std::string_view> scorer_names() {
  std::vector<std::string_view> names;
  for (const PublishedScorer& scorer : kScorers) names.push_back(scorer.name);
  return names;
}

const PublishedScorer* find_scorer_of_head(std::string_view file) noexcept {
  const auto* const found =
      std::ranges::find_if(kScorers, [&](const PublishedScorer& scorer) { return scorer.head.file == file; });
  return file.empty() || found == kScorers.end() ? nullptr : found;
}

fs::path scorers_folder() {
  const hub_cache::Environment environment = hub_cache::process_environment();
  const auto set = [&](const char* name) { return hub_cache::first_of(environment, {name}); };
  if (const std::string own = set("IMAGERANK_SCORERS"); !own.empty()) return hub_cache::with_home(environment, own);
  if (const std::string data = set("XDG_DATA_HOME"); !data.empty()) return fs::path(data) / "imagerank/scorers";
  const std::string home = set("HOME");
  return home.empty() ? fs::path() : fs::path(home) / ".local/share/imagerank/scorers";
}

std::string find_scorer_model(const PublishedScorer& scorer) {
  const HubFile& wanted = scorer.encoder;
  const bool alone = scorer.rule == ScoreRule::kCross;  // a file that is no CLIP
  if (alone && is_file(scorers_folder() / wanted.file)) return (scorers_folder() / wanted.file).string();
  const auto folder = find_pulled(wanted.repository);
  bool there = false;
  if (folder && !wanted.file.empty()) {
    if (is_file(*folder / wanted.file)) return (*folder / wanted.file).string();
  } else if (folder) {
    try {
      (void)clip::find_weight_files(*folder);
      there = true;
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kNotFound) throw;
    }
  }
  if (there) return std::string(wanted.repository);
  fail(ErrorCode::kNotFound,
       "scorer {}: expected its encoder's weights, {} of {}, in {}{}, found none; `imagerank models pull {}` brings "
       "them, "
       "or --model says where they are",
       scorer.name, wanted.file.empty() ? "model.safetensors" : wanted.file, wanted.repository,
       alone ? fmt::format("{} or ", scorers_folder().string()) : "", cache_text(), scorer.name);
}

fs::path find_scorer_weights(const PublishedScorer& scorer, const std::string& model) {
  if (is_file(model)) return model;
  const std::string_view file = scorer.encoder.file;
  if (is_file(fs::path(model) / file)) return fs::path(model) / file;
  const auto name = clip::parse_hub_name(model);
  const auto pulled = name ? clip::find_cached_model(*name) : std::nullopt;
  if (pulled && is_file(*pulled / file)) return *pulled / file;
  fail(ErrorCode::kNotFound, "scorer {}: expected {} at {}, found none", scorer.name, file, model);
}

fs::path find_scorer_vocabulary(const PublishedScorer& scorer, const fs::path& weights) {
  const HubFile& wanted = scorer.vocabulary;
  // The repository had no owner in its name once, and old caches have it so.
  const std::string_view former = wanted.repository.substr(wanted.repository.find('/') + 1);
  for (const fs::path& folder : {weights.parent_path(), scorers_folder(), find_pulled(wanted.repository).value_or(""),
                                 find_pulled(former).value_or("")}) {
    if (!folder.empty() && is_file(folder / wanted.file)) return folder;
  }
  fail(ErrorCode::kNotFound,
       "scorer {}: expected its vocabulary, {} of {}, beside {}, in {} or {}, found none; `imagerank models pull {}` "
       "brings it, or --tokenizer says in which folder it is",
       scorer.name, wanted.file, wanted.repository, weights.string(), scorers_folder().string(), cache_text(),
       scorer.name);
}

fs::path find_scorer_head(const PublishedScorer& scorer) {
  const fs::path folder = scorers_folder();
  fs::path put_here = folder / scorer.head.file;
  if (!folder.empty() && is_file(put_here)) return put_here;
  if (const auto pulled = find_pulled(scorer.head.repository); pulled && is_file(*pulled / scorer.head.file)) {
    return *pulled / scorer.head.file;
  }
  fail(ErrorCode::kNotFound, "scorer {}: expected its head {} in {}, found none; {}put {} there", scorer.name,
       scorer.head.file, folder.string(),
       scorer.head.repository.empty() ? "" : fmt::format("`imagerank models pull {}` brings it, or ", scorer.name),
       scorer.head_page);
}

std::string find_clip_tokenizer(const std::string& title, const std::string& model) {
  const fs::path own = clip::resolve_model(model);
  if (!clip::find_tokenizer_files(own).empty()) return "";
  for (const std::string_view repository : {kTokenizerRepository, kClipL14, kClipB32}) {
    const auto folder = find_pulled(repository);
    if (folder && !clip::find_tokenizer_files(*folder).empty()) return folder->string();
  }
  fail(ErrorCode::kNotFound,
       "scorer {}: expected CLIP's tokenizer.json beside {} or with {} in {}, found none; `imagerank models pull {}` "
       "brings it, or --tokenizer says where one is",
       title, own.string(), kTokenizerRepository, cache_text(), title);
}

std::string scorer_head_problem(const PublishedScorer& scorer) {
  try {
    if (scorer.rule == ScoreRule::kLinearHead) (void)find_scorer_head(scorer);
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

std::string scorer_problem(const PublishedScorer& scorer) {
  if (std::string problem = scorer_head_problem(scorer); !problem.empty()) return problem;
  try {
    const std::string model = find_scorer_model(scorer);
    if (scorer.rule == ScoreRule::kCross) {
      (void)find_scorer_vocabulary(scorer, model);
    } else if (scorer.reads_text()) {
      (void)find_clip_tokenizer(std::string(scorer.name), model);
    }
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

double read_score_scale(const std::string& model) {
  const clip::WeightTensors weights(clip::resolve_weights(model));
  const auto found = weights.tensors().find("logit_scale");
  if (found == weights.tensors().end() || !is_floating(found->second->type)) {
    fail(ErrorCode::kCorruptData, "{}: expected logit_scale, by which the cosine is multiplied, found none",
         weights.place().string());
  }
  const std::vector<float> values = found->second->to_float();
  if (values.size() != 1 || !std::isfinite(values.front())) {
    fail(ErrorCode::kCorruptData, "{}: tensor 'logit_scale': expected one finite number, found {}",
         weights.place().string(), values.size() == 1 ? fmt::format("{}", values.front()) : "several");
  }
  return std::exp(double{values.front()});
}

std::size_t read_model_dim(const std::string& model) {
  return static_cast<std::size_t>(clip::load_model_config(clip::resolve_weights(model)).projection_dim);
}

}  // namespace imagerank::reward
