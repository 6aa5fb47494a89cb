#include "cli/command_encode.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>
#include <memory>
#include <ostream>

#include "cli/encoder_options.h"
#include "cli/scored_items.h"
#include "core/atomic_file.h"
#include "core/fail.h"
#include "embeddings/encode.h"

namespace imagerank::cli {
namespace {

void print(std::ostream& out, const embeddings::EncodeCounts& counts, const std::string& encoder) {
  out << fmt::format("encoder   {}\n", encoder);
  out << fmt::format("images    {}", with_thousands(counts.images));
  if (counts.images_per_s > 0.0) {
    out << fmt::format(", {:.1f} a second, files to {}", counts.images_per_s, counts.pairs == 0 ? "vectors" : "scores");
  }
  out << fmt::format("\nprompts   {}", with_thousands(counts.texts));
  if (counts.texts_truncated != 0)
    out << fmt::format(", {} cut at the encoder's context", with_thousands(counts.texts_truncated));
  if (counts.pairs != 0) out << fmt::format("\nscores    {}, of images for prompts", with_thousands(counts.pairs));
  out << fmt::format("\ncached    {}\n", with_thousands(counts.cached));
  if (counts.copied != 0) out << fmt::format("copied    {} images of equal bytes\n", with_thousands(counts.copied));
  std::map<std::string, std::size_t> reasons;
  for (const ItemFailure& failure : counts.failed) ++reasons[failure.reason];
  for (const auto& [reason, count] : reasons)
    out << fmt::format("failed    {} images: {}\n", with_thousands(count), reason);
}

/// A folder that was given another encoder's name holds vectors that must not mix with this one's.
void check_record(const std::filesystem::path& path, const std::string& encoder) {
  if (!std::filesystem::exists(path)) return;
  const auto record = nlohmann::json::parse(load_file(path), nullptr, /*allow_exceptions=*/false);
  const std::string found = record.is_object() ? record.value("encoder", "") : "";
  if (found != encoder) {
    fail(ErrorCode::kCorruptData,
         "{}: expected the vectors of {}, found those of '{}'; delete the folder to encode again", path.string(),
         encoder, found);
  }
}

/// What the options name: a model, or the encoders of a reward.
std::vector<NamedEncoder> load_encoders(const EncodeCommandOptions& options) {
  std::vector<NamedEncoder> encoders;
  if (options.reward.empty() && options.model.empty()) {
    fail(ErrorCode::kInvalidArgument, "encode: expected --model or --reward, found neither");
  }
  if (options.reward.empty()) {
    encoders.push_back(load_named_encoder(options.model, options.precision, options.device, options.tokenizer.string(),
                                          options.allow_untrained));
    return encoders;
  }
  reward::EncoderPlace place = options.place;
  place.model = options.model;
  place.tokenizer = options.tokenizer.string();
  const auto reward = reward::Reward::load(reward_folder(options.reward, options.data), place);
  for (const reward::EncoderNeed& need : reward.needs()) {
    NamedEncoder next = load_needed_encoder(need, options.device, options.allow_untrained);
    const bool known = std::ranges::any_of(
        encoders, [&](const NamedEncoder& other) { return other.encoder.name() == next.encoder.name(); });
    if (!known) encoders.push_back(std::move(next));
  }
  return encoders;
}

/// One encoder's part. @return its JSON.
nlohmann::ordered_json encode(const workspace::Workspace& workspace, const NamedEncoder& named, std::size_t batch,
                              Terminal& terminal, embeddings::EncodeCounts& counts) {
  const scoring::SharedEncoder& encoder = named.encoder;
  if (encoder.untrained())
    terminal.warn("this encoder was never trained: what is learned on it says nothing about images");
  const std::filesystem::path record_path = workspace.embeddings_dir(encoder.name()) / "encoder.json";
  check_record(record_path, encoder.name());
  counts = encoder.cross
               ? embeddings::score_workspace(workspace, *encoder.cross, terminal.context())
               : embeddings::encode_workspace(workspace, *encoder.towers, {.batch = batch}, terminal.context());
  if (counts.damaged != 0) {
    terminal.note(fmt::format("{} torn or damaged records of earlier runs dropped, and encoded again", counts.damaged));
  }
  // So that `train` and all that follows find the encoder of these vectors again.
  write_file_atomically(record_path, named.record.dump(2) + "\n");
  nlohmann::ordered_json failures = nlohmann::ordered_json::array();
  for (const ItemFailure& failure : counts.failed) {
    failures.push_back({{"item", failure.item}, {"reason", failure.reason}, {"detail", failure.detail}});
  }
  if (!counts.failed.empty() && counts.images == 0) terminal.warn("no image could be encoded");
  return {{"encoder", encoder.name()},
          {"images", counts.images},
          {"texts", counts.texts},
          {"pairs", counts.pairs},
          {"failed", counts.failed.size()},
          {"cached", counts.cached},
          {"images_per_s", counts.images_per_s},
          {"seconds", counts.seconds},
          {"texts_truncated", counts.texts_truncated},
          {"encoded", counts.encoded},
          {"copied", counts.copied},
          {"damaged", counts.damaged},
          {"failures", failures}};
}

}  // namespace

int run_encode(const EncodeCommandOptions& options, Terminal& terminal) {
  const auto workspace = workspace::Workspace::open(options.data);
  const std::vector<NamedEncoder> encoders = load_encoders(options);
  std::vector<embeddings::EncodeCounts> counts(encoders.size());
  nlohmann::ordered_json object;
  bool failed = false;
  for (std::size_t i = 0; i < encoders.size(); ++i) {
    nlohmann::ordered_json one = encode(workspace, encoders[i], options.batch, terminal, counts[i]);
    const bool any = !counts[i].failed.empty();
    failed = failed || (any && (counts[i].images == 0 || options.strict));
    if (i == 0) {
      object = std::move(one);
    } else {
      object["further_encoders"].push_back(std::move(one));
    }
  }
  terminal.result(object, [&](std::ostream& out) {
    for (std::size_t i = 0; i < encoders.size(); ++i) print(out, counts[i], encoders[i].encoder.name());
  });
  return failed ? 1 : 0;
}

std::function<int(Terminal&)> add_encode(CLI::App& command) {
  const auto options = std::make_shared<EncodeCommandOptions>();
  command.add_option("--data", options->data, "The workspace folder")->required();
  command.add_option("--model", options->model, "builtin/sample, a pulled hub id or open_clip pair, or a folder");
  command.add_option("--reward", options->reward,
                     "The encoders that this reward or published scorer stands on, as it uses them");
  add_hps_antialias(command, options->place);
  command.add_option("--precision", options->precision, "fp32 | bf16 | int8")->capture_default_str();
  command.add_option("--device", options->device, "cpu | cuda")->capture_default_str();
  command.add_option("--batch", options->batch, "Images a tower call; if not given, what suits the encoder")
      ->check(CLI::Range(1, 4096));
  command.add_option("--tokenizer", options->tokenizer, "Folder of the tokenizer, if not the model's");
  command.add_flag("--allow-untrained", options->allow_untrained,
                   "Go on with a random encoder, whose vectors mean nothing");
  command.add_flag("--strict", options->strict, "Exit 1 if any image failed");
  command.footer(
      "Examples:\n  imagerank encode --data mine --model builtin/sample\n"
      "  imagerank encode --data mine --reward pickscore");
  return [options](Terminal& terminal) { return run_encode(*options, terminal); };
}

}  // namespace imagerank::cli
