#include "cli/command_score.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <optional>
#include <ostream>
#include <system_error>

#include "cli/scored_items.h"
#include "core/atomic_file.h"
#include "core/fail.h"
#include "core/npy.h"
#include "imagerank/scorer.h"
#include "reward/reward.h"
#include "scoring/score_table.h"

namespace imagerank::cli {
namespace {

/// Rows in their input's order.
struct Scored {
  std::vector<std::string> names;
  std::vector<ScoredImage> items;
  std::optional<scoring::ScoreTable> table;
  bool is_ensemble = false;  ///< scores then have a deviation

  [[nodiscard]] std::vector<float> values() const {
    std::vector<float> values;
    for (const ScoredImage& item : items) values.push_back(item.score);
    return values;
  }
  /// Empty for a reward of one head.
  [[nodiscard]] std::vector<float> deviations() const {
    std::vector<float> values;
    for (const ScoredImage& item : items) {
      if (is_ensemble) values.push_back(item.deviation);
    }
    return values;
  }
};

Scored score_table(const ScoreOptions& options, Terminal& terminal) {
  Scored result;
  result.table = scoring::parse_score_table(load_file(options.table), options.table.string());
  const scoring::ScoreTable& table = *result.table;
  std::vector<ImagePrompt> items;
  for (const auto& row : table.rows) {
    const std::string& image = row[table.image_column];
    items.push_back({resolve_image(image, options.table.parent_path()), row[table.prompt_column]});
    result.names.push_back(image);
  }
  const Scorer scorer = Scorer::load(reward_folder(options.reward, options.data),
                                     scorer_options(options.encoder, terminal.options().threads));
  result.is_ensemble = scorer.ensemble() > 1;
  if (scorer.untrained()) terminal.warn("the encoder was never trained: these scores say nothing about the images");
  const RunContext context = terminal.context();
  constexpr std::size_t kBlock = 512;
  for (std::size_t first = 0; first < items.size(); first += kBlock) {
    context.check_stop();
    const auto block = scorer.score(std::span(items).subspan(first, std::min(kBlock, items.size() - first)));
    result.items.insert(result.items.end(), block.begin(), block.end());
    context.report({"score", result.items.size(), items.size(), ""});
  }
  return result;
}

/// [rows, dim] of a .npy file; a vector [dim] is one row.
std::vector<float> load_vectors(const std::filesystem::path& path, std::size_t dim) {
  const NpyFile file(path);
  const std::vector<std::size_t>& shape = file.shape();
  const bool fits = (shape.size() == 2 || shape.size() == 1) && shape.back() == dim;
  if (!fits) {
    fail(ErrorCode::kCorruptData, "{}: expected vectors [N, {}], found shape [{}]", path.string(), dim,
         fmt::format("{}", fmt::join(shape, ", ")));
  }
  return file.to_float();
}

/// One row for each image: those of the file, its only one repeated, or none for a head that reads no prompt.
std::vector<float> load_texts(const ScoreOptions& options, const reward::Reward& reward, std::size_t count) {
  if (!reward.reads_text()) return {};
  const std::size_t dim = reward.dim();
  std::vector<float> texts = load_vectors(options.text_embeddings, dim);
  if (texts.size() == dim && count != 1) {  // one prompt for all
    const std::vector<float> row = texts;
    for (std::size_t i = 1; i < count; ++i) texts.insert(texts.end(), row.begin(), row.end());
  }
  if (texts.size() != count * dim) {
    fail(ErrorCode::kInvalidArgument, "--text-embeddings: expected {} rows, or one, found {}", count,
         texts.size() / dim);
  }
  return texts;
}

Scored score_vectors(const ScoreOptions& options) {
  const auto reward = reward::Reward::load(reward_folder(options.reward, options.data), options.encoder);
  if (const std::string problem = reward.vectors_problem(); !problem.empty()) {
    fail(ErrorCode::kInvalidArgument,
         "--image-embeddings: expected a reward of one encoder's vectors, found '{}': {}; score image files instead",
         options.reward, problem);
  }
  if (reward.reads_text() && options.text_embeddings.empty()) {
    fail(ErrorCode::kInvalidArgument, "--text-embeddings: this reward judges an image for a prompt; expected a file");
  }
  const std::vector<float> images = load_vectors(options.image_embeddings, reward.dim());
  const std::size_t count = images.size() / reward.dim();
  const std::vector<float> texts = load_texts(options, reward, count);
  const reward::Scores said = reward.score(images, texts, count);
  const std::vector<float>& scores = said.score;
  Scored result;
  result.is_ensemble = reward.ensemble() > 1;
  for (std::size_t i = 0; i < count; ++i) {
    result.names.push_back(std::to_string(i));
    const bool finite = std::isfinite(scores[i]);
    const float deviation = result.is_ensemble ? said.deviation[i] : 0.0F;
    result.items.push_back(finite ? ScoredImage{scores[i], "", "", deviation}
                                  : ScoredImage{std::numeric_limits<float>::quiet_NaN(), "not_finite",
                                                fmt::format("row {}: its vectors give no finite score", i), 0.0F});
  }
  return result;
}

std::string as_csv(const Scored& scored) {
  if (scored.table) {
    return scoring::format_scored_table(*scored.table, scored.values(), scored.deviations());
  }
  std::string text = scored.is_ensemble ? "row,score,score_deviation\n" : "row,score\n";
  for (std::size_t i = 0; i < scored.items.size(); ++i) {
    text += fmt::format("{},{}", scored.names[i], scored.items[i].score);
    text += scored.is_ensemble ? fmt::format(",{}\n", scored.items[i].deviation) : "\n";
  }
  return text;
}

void write_out(const std::filesystem::path& path, const Scored& scored) {
  if (path.extension() == ".npy") {
    const std::vector<std::size_t> shape = {scored.items.size()};
    write_npy(path, scored.values(), shape);
  } else {
    write_file_atomically(path, as_csv(scored));
  }
}

}  // namespace

int run_score(const ScoreOptions& options, Terminal& terminal) {
  if (options.table.empty() == options.image_embeddings.empty()) {
    fail(ErrorCode::kInvalidArgument, "score: expected FILE.csv or --image-embeddings, found {}",
         options.table.empty() ? "neither" : "both");
  }
  const Scored scored = options.table.empty() ? score_vectors(options) : score_table(options, terminal);
  const int code = exit_code_of(scored.items, options.strict);
  if (!options.out.empty() && code == 0) write_out(options.out, scored);

  nlohmann::ordered_json scores = nlohmann::ordered_json::array();
  std::size_t rank = 0;
  for (const std::size_t i : best_first(scored.items)) {
    nlohmann::ordered_json item = item_json(scored.names[i], scored.items[i], scored.items[i].ok() ? ++rank : 0);
    if (scored.table) item["prompt"] = scored.table->rows[i][scored.table->prompt_column];
    item["row"] = i;
    if (scored.is_ensemble && scored.items[i].ok()) item["deviation"] = scored.items[i].deviation;
    scores.push_back(std::move(item));
  }
  const nlohmann::ordered_json failures = failures_json(scored.names, scored.items);
  const auto truncated = std::ranges::count_if(scored.items, &ScoredImage::truncated);
  if (truncated != 0) {
    terminal.note(fmt::format("{} of {} prompts are longer than the encoder's context, and were cut",
                              with_thousands(static_cast<std::uint64_t>(truncated)), scored.items.size()));
  }
  const nlohmann::ordered_json object = {
      {"rows", scored.items.size()}, {"truncated", truncated}, {"scores", scores},
      {"failed", failures.size()},   {"failures", failures},   {"out", options.out.string()}};
  for (const auto& failure : failures) terminal.note(failure["detail"].get<std::string>());
  terminal.result(object, [&](std::ostream& out) {
    if (options.out.empty()) {
      out << as_csv(scored);
    } else if (code == 0) {
      out << fmt::format("{} rows, {} failed, in {}\n", with_thousands(scored.items.size()),
                         with_thousands(failures.size()), options.out.string());
    }
  });
  if (code != 0) terminal.warn(fmt::format("{} of {} rows could not be scored", failures.size(), scored.items.size()));
  return code;
}

std::function<int(Terminal&)> add_score(CLI::App& command) {
  const auto options = std::make_shared<ScoreOptions>();
  command
      .add_option("--reward", options->reward,
                  "A reward's folder, a published scorer (pickscore, hpsv2.1, ...) or head's file (.pth); with --data, "
                  "also a name under its rewards/")
      ->required();
  CLI::Option* const table = command.add_option("FILE", options->table, "CSV with columns image and prompt");
  command.add_option("--image-embeddings", options->image_embeddings, ".npy, floats [N, D], as the encoder gives them")
      ->excludes(table);
  command.add_option("--text-embeddings", options->text_embeddings,
                     ".npy, floats [N, D], or one row for all; not for a published head");
  command.add_option("--out", options->out, "CSV with a column score added; .npy: float32 [N]");
  command.add_option("--data", options->data, "The workspace that --reward names a reward of");
  add_encoder_options(command, options->encoder);
  command.add_flag("--strict", options->strict, "Exit 1, and write nothing, if any row failed");
  command.footer(
      "Examples:\n  imagerank score --reward mine/rewards/mlp pictures.csv --out scored.csv\n"
      "  imagerank score --reward mine/rewards/mlp --image-embeddings i.npy --text-embeddings t.npy --out s.npy");
  return [options](Terminal& terminal) { return run_score(*options, terminal); };
}

}  // namespace imagerank::cli
