#include "cli/command_pretrain.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "cli/pixel_rows.h"
#include "clip/pretrain.h"
#include "clip/retrieval.h"
#include "clip/tokenizer.h"
#include "core/atomic_file.h"
#include "core/fail.h"
#include "core/item_failure.h"
#include "core/progress.h"
#include "images/preprocess.h"
#include "workspace/workspace.h"

namespace imagerank::cli {
namespace {

using Json = nlohmann::ordered_json;
constexpr std::int64_t kHeadWidth = 32;
constexpr std::size_t kRetrievalGroup = 64;
constexpr const char* kRecordName = "pretrain.json";

struct CaptionedFile {
  std::filesystem::path path;
  std::string caption;
};

/// What `pretrain` learns from: decoded images and captions.
struct Pairs {
  std::vector<std::uint8_t> pixels;  ///< [N, S, S, 3]
  std::vector<std::string> captions;
  std::vector<ItemFailure> failures;
};

/// Images that know what they were made from; in a workspace without any, the winners of its rankings.
std::vector<CaptionedFile> list_pairs(const workspace::Workspace& workspace) {
  std::vector<CaptionedFile> pairs;
  std::map<std::string, const workspace::Image*> by_uid;
  const std::vector<workspace::Image> images = workspace.load_images();
  for (const workspace::Image& image : images) {
    if (image.status != "ok") continue;
    by_uid.emplace(image.image_uid, &image);
    if (!image.prompt.empty()) pairs.push_back({workspace.resolve(image), image.prompt});
  }
  if (!pairs.empty() || !workspace.has_table("rankings")) return pairs;
  for (const workspace::Ranking& ranking : workspace.load_rankings()) {
    if (!ranking.best_image_uid || ranking.prompt.empty()) continue;
    const auto image = by_uid.find(*ranking.best_image_uid);
    if (image != by_uid.end()) pairs.push_back({workspace.resolve(*image->second), ranking.prompt});
  }
  return pairs;
}

/// Decodes every file. A broken one is a failure, and its pair is left out.
Pairs load_pairs(const std::filesystem::path& folder, std::int64_t side, const RunContext& context) {
  const auto workspace = workspace::Workspace::open(folder);
  std::vector<std::filesystem::path> paths;
  const std::vector<CaptionedFile> files = list_pairs(workspace);
  for (const CaptionedFile& file : files) paths.push_back(file.path);
  images::PreprocessOptions sizes;
  sizes.resize_shortest_edge = sizes.crop_size = static_cast<std::int32_t>(side);
  PixelRows rows = load_pixel_rows(paths, sizes, context);
  Pairs pairs;
  pairs.pixels = std::move(rows.pixels);
  pairs.failures = std::move(rows.failures);
  for (const std::size_t file : rows.files) pairs.captions.push_back(files[file].caption);
  if (pairs.captions.size() < 2) {
    fail(ErrorCode::kNotFound,
         "{}: expected two or more fetched images with a prompt (images.parquet), or rankings with a best image; "
         "found {}",
         folder.string(), pairs.captions.size());
  }
  return pairs;
}

std::vector<std::vector<std::int32_t>> tokenize_all(const clip::Tokenizer& tokenizer,
                                                    const std::vector<std::string>& captions) {
  std::vector<std::vector<std::int32_t>> tokens;
  tokens.reserve(captions.size());
  for (const std::string& caption : captions) tokens.push_back(tokenizer.tokenize(caption));
  return tokens;
}

clip::ModelConfig model_config(const PretrainOptions& options, const clip::Tokenizer& tokenizer) {
  const auto tower = [](std::int64_t width, std::int64_t layers) {
    clip::TowerConfig config;
    config.width = width;
    config.layers = layers;
    config.heads = std::max<std::int64_t>(1, width / kHeadWidth);
    config.mlp_width = 4 * width;
    return config;
  };
  clip::ModelConfig config;
  config.vision = tower(options.width, options.layers);
  config.text = tower(options.text_width, options.text_layers);
  config.image_size = options.image_size;
  config.patch_size = options.patch;
  config.vocabulary_size = tokenizer.vocabulary_size();
  config.context_length = options.context;
  config.projection_dim = options.dim;
  config.bos_token_id = tokenizer.start_of_text();
  config.eos_token_id = tokenizer.end_of_text();
  return config;
}

Json options_json(const PretrainOptions& options) {
  return {{"steps", options.steps},
          {"epochs", options.epochs},
          {"batch", options.batch},
          {"lr", options.learning_rate},
          {"weight_decay", options.weight_decay},
          {"ngram_weight", options.ngram_weight},
          {"seed", options.seed},
          {"max_minutes", options.max_minutes},
          {"bf16", options.bfloat16},
          {"image_size", options.image_size},
          {"patch", options.patch},
          {"width", options.width},
          {"layers", options.layers},
          {"text_width", options.text_width},
          {"text_layers", options.text_layers},
          {"dim", options.dim},
          {"context", options.context},
          {"vocab", options.vocabulary}};
}

/// The record of a finished run with these options; null if there is none, or only a run that was cut off.
/// @throws Error kRefused for another run's.
Json find_finished(const PretrainOptions& options) {
  const std::filesystem::path path = options.out / kRecordName;
  if (options.overwrite || !std::filesystem::exists(options.out / "model.safetensors")) return nullptr;
  if (std::filesystem::exists(path)) {
    const Json record = Json::parse(load_file(path), nullptr, false);
    if (record.is_object() && record.contains("options") && record.at("options") == options_json(options)) {
      return record.contains("steps") ? record : Json(nullptr);
    }
  }
  fail(ErrorCode::kRefused,
       "{}: expected no model, or one that the same options made; found another (--overwrite replaces it)",
       options.out.string());
}

void write_preprocessor_config(const std::filesystem::path& folder, std::int64_t side) {
  const images::PreprocessOptions clip;
  const auto three = [](const std::array<float, 3>& values) {
    Json list = Json::array();
    for (const float value : values) list.push_back(std::round(static_cast<double>(value) * 1e8) / 1e8);
    return list;
  };
  const Json config = {{"image_processor_type", "CLIPImageProcessor"},
                       {"do_resize", true},
                       {"size", {{"shortest_edge", side}}},
                       {"resample", 3},
                       {"do_center_crop", true},
                       {"crop_size", {{"height", side}, {"width", side}}},
                       {"do_rescale", true},
                       {"rescale_factor", 1.0 / 255.0},
                       {"do_normalize", true},
                       {"image_mean", three(clip.mean)},
                       {"image_std", three(clip.std)},
                       {"do_convert_rgb", true}};
  write_file_atomically(folder / "preprocessor_config.json", config.dump(2) + "\n");
}

/// The pairs of --eval-data, none without it. @throws Error kInvalidArgument for fewer than a group.
Pairs load_eval_pairs(const PretrainOptions& options, Terminal& terminal, const RunContext& context) {
  if (options.eval_data.empty()) return {};
  Pairs pairs = load_pairs(options.eval_data, options.image_size, context);
  for (const ItemFailure& failure : pairs.failures) terminal.warn(failure.detail);
  if (pairs.captions.size() < kRetrievalGroup) {
    fail(ErrorCode::kInvalidArgument, "{}: expected at least {} images with a prompt, found {}",
         options.eval_data.string(), kRetrievalGroup, pairs.captions.size());
  }
  return pairs;
}

Json measure(const PretrainOptions& options, const Pairs& pairs, const clip::Tokenizer& tokenizer,
             const RunContext& context) {
  if (pairs.captions.empty()) return nullptr;
  const auto tokens = tokenize_all(tokenizer, pairs.captions);
  const clip::Retrieval found =
      clip::measure_retrieval({pairs.pixels, tokens}, options.out, kRetrievalGroup, options.seed, context);
  return {{"top1", found.top1}, {"group", found.group}, {"captions", found.captions}};
}

void print_record(std::ostream& out, const Json& record, const std::filesystem::path& folder) {
  out << fmt::format("{}: {} parameters, {} steps on {} pairs in {:.0f} s, loss {:.4f}\n", folder.string(),
                     with_thousands(record.at("parameters").get<std::uint64_t>()),
                     with_thousands(record.at("steps").get<std::uint64_t>()),
                     with_thousands(record.at("pairs").get<std::uint64_t>()), record.at("seconds").get<double>(),
                     record.at("loss").get<double>());
  if (!record.at("retrieval").is_null()) {
    const Json& retrieval = record.at("retrieval");
    out << fmt::format("text to image, top 1 of {}: {:.1f} % of {} captions\n", retrieval.at("group").get<int>(),
                       100.0 * retrieval.at("top1").get<double>(),
                       with_thousands(retrieval.at("captions").get<std::uint64_t>()));
  }
}

}  // namespace

int run_pretrain(const PretrainOptions& options, Terminal& terminal) {
  const RunContext context = terminal.context();
  const auto finish = [&](const Json& record) {
    terminal.result(record, [&](std::ostream& out) { print_record(out, record, options.out); });
    return 0;
  };
  if (const Json finished = find_finished(options); !finished.is_null()) {
    terminal.note("already trained with these options");
    return finish(finished);
  }
  const Pairs pairs = load_pairs(options.data, options.image_size, context);
  for (const ItemFailure& failure : pairs.failures) terminal.warn(failure.detail);
  const Pairs eval_pairs = load_eval_pairs(options, terminal, context);
  if (options.overwrite) {
    for (const char* name : {"model.safetensors", kRecordName}) std::filesystem::remove(options.out / name);
  }
  // Without "steps": begun. The same command goes on from the checkpoint.
  write_file_atomically(options.out / kRecordName, Json{{"options", options_json(options)}}.dump(2) + "\n");
  clip::train_tokenizer(pairs.captions, options.vocabulary, options.out);
  const clip::Tokenizer tokenizer = clip::Tokenizer::load(options.out);
  const auto tokens = tokenize_all(tokenizer, pairs.captions);

  clip::PretrainOptions training;
  training.model = model_config(options, tokenizer);
  training.batch = options.batch;
  const double per_epoch = std::max(1.0, static_cast<double>(tokens.size()) / static_cast<double>(options.batch));
  training.steps = options.steps > 0 ? options.steps : std::max(1L, std::lround(options.epochs * per_epoch));
  training.learning_rate = options.learning_rate;
  training.weight_decay = options.weight_decay;
  training.ngram_weight = options.ngram_weight;
  training.seed = options.seed;
  training.max_seconds = options.max_minutes * 60.0;
  training.bfloat16 = options.bfloat16;
  write_preprocessor_config(options.out, options.image_size);
  const clip::PretrainResult trained = clip::pretrain({pairs.pixels, tokens}, training, options.out, context);

  const Json record = {{"steps", trained.steps},
                       {"seconds", trained.seconds},
                       {"loss", trained.loss},
                       {"ngram_loss", trained.ngram_loss},
                       {"ngrams", trained.ngrams},
                       {"pairs", tokens.size()},
                       {"failed", pairs.failures.size()},
                       {"parameters", training.model.parameter_count()},
                       {"threads", context.thread_count()},
                       {"retrieval", measure(options, eval_pairs, tokenizer, context)},
                       {"options", options_json(options)}};
  write_file_atomically(options.out / kRecordName, record.dump(2) + "\n");
  return finish(record);
}

std::function<int(Terminal&)> add_pretrain(CLI::App& command) {
  auto options = std::make_shared<PretrainOptions>();
  command.add_option("--data", options->data, "workspace of images with prompts (or rankings)")->required();
  command.add_option("--out", options->out, "folder of the new model, Hugging Face's layout")->required();
  command.add_option("--eval-data", options->eval_data, "workspace never trained on: measures text-to-image retrieval");
  command.add_option("--epochs", options->epochs, "passes over the pairs")
      ->check(CLI::Range(1e-3, 1e6))
      ->capture_default_str();
  command.add_option("--steps", options->steps, "batches, instead of --epochs")->check(CLI::Range(1, 1'000'000'000));
  command.add_option("--batch", options->batch, "pairs a step")->check(CLI::Range(2, 65536))->capture_default_str();
  command.add_option("--lr", options->learning_rate, "peak learning rate")
      ->check(CLI::Range(1e-9, 10.0))
      ->capture_default_str();
  command.add_option("--weight-decay", options->weight_decay, "on matrices")
      ->check(CLI::Range(0.0, 10.0))
      ->capture_default_str();
  command.add_option("--ngram-weight", options->ngram_weight, "weight of the auxiliary caption loss; 0: plain CLIP")
      ->check(CLI::Range(0.0, 1000.0))
      ->capture_default_str();
  command.add_option("--seed", options->seed, "of weights and order")->capture_default_str();
  command.add_option("--max-minutes", options->max_minutes, "shrinks the schedule to end by then; 0: no limit")
      ->check(CLI::Range(0.0, 1e6))
      ->capture_default_str();
  command.add_flag("--bf16", options->bfloat16, "products in bfloat16: faster where the processor has it");
  command.add_flag("--overwrite", options->overwrite, "replace a finished model");
  command.add_option("--image-size", options->image_size, "pixels")->check(CLI::Range(8, 1024))->capture_default_str();
  command.add_option("--patch", options->patch, "pixels of a patch's side")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  command.add_option("--width", options->width, "of the vision tower")
      ->check(CLI::Range(32, 8192))
      ->capture_default_str();
  command.add_option("--layers", options->layers, "of the vision tower")
      ->check(CLI::Range(1, 128))
      ->capture_default_str();
  command.add_option("--text-width", options->text_width, "of the text tower")
      ->check(CLI::Range(32, 8192))
      ->capture_default_str();
  command.add_option("--text-layers", options->text_layers, "of the text tower")
      ->check(CLI::Range(1, 128))
      ->capture_default_str();
  command.add_option("--dim", options->dim, "numbers in a vector")->check(CLI::Range(2, 8192))->capture_default_str();
  command.add_option("--context", options->context, "longest caption in tokens")
      ->check(CLI::Range(4, 4096))
      ->capture_default_str();
  command.add_option("--vocab", options->vocabulary, "tokens, at most")
      ->check(CLI::Range(514, 1'000'000))
      ->capture_default_str();
  command.footer(
      "Example:\n"
      "  imagerank simulate --data scenes --captions 20000 --hold-out exclude\n"
      "  imagerank pretrain --data scenes --out my-encoder --epochs 10 --seed 1");
  return [options](Terminal& terminal) { return run_pretrain(*options, terminal); };
}

}  // namespace imagerank::cli
