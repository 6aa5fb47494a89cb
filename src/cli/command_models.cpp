#include "cli/command_models.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <ostream>

#include "cli/models_output.h"
#include "clip/engine.h"
#include "clip/models.h"
#include "core/fail.h"

namespace imagerank::cli {
namespace {

const char* activation_name(clip::Activation activation) {
  return activation == clip::Activation::kQuickGelu ? "quick_gelu" : "gelu";
}

const char* rounding_name(images::CropRounding rounding) {
  return rounding == images::CropRounding::kDown ? "down" : "even";
}

/// How an image gets its size.
std::string size_text(const images::PreprocessOptions& options) {
  switch (options.resize) {
    case images::Resize::kSquash:
      return fmt::format("squashed to {}", options.crop_size);
    case images::Resize::kLongestEdge:
      return fmt::format("longest edge {} {} antialiasing, zeros around it", options.crop_size,
                         options.antialias ? "with" : "without");
    default:
      return fmt::format("shortest edge {}, centre {} (halves {})", options.resize_shortest_edge, options.crop_size,
                         rounding_name(options.crop_rounding));
  }
}

nlohmann::ordered_json tower_json(const clip::TowerConfig& tower) {
  return {{"width", tower.width},
          {"layers", tower.layers},
          {"heads", tower.heads},
          {"mlp_width", tower.mlp_width},
          {"activation", activation_name(tower.activation)}};
}

/// What each precision would run on, by its name.
std::vector<std::pair<std::string, std::string>> engines_of(const clip::ModelConfig& config) {
  std::vector<std::pair<std::string, std::string>> engines;
  for (const clip::Precision precision : {clip::Precision::kFp32, clip::Precision::kBf16, clip::Precision::kInt8}) {
    clip::EncoderOptions options;
    options.precision = precision;
    engines.emplace_back(clip::precision_name(precision), clip::describe_engine(config, options));
  }
  return engines;
}

}  // namespace

nlohmann::ordered_json model_json(const clip::ModelInfo& info) {
  const clip::ModelConfig& config = info.config;
  nlohmann::ordered_json object = {{"name", info.name},
                                   {"path", info.folder.string()},
                                   {"parameters", config.parameter_count()},
                                   {"pretrained", !config.untrained},
                                   {"layout", info.layout},
                                   {"weights", info.weights.filename().string()},
                                   {"dim", config.projection_dim},
                                   {"activation", activation_name(config.vision.activation)},
                                   {"vision", tower_json(config.vision)},
                                   {"text", tower_json(config.text)}};
  object["vision"]["image_size"] = config.image_size;
  object["vision"]["patch_size"] = config.patch_size;
  object["text"]["vocabulary_size"] = config.vocabulary_size;
  object["text"]["context_length"] = config.context_length;
  object["text"]["pooling"] = config.pooling == clip::TextPooling::kArgmax ? "argmax" : "first_eos";
  object["tokenizer"] = info.tokenizer.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(info.tokenizer);
  for (const auto& [precision, engine] : engines_of(config)) object["engines"][precision] = engine;
  object["preprocessing"] = nullptr;
  if (info.has_preprocessing) {
    object["preprocessing"] = {{"resize", images::resize_name(info.preprocessing.resize)},
                               {"resize_shortest_edge", info.preprocessing.resize_shortest_edge},
                               {"crop_size", info.preprocessing.crop_size},
                               {"crop_rounding", rounding_name(info.preprocessing.crop_rounding)},
                               {"antialias", info.preprocessing.antialias},
                               {"mean", info.preprocessing.mean},
                               {"std", info.preprocessing.std}};
  }
  return object;
}

void print_model(std::ostream& out, const clip::ModelInfo& info) {
  const clip::ModelConfig& config = info.config;
  const auto tower = [](const clip::TowerConfig& shape) {
    return fmt::format("{} wide, {} layers, {} heads, mlp {}, {}", shape.width, shape.layers, shape.heads,
                       shape.mlp_width, activation_name(shape.activation));
  };
  out << fmt::format("path           {}\n", info.folder.string());
  out << fmt::format("weights        {}, layout {}\n", info.weights.filename().string(), info.layout);
  out << fmt::format("parameters     {}\n", with_thousands(static_cast<std::uint64_t>(config.parameter_count())));
  out << fmt::format("pretrained     {}\n", config.untrained ? "no: random weights" : "yes");
  out << fmt::format("vector         {}\n", config.projection_dim);
  out << fmt::format("vision         {}; {} px in patches of {}\n", tower(config.vision), config.image_size,
                     config.patch_size);
  out << fmt::format("text           {}; {} tokens of {}\n", tower(config.text), config.context_length,
                     with_thousands(static_cast<std::uint64_t>(config.vocabulary_size)));
  out << fmt::format("tokenizer      {}\n", info.tokenizer.empty() ? "none here" : info.tokenizer);
  for (const auto& [precision, engine] : engines_of(config)) out << fmt::format("{:<14} {}\n", precision, engine);
  if (info.has_preprocessing) {
    const images::PreprocessOptions& options = info.preprocessing;
    out << fmt::format("preprocessing  {}, mean {}, std {}\n", size_text(options), fmt::join(options.mean, " "),
                       fmt::join(options.std, " "));
  } else {
    out << "preprocessing  none here\n";
  }
}

namespace {

clip::ModelInfo make_random(const ModelsOptions& options, Terminal& terminal) {
  clip::ModelConfig config = clip::named_model_config(options.architecture);
  if (options.activation == "gelu") {
    config.vision.activation = config.text.activation = clip::Activation::kGelu;
  } else if (options.activation == "quick_gelu") {
    config.vision.activation = config.text.activation = clip::Activation::kQuickGelu;
  } else if (!options.activation.empty()) {
    fail(ErrorCode::kInvalidArgument, "--activation: expected quick_gelu or gelu, found '{}'", options.activation);
  }
  clip::write_random_model(config, options.out, options.seed,
                           options.tokenizer.empty() ? std::nullopt : std::optional(options.tokenizer));
  terminal.note(
      "random weights: what is learned on this encoder says nothing about images; `encode` asks for --allow-untrained");
  if (options.tokenizer.empty()) terminal.note("no tokenizer was copied: texts need --tokenizer DIR");
  return clip::load_model_info(options.out.string());
}

}  // namespace

int run_models(const ModelsOptions& options, Terminal& terminal) {
  if (options.action == "list") return list_models(terminal);
  if (options.action == "pull") return pull_model(options, hub::settings_from_environment(), terminal);
  if (options.action != "info" && options.action != "random")
    fail(ErrorCode::kInvalidArgument, "models: expected list, pull, info or random, found '{}'", options.action);
  if (options.action == "info" && show_scorer(options.model, terminal)) return 0;
  const clip::ModelInfo info =
      options.action == "info" ? clip::load_model_info(options.model) : make_random(options, terminal);
  nlohmann::ordered_json object;
  object["models"] = {model_json(info)};
  terminal.result(object, [&](std::ostream& out) { print_model(out, info); });
  return 0;
}

std::function<int(Terminal&)> add_models(CLI::App& command) {
  const auto options = std::make_shared<ModelsOptions>();
  const auto add_action = [&](const char* name, const char* summary) {
    CLI::App* const action = command.add_subcommand(name, summary);
    action->fallthrough();  // --json and the like belong to `models`
    action->callback([options, name] { options->action = name; });
    return action;
  };
  command.require_subcommand(1);
  add_action("list", "Models that are here, and those that `pull` knows");
  CLI::App* const pull = add_action("pull", "A published model from a hub, resumed and checked");
  pull->add_option("name", options->model,
                   "A hub id (openai/clip-vit-base-patch32), an open_clip pair, or a scorer (pickscore)")
      ->required();
  pull->add_option("--revision", options->revision, "A branch, a tag or a commit (default: main)");
  pull->add_option("--concurrency", options->concurrency, "Files at once")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  pull->add_option("--retries", options->retries, "Further tries in a row that bring nothing")
      ->check(CLI::Range(0, 100))
      ->capture_default_str();
  pull->add_flag("--dry-run", options->dry_run, "List the files and their bytes; transfer nothing");
  CLI::App* const info = add_action("info", "What a model holds");
  info->add_option("model", options->model,
                   "builtin/sample, a model that was pulled, a folder, a scorer's name or head")
      ->required();
  CLI::App* const random = add_action("random", "A model of random weights, for tests and timings");
  random->add_option("architecture", options->architecture, "b32 | b16 | l14 | l14-336 | h14 | g14 | tiny")->required();
  random->add_option("--out", options->out, "The folder to write")->required();
  random->add_option("--seed", options->seed, "The same seed gives the same bytes")->capture_default_str();
  random->add_option("--tokenizer", options->tokenizer,
                     "A folder whose tokenizer is copied; the vocabulary follows it");
  random->add_option("--activation", options->activation, "quick_gelu | gelu (default: the architecture's own)");
  command.footer(
      "Examples:\n"
      "  imagerank models pull openai/clip-vit-base-patch32\n"
      "  imagerank models info builtin/sample\n"
      "  imagerank models random b32 --out random-b32 --seed 1");
  return [options](Terminal& terminal) { return run_models(*options, terminal); };
}

}  // namespace imagerank::cli
