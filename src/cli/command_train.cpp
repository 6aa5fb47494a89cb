#include "cli/command_train.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <memory>
#include <optional>
#include <ostream>
#include <system_error>
#include <vector>

#include "cli/dataset.h"
#include "cli/encoder_options.h"
#include "cli/scored_items.h"
#include "core/atomic_file.h"
#include "core/fail.h"
#include "reward/head_kinds.h"
#include "reward/sweep.h"
#include "workspace/workspace.h"

namespace imagerank::cli {
namespace {

/// The encoder whose vectors are the only ones there, as `encode` recorded it.
nlohmann::json only_encoder(const workspace::Workspace& workspace) {
  const std::vector<std::string> names = workspace.vector_encoders();
  const std::string root = workspace.root().string();
  if (names.empty()) {
    fail(ErrorCode::kNotFound, "{}: no vectors; run `imagerank encode --data {} --model ...` first", root, root);
  }
  if (names.size() > 1) {
    fail(ErrorCode::kInvalidArgument, "--model: {} holds vectors of several encoders, say which model: {}", root,
         fmt::format("{}", fmt::join(names, ", ")));
  }
  const std::filesystem::path path = workspace.embeddings_dir(names.front()) / "encoder.json";
  if (!std::filesystem::exists(path)) {
    fail(ErrorCode::kNotFound, "{}: no such file: `imagerank encode` did not end; run it again", path.string());
  }
  nlohmann::json record = nlohmann::json::parse(load_file(path), nullptr, false);
  if (!record.is_object() || record.value("encoder", nlohmann::json()) != names.front()) {
    fail(ErrorCode::kCorruptData, "{}: expected the record of encoder {}; run `imagerank encode` again", path.string(),
         names.front());
  }
  return record;
}

reward::Weighting parse_weighting(const TrainCommandOptions& options) {
  reward::Weighting weighting;
  if (options.weight_by != "row" && options.weight_by != "prompt") {
    fail(ErrorCode::kInvalidArgument, "--weight-by: expected row or prompt, found '{}'", options.weight_by);
  }
  weighting.per_prompt = options.weight_by == "prompt";
  weighting.balanced = options.class_weights == "balanced";
  if (options.class_weights.empty() || weighting.balanced) return weighting;
  std::string_view rest = options.class_weights;
  for (;;) {
    double value = 0.0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), value);
    const bool ends = end == rest.data() + rest.size();
    if (error != std::errc() || (!ends && *end != ',')) {
      fail(ErrorCode::kInvalidArgument, "--class-weights: expected 'balanced' or numbers apart by commas, found '{}'",
           options.class_weights);
    }
    weighting.class_weights.push_back(value);
    if (ends) return weighting;
    rest.remove_prefix(static_cast<std::size_t>(end + 1 - rest.data()));
  }
}

/// The options as training takes them, with what the command line has as text.
reward::TrainOptions training_options(const TrainCommandOptions& options) {
  reward::TrainOptions training = options.training;
  training.weighting = parse_weighting(options);
  if (options.prompt_score != "score" && options.prompt_score != "logit") {
    fail(ErrorCode::kInvalidArgument, "--prompt-score: expected score or logit, found '{}'", options.prompt_score);
  }
  training.prompts.logits = options.prompt_score == "logit";
  return training;
}

std::string number_or_dash(const nlohmann::json& value) {
  return value.is_number() ? fmt::format("{:.4f}", value.get<double>()) : "-";
}

void print(std::ostream& out, const nlohmann::json& record, const reward::TrainReport& report,
           const std::filesystem::path& folder) {
  const nlohmann::json& data = record["data"];
  out << fmt::format("{}, {}: {} {}, encoder {}\n", record["head"].get<std::string>(),
                     record["loss"].get<std::string>(), with_thousands(data["train_used"].get<std::uint64_t>()),
                     data["train_unit"].get<std::string>(), record["encoder"].get<std::string>());
  out << fmt::format("{:>5} {:>9} {:>16} {:>9} {:>8} {:>14}\n", "epoch", "loss", "validation loss", "accuracy", "R2",
                     "strict pairs");
  for (const nlohmann::json& epoch : record["epochs"]) {
    const nlohmann::json& validation = epoch["validation"];
    out << fmt::format(
        "{:>5} {:>9} {:>16} {:>9} {:>8} {:>14}{}\n", epoch["epoch"].get<int>(), number_or_dash(epoch["loss"]),
        number_or_dash(validation["loss"]), number_or_dash(validation["accuracy"]), number_or_dash(validation["r2"]),
        number_or_dash(validation["pair_accuracy_strict"]), epoch["epoch"] == record["best_epoch"] ? "  kept" : "");
  }
  if (const nlohmann::json& prompts = record["prompt_classification"]; prompts.is_object()) {
    out << fmt::format(
        "prompt classification: weight {}, temperature {}, {} wrong prompts; its loss cannot fall below {:.4f}\n",
        prompts["weight"].get<double>(), prompts["temperature"].get<double>(), prompts["wrong_prompts"].get<int>(),
        prompts["floor"].get<double>());
  }
  if (record.contains("sweep")) {
    for (const nlohmann::json& one : record["sweep"]["tried"]) {
      out << fmt::format("{} validation loss {}, strict pairs {}\n", one["options"].dump(), number_or_dash(one["loss"]),
                         number_or_dash(one["pair_accuracy_strict"]));
    }
    out << fmt::format("kept {}\n",
                       record["sweep"]["tried"][record["sweep"]["chosen"].get<std::size_t>()]["options"].dump());
  }
  const nlohmann::json& calibration = record["calibration"];
  if (calibration["temperature"].is_number()) {
    out << fmt::format("p(a over b) = sigmoid(difference / {:.4f}) where one is preferred; scores {:.4f} +- {:.4f}\n",
                       calibration["temperature"].get<double>(), calibration["mean"].get<double>(),
                       calibration["standard_deviation"].get<double>());
  }
  out << fmt::format("{} in {:.1f} s{}\n", folder.string(), record["seconds"].get<double>(),
                     report.up_to_date ? " (trained before; nothing has changed)" : "");
}

}  // namespace

int run_train(const TrainCommandOptions& options, Terminal& terminal) {
  const auto workspace = workspace::Workspace::open(options.data);
  check_reward_name(options.name);
  const std::filesystem::path folder = workspace.reward_dir(options.name);
  // A wrong head or loss should not wait for the vectors to load.
  const reward::HeadKind& kind = reward::head_kind(options.training.head);
  const reward::Loss loss = reward::parse_loss(options.training.loss);
  const reward::TrainOptions training = training_options(options);
  const std::vector<reward::SweepAxis> axes =
      options.sweep.empty() ? std::vector<reward::SweepAxis>() : reward::parse_sweep(options.sweep);
  if (loss != reward::Loss::kBce) reward::check_loss(kind, loss, 2);

  // An untrained encoder is let through: `encode` has asked, and the record says it.
  nlohmann::json origin =
      options.model.empty()
          ? only_encoder(workspace)
          : load_named_encoder(options.model, options.precision, "cpu", options.tokenizer, true).record;
  Dataset dataset = load_dataset(
      workspace, origin.at("encoder"),
      {.mapped = true,
       .lists = reward::uses_lists(loss),
       .wrong_prompts = training.prompts.weight > 0.0 || options.sweep.find("prompt-loss") != std::string::npos});
  dataset.examples.image_name = [&](std::uint32_t row) { return dataset.image_uids[row]; };
  dataset.examples.text_name = [&](std::uint32_t row) { return fmt::format("'{}'", dataset.prompts[row]); };
  if (dataset.points_without_vectors + dataset.pairs_without_vectors != 0) {
    terminal.warn(fmt::format("{} points and {} pairs have an image or prompt without a vector and were left out",
                              with_thousands(dataset.points_without_vectors),
                              with_thousands(dataset.pairs_without_vectors)));
  }
  if (dataset.rankings_without_vectors != 0) {
    terminal.warn(fmt::format("{} rankings have too few images with a vector and were left out",
                              with_thousands(dataset.rankings_without_vectors)));
  }
  origin["labels"] = dataset.examples.class_count == 2 ? "binary" : "three";
  const reward::TrainReport report =
      axes.empty() ? reward::train_reward(dataset.examples, training, origin, folder, terminal.context())
                   : reward::train_sweep(dataset.examples, training, axes, origin, folder, terminal.context());
  if (origin.value("encoder_untrained", false)) {
    terminal.warn("the encoder was never trained: what is learned on it says nothing about images");
  }
  const nlohmann::json& record = report.record;
  for (const nlohmann::json& warning : record["warnings"]) terminal.warn(warning.get<std::string>());
  if (report.resumed_from != 0) terminal.note(fmt::format("resumed after epoch {}", report.resumed_from));
  nlohmann::ordered_json object = {{"name", options.name},
                                   {"path", std::filesystem::absolute(folder).string()},
                                   {"head", record["head"]},
                                   {"loss", record["loss"]},
                                   {"encoder", record["encoder"]},
                                   {"data", record["data"]},
                                   {"epochs", record["epochs"]},
                                   {"calibration", record["calibration"]},
                                   {"prompt_classification", record["prompt_classification"]},
                                   {"ensemble", record["ensemble"]},
                                   {"seconds", record["seconds"]},
                                   {"best_epoch", record["best_epoch"]},
                                   {"warnings", record["warnings"]},
                                   {"resumed_from", report.resumed_from},
                                   {"up_to_date", report.up_to_date}};
  if (record.contains("sweep")) object["sweep"] = record["sweep"];
  terminal.result(object, [&](std::ostream& out) { print(out, record, report, folder); });
  return 0;
}

std::function<int(Terminal&)> add_train(CLI::App& command) {
  const auto options = std::make_shared<TrainCommandOptions>();

  reward::TrainOptions& training = options->training;
  command.add_option("--data", options->data, "The workspace folder")->required();
  command.add_option("--model", options->model,
                     "The encoder, as `encode` had it (default: the one whose vectors are the only ones there)");
  command.add_option("--precision", options->precision, "fp32 | bf16 | int8, as `encode` had it")
      ->capture_default_str();
  command.add_option("--tokenizer", options->tokenizer, "Folder of the tokenizer, if `encode` had one");
  command.add_option("--head", training.head, "mlp | cnn | lstm | deep | attention | linear | interaction | clip")
      ->required();
  command
      .add_option("--loss", training.loss,
                  "mse | ce | bce on labelled points; bt | davidson | rao-kupper on pairs; plackett-luce on rankings")
      ->required();
  command.add_option("--name", options->name, "Name of the reward, a folder under rewards/")->required();
  command.add_option("--epochs", training.epochs, "Passes over the data")->capture_default_str();
  command.add_option("--batch", training.batch, "Points, pairs or rankings a step")->capture_default_str();
  command.add_option("--lr", training.learning_rate, "Peak learning rate (default: the head's)");
  command.add_option("--weight-decay", training.weight_decay, "Of the matrices (default: the head's; with adam 0)");
  command.add_option("--dropout", training.dropout, "Share of hidden units dropped (default: the head's)");
  command.add_option("--hidden", training.hidden, "Hidden units of mlp, deep, attention, cnn and interaction")
      ->capture_default_str();
  command.add_option("--layers", training.layers, "Hidden layers of deep")->capture_default_str();
  command.add_option("--rank", training.rank, "Rank of clip's adapters")->capture_default_str();
  command.add_option("--limit", training.limit, "Train on the first N of a seeded shuffle (0: all)")
      ->capture_default_str();
  command.add_option("--seed", training.seed, "Seed of start, order and dropout")->capture_default_str();
  command.add_option("--ensemble", training.ensemble, "Heads of seeds S, S + 1, ..., whose scores are averaged")
      ->capture_default_str();
  command.add_option("--sweep", options->sweep, "Values to choose among on validation: lr=1e-3:3e-4,hidden=256:512");
  command.add_option("--optimizer", training.optimizer, "adamw | adam")->capture_default_str();
  command.add_option("--schedule", training.schedule, "Of the rate after the warm-up: cosine | linear | constant")
      ->capture_default_str();
  command.add_option("--warm-up", training.warm_up, "Share of the steps with a rising rate")->capture_default_str();
  command.add_option("--clip-norm", training.clip_norm, "Largest norm of the gradients together (0: none)")
      ->capture_default_str();
  command.add_flag("--bf16", training.bfloat16,
                   "Products in bfloat16, sums and weights in float32: faster where the processor has it");
  command
      .add_option("--patience", training.patience, "Stop after N epochs without a better validation loss (0: never)")
      ->capture_default_str();
  command.add_option("--label-smoothing", training.label_smoothing, "Share of a label given to all outcomes alike")
      ->capture_default_str();
  command.add_option("--class-weights", options->class_weights, "balanced, or a number a label: 1,1,2");
  command.add_option("--weight-by", options->weight_by, "row | prompt: every prompt counts the same, as in PickScore")
      ->capture_default_str();
  command.add_option("--prompt-loss", training.prompts.weight, "Weight of the prompt classification (0: off)")
      ->capture_default_str();
  command.add_option("--prompt-temperature", training.prompts.temperature, "Its temperature")->capture_default_str();
  command
      .add_option("--wrong-prompts", training.prompts.wrong_count, "Wrong prompts a right one, of perturbed.parquet")
      ->capture_default_str();
  command.add_option("--prompt-score", options->prompt_score, "What ce and bce compare prompts by: score | logit")
      ->capture_default_str();
  command.add_option("--tensorboard", training.tensorboard, "Folder for a TensorBoard event file");
  command.footer(
      "Example:\n  imagerank train --data mine --model builtin/sample --head mlp --loss mse --name mlp\n"
      "Stopped? The same command goes on after the last whole epoch.");
  return [options](Terminal& terminal) { return run_train(*options, terminal); };
}

}  // namespace imagerank::cli
