#include "cli/command_finetune.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <memory>
#include <ostream>
#include <unordered_map>
#include <utility>
#include <vector>

#include "cli/encoder_options.h"
#include "cli/pixel_rows.h"
#include "clip/encoder.h"
#include "clip/models.h"
#include "clip/tokenizer.h"
#include "core/atomic_file.h"
#include "core/fail.h"
#include "workspace/workspace.h"

namespace imagerank::cli {
namespace {

using Json = nlohmann::ordered_json;
constexpr const char* kRecordName = "finetune.json";

Json options_json(const FinetuneCommandOptions& options, const std::string& encoder) {
  const reward::FinetuneOptions& training = options.training;
  return {{"data", std::filesystem::absolute(options.data).string()},
          {"encoder", encoder},
          {"steps", training.steps},
          {"batch", training.batch},
          {"lr", training.learning_rate},
          {"weight_decay", training.weight_decay},
          {"warm_up_steps", training.warm_up_steps},
          {"clip_norm", training.clip_norm},
          {"seed", training.seed},
          {"validation_steps", training.validation_steps},
          {"frozen_image_layers", training.frozen_image_layers},
          {"frozen_text_layers", training.frozen_text_layers},
          {"device", options.device},
          {"bf16", training.bfloat16},
          {"recompute", training.recompute}};
}

/// The record of a finished run with these options; null if there is none, or only a run that was cut off.
/// @throws Error kRefused for another run's.
Json find_finished(const FinetuneCommandOptions& options, const Json& wanted) {
  const std::filesystem::path path = options.out / kRecordName;
  if (options.overwrite || !std::filesystem::exists(options.out / "model.safetensors")) return nullptr;
  if (std::filesystem::exists(path)) {
    const Json record = Json::parse(load_file(path), nullptr, false);
    if (record.is_object() && record.contains("options") && record.at("options") == wanted) {
      return record.contains("steps") ? record : Json(nullptr);
    }
  }
  fail(ErrorCode::kRefused,
       "{}: expected no model, or one that the same options made; found another (--overwrite replaces it)",
       options.out.string());
}

/// What the towers learn from, and what keeps it.
struct Loaded {
  PixelRows images;
  std::vector<std::vector<std::int32_t>> prompts;
  std::vector<reward::PreferencePair> train, validation;
  std::uint64_t left_out = 0;  ///< pairs of an image that is not there or broken
};

Loaded load_preferences(const workspace::Workspace& workspace, const clip::Encoder& encoder,
                        const clip::Tokenizer& tokenizer, const RunContext& context) {
  std::unordered_map<std::string, std::filesystem::path> paths;
  for (const workspace::Image& image : workspace.load_images()) {
    if (image.status == "ok") paths.emplace(image.image_uid, workspace.resolve(image));
  }
  Loaded loaded;
  std::unordered_map<std::string, std::uint32_t> files, prompts;
  std::vector<std::filesystem::path> list;
  const auto file_of = [&](const std::string& uid) {
    const auto [at, added] = files.try_emplace(uid, static_cast<std::uint32_t>(list.size()));
    if (added) list.push_back(paths.at(uid));
    return at->second;
  };
  for (const workspace::Pair& pair : workspace.load_pairs()) {
    const bool known = paths.contains(pair.image_a) && paths.contains(pair.image_b);
    if (pair.split == "test" || !(pair.weight > 0.0)) continue;
    if (!known) {
      ++loaded.left_out;
      continue;
    }
    const auto [prompt, added] = prompts.try_emplace(pair.prompt, static_cast<std::uint32_t>(loaded.prompts.size()));
    if (added) loaded.prompts.push_back(tokenizer.tokenize(pair.prompt));
    (pair.split == "train" ? loaded.train : loaded.validation)
        .push_back({file_of(pair.image_a), file_of(pair.image_b), prompt->second, static_cast<float>(pair.p_a),
                    static_cast<float>(pair.weight)});
  }
  loaded.images = load_pixel_rows(list, encoder.preprocessing(), context);
  // From files to rows: those that broke have none.
  constexpr std::uint32_t kNone = 0xffffffff;
  std::vector<std::uint32_t> rows(list.size(), kNone);
  for (std::size_t row = 0; row < loaded.images.files.size(); ++row) {
    rows[loaded.images.files[row]] = static_cast<std::uint32_t>(row);
  }
  for (auto* const pairs : {&loaded.train, &loaded.validation}) {
    const std::size_t before = pairs->size();
    std::erase_if(*pairs, [&](const reward::PreferencePair& pair) {
      return rows[pair.image_a] == kNone || rows[pair.image_b] == kNone;
    });
    loaded.left_out += before - pairs->size();
    for (reward::PreferencePair& pair : *pairs) {
      pair.image_a = rows[pair.image_a];
      pair.image_b = rows[pair.image_b];
    }
  }
  return loaded;
}

/// The towers are fed 0..1 pixels normalised as CLIP does.
void check_preprocessing(const clip::Encoder& encoder) {
  const images::PreprocessOptions clip_options;
  const images::PreprocessOptions& own = encoder.preprocessing();
  for (std::size_t i = 0; i < 3; ++i) {
    if (std::abs(own.mean[i] - clip_options.mean[i]) > 1e-4F || std::abs(own.std[i] - clip_options.std[i]) > 1e-4F) {
      fail(ErrorCode::kUnavailable, "{}: expected CLIP's mean and deviation of pixels, found others",
           (encoder.folder() / "preprocessor_config.json").string());
    }
  }
}

void copy_companions(const std::filesystem::path& from, const std::filesystem::path& tokenizer,
                     const std::filesystem::path& to) {
  for (const std::string& name : clip::find_tokenizer_files(tokenizer)) {
    write_file_atomically(to / name, load_file(tokenizer / name));
  }
  write_file_atomically(to / "preprocessor_config.json", load_file(from / "preprocessor_config.json"));
}

void print_record(std::ostream& out, const Json& record, const std::filesystem::path& folder) {
  out << fmt::format("{:>7} {:>9} {:>16}\n", "step", "loss", "validation pairs");
  for (const Json& entry : record.at("history")) {
    const Json& accuracy = entry.at("pair_accuracy");
    out << fmt::format("{:>7} {:>9.4f} {:>16}{}\n", entry.at("step").get<std::int64_t>(),
                       entry.at("loss").get<double>(),
                       accuracy.is_number() ? fmt::format("{:.4f}", accuracy.get<double>()) : "-",
                       entry.at("step") == record.at("best_step") ? "  kept" : "");
  }
  out << fmt::format("{}: {} steps on {} pairs in {:.0f} s\n", folder.string(),
                     with_thousands(record.at("steps").get<std::uint64_t>()),
                     with_thousands(record.at("pairs").get<std::uint64_t>()), record.at("seconds").get<double>());
}

}  // namespace

int run_finetune(const FinetuneCommandOptions& options, Terminal& terminal) {
  const RunContext context = terminal.context();
  reward::FinetuneOptions training = options.training;
  training.device = device_of(options.device);
  clip::require_device(training.device);
  const auto workspace = workspace::Workspace::open(options.data);
  clip::EncoderOptions loading;
  loading.allow_untrained = true;  // training is how it stops being that
  loading.tokenizer_dir = options.tokenizer;
  const auto encoder = clip::Encoder::load(options.model, loading);
  check_preprocessing(encoder);
  const Json wanted = options_json(options, encoder.name());
  const auto finish = [&](const Json& record) {
    terminal.result(record, [&](std::ostream& out) { print_record(out, record, options.out); });
    return 0;
  };
  if (const Json finished = find_finished(options, wanted); !finished.is_null()) {
    terminal.note("already trained with these options");
    return finish(finished);
  }
  if (encoder.untrained()) terminal.warn("the encoder was never trained: preferences alone are little to begin with");
  const std::filesystem::path tokenizer_folder = options.tokenizer.empty() ? encoder.folder() : options.tokenizer;
  const auto tokenizer = clip::Tokenizer::load(tokenizer_folder);
  const Loaded loaded = load_preferences(workspace, encoder, tokenizer, context);
  for (const ItemFailure& failure : loaded.images.failures) terminal.warn(failure.detail);
  if (loaded.left_out != 0) {
    terminal.warn(fmt::format("{} pairs have an image that is not there or broken and were left out",
                              with_thousands(loaded.left_out)));
  }
  if (loaded.validation.empty())
    terminal.warn("the validation split has no pairs: the last step is kept, not the best");
  if (options.overwrite) {
    for (const char* name : {"model.safetensors", kRecordName}) std::filesystem::remove(options.out / name);
  }
  // Without "steps": begun. The same command goes on from the checkpoint.
  write_file_atomically(options.out / kRecordName, Json{{"options", wanted}}.dump(2) + "\n");
  copy_companions(encoder.folder(), tokenizer_folder, options.out);
  const reward::FinetuneResult trained =
      reward::finetune({loaded.images.pixels, loaded.prompts, loaded.train, loaded.validation}, training,
                       encoder.folder(), options.out, context);
  const Json record = {{"steps", trained.steps},
                       {"seconds", trained.seconds},
                       {"loss", trained.loss},
                       {"best_step", trained.best_step},
                       {"resumed_at", trained.resumed_at},
                       {"history", trained.history},
                       {"pairs", loaded.train.size()},
                       {"validation_pairs", loaded.validation.size()},
                       {"images", loaded.images.files.size()},
                       {"failed", loaded.images.failures.size()},
                       {"options", wanted}};
  write_file_atomically(options.out / kRecordName, record.dump(2) + "\n");
  return finish(record);
}

std::function<int(Terminal&)> add_finetune(CLI::App& command) {
  const auto options = std::make_shared<FinetuneCommandOptions>();
  reward::FinetuneOptions& training = options->training;
  command.add_option("--data", options->data, "The workspace folder, labelled")->required();
  command.add_option("--model", options->model, "The encoder to start from: a name or a folder")->required();
  command.add_option("--out", options->out, "Folder of the new model, Hugging Face's layout")->required();
  command.add_option("--tokenizer", options->tokenizer, "Folder of the tokenizer, if it is not the model's");
  command.add_option("--steps", training.steps, "Batches")->capture_default_str();
  command.add_option("--batch", training.batch, "Pairs a step")->capture_default_str();
  command.add_option("--lr", training.learning_rate, "Peak learning rate")->capture_default_str();
  command.add_option("--weight-decay", training.weight_decay, "Of matrices")->capture_default_str();
  command.add_option("--warm-up-steps", training.warm_up_steps, "Steps with a rising rate; then it falls to 0")
      ->capture_default_str();
  command.add_option("--clip-norm", training.clip_norm, "Largest norm of the gradients together (0: none)")
      ->capture_default_str();
  command.add_option("--seed", training.seed, "Of the order")->capture_default_str();
  command.add_option("--validation-steps", training.validation_steps, "Steps between validations and checkpoints")
      ->capture_default_str();
  command.add_option("--freeze-image-layers", training.frozen_image_layers, "Lowest layers that stay as they are")
      ->capture_default_str();
  command.add_option("--freeze-text-layers", training.frozen_text_layers, "The same of the text tower")
      ->capture_default_str();
  command.add_option("--device", options->device, "cpu | cuda")->capture_default_str();
  command.add_flag("--bf16", training.bfloat16, "Products in bfloat16: faster where the processor has it");
  command.add_flag("--recompute", training.recompute, "Less memory: activations are computed twice, piece by piece");
  command.add_flag("--overwrite", options->overwrite, "Replace a finished model");
  command.footer(
      "Example:\n  imagerank finetune --data mine --model builtin/sample --out my-encoder --steps 500 --lr 1e-5\n"
      "Stopped? The same command goes on after the last validation.");
  return [options](Terminal& terminal) { return run_finetune(*options, terminal); };
}

}  // namespace imagerank::cli
