#include "cli/command_bench.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <ostream>
#include <set>
#include <utility>

#include "cli/bench_inputs.h"
#include "cli/candidates.h"
#include "cli/scored_items.h"
#include "core/atomic_file.h"
#include "core/fail.h"
#include "evaluation/html.h"
#include "evaluation/leaderboard.h"
#include "reward/published_scorers.h"
#include "scoring/csv_table.h"
#include "scoring/scored_rewards.h"

namespace imagerank::cli {
namespace {

namespace fs = std::filesystem;
using evaluation::Estimate;
using evaluation::LeaderboardRow;
using nlohmann::ordered_json;

/// One reward and all it said.
struct Board {
  std::string name;
  double scale = 1.0;                            ///< by which published tables multiply it
  std::vector<evaluation::PromptScores> scores;  ///< [generators][prompts]
  std::vector<LeaderboardRow> rows;              ///< best first
};

struct Run {
  BenchPrompts prompts;
  BenchImages images;
  std::vector<std::vector<ScoredImage>> items;  ///< [rewards][images]
  std::vector<Board> boards;
  bool untrained = false;
};

BenchImages find_images(const BenchOptions& options, const BenchPrompts& prompts) {
  const int given =
      (options.generators.empty() ? 0 : 1) + (options.images.empty() ? 0 : 1) + (options.manifest.empty() ? 0 : 1);
  if (given != 1) {
    fail(ErrorCode::kInvalidArgument, "bench: expected one of --generator, --images and --manifest, found {}", given);
  }
  if (!options.manifest.empty()) return read_bench_manifest(prompts, options.manifest);
  std::vector<GeneratorFolder> folders;
  for (const std::string& text : options.generators) folders.push_back(parse_generator(text));
  if (!options.images.empty()) {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(options.images, error)) {
      if (entry.is_directory()) folders.push_back({entry.path().filename().string(), entry.path()});
    }
    std::ranges::sort(folders, natural_less, &GeneratorFolder::name);
    if (folders.empty()) {
      fail(ErrorCode::kNotFound, "--images {}: expected a folder with a folder of images a generator, found none",
           options.images.string());
    }
  }
  std::set<std::string> names;
  for (const GeneratorFolder& folder : folders) {
    if (!names.insert(folder.name).second) {
      fail(ErrorCode::kInvalidArgument, "--generator: expected different names, found '{}' twice", folder.name);
    }
  }
  return find_bench_images(prompts, folders);
}

scoring::ScoredRewards load_rewards(const BenchOptions& options, const RunContext& context, Run& run) {
  scoring::EncoderShelf shelf;
  std::vector<scoring::RewardedEncoder> loaded;
  std::set<std::string> names;
  for (const std::string& reward : options.rewards) {
    const fs::path place = reward_folder(reward, options.data);
    Board board;
    board.name = fs::absolute(place).lexically_normal().filename().string();
    if (!names.insert(board.name).second) board.name = reward;
    if (const auto* const scorer = reward::find_scorer(reward)) board.scale = scorer->table_scale;
    run.boards.push_back(std::move(board));
    loaded.push_back(scoring::load_rewarded_encoder(place, scoring::place_for(place, options.encoder), shelf));
  }
  return {std::move(loaded), context.thread_count(), 0};
}

void score(scoring::ScoredRewards& rewards, const RunContext& context, Run& run) {
  constexpr std::size_t kBlock = 512;
  run.items.resize(run.boards.size());
  const std::vector<BenchImage>& images = run.images.images;
  for (std::size_t first = 0; first < images.size(); first += kBlock) {
    context.check_stop();
    const auto block = rewards.run(
        std::min(kBlock, images.size() - first),
        [&](std::size_t i) {
          const fs::path& path = images[first + i].path;
          return encoding::ImageSource{path.string(), path};
        },
        [&](std::size_t i) -> const std::string& { return run.prompts.prompts[images[first + i].prompt]; });
    for (std::size_t reward = 0; reward < block.size(); ++reward) {
      run.items[reward].insert(run.items[reward].end(), block[reward].begin(), block[reward].end());
    }
    context.report({"score", run.items.front().size(), images.size(), ""});
  }
}

/// A prompt's score is the mean over its images that have one.
void fill_boards(const BenchOptions& options, Run& run) {
  const std::size_t prompts = run.prompts.prompts.size(), generators = run.images.generators.size();
  const evaluation::Bootstrap bootstrap(prompts, options.bootstrap);
  for (std::size_t reward = 0; reward < run.boards.size(); ++reward) {
    std::vector<std::vector<double>> sums(generators, std::vector<double>(prompts)), counts = sums;
    for (std::size_t i = 0; i < run.images.images.size(); ++i) {
      const BenchImage& image = run.images.images[i];
      const ScoredImage& item = run.items[reward][i];
      if (!item.ok() || !std::isfinite(item.score)) continue;
      sums[image.generator][image.prompt] += item.score;
      counts[image.generator][image.prompt] += 1.0;
    }
    Board& board = run.boards[reward];
    board.scores = std::move(sums);
    for (std::size_t generator = 0; generator < generators; ++generator) {
      for (std::size_t prompt = 0; prompt < prompts; ++prompt) {
        board.scores[generator][prompt] /= counts[generator][prompt];  // NaN without any
      }
    }
    board.rows = evaluation::make_leaderboard(board.scores, run.prompts.groupings, bootstrap, options.batch);
  }
}

ordered_json number_or_null(const std::optional<double>& value) {
  return value ? ordered_json(*value) : ordered_json();
}
ordered_json estimate_json(const Estimate& estimate) {
  return {{"value", number_or_null(estimate.value)},
          {"low", number_or_null(estimate.low)},
          {"high", number_or_null(estimate.high)}};
}

ordered_json row_json(const LeaderboardRow& row, std::size_t rank, const Run& run, std::size_t reward) {
  std::size_t images = 0, failed = 0;
  for (std::size_t i = 0; i < run.images.images.size(); ++i) {
    if (run.images.images[i].generator != row.generator) continue;
    ++images;
    failed += run.items[reward][i].ok() ? 0 : 1;
  }
  ordered_json object = {{"generator", run.images.generators[row.generator]},
                         {"rank", row.mean.value ? ordered_json(rank) : ordered_json()},
                         {"mean", estimate_json(row.mean)},
                         {"mean_of_groups", estimate_json(row.mean_of_groups)},
                         {"to_leader", estimate_json(row.to_leader)},
                         {"prompts", row.prompts},
                         {"images", images},
                         {"failed", failed},
                         {"missing", run.images.missing[row.generator]}};
  object["groups"] = ordered_json::object();
  for (std::size_t g = 0; g < row.groups.size(); ++g) {
    const evaluation::Grouping& grouping = run.prompts.groupings[g];
    for (std::size_t k = 0; k < row.groups[g].size(); ++k) {
      ordered_json group = estimate_json(row.groups[g][k].mean);
      group["prompts"] = row.groups[g][k].prompts;
      group["batch_deviation"] = number_or_null(row.groups[g][k].batch_deviation);
      object["groups"][grouping.name][grouping.groups[k]] = std::move(group);
    }
  }
  return object;
}

ordered_json agreements_json(const Run& run) {
  ordered_json list = ordered_json::array();
  for (std::size_t a = 0; a < run.boards.size(); ++a) {
    for (std::size_t b = a + 1; b < run.boards.size(); ++b) {
      const auto agreement = evaluation::compare_rewards(run.boards[a].scores, run.boards[b].scores);
      list.push_back({{"first", run.boards[a].name},
                      {"second", run.boards[b].name},
                      {"spearman_images", number_or_null(agreement.spearman_images)},
                      {"kendall_generators", number_or_null(agreement.kendall_generators)}});
    }
  }
  return list;
}

ordered_json report_json(const Run& run, const BenchOptions& options) {
  std::vector<std::string> names;
  for (const BenchImage& image : run.images.images) names.push_back(image.path.string());
  ordered_json rewards = ordered_json::array();
  for (std::size_t reward = 0; reward < run.boards.size(); ++reward) {
    const Board& board = run.boards[reward];
    ordered_json rows = ordered_json::array();
    for (std::size_t i = 0; i < board.rows.size(); ++i) rows.push_back(row_json(board.rows[i], i + 1, run, reward));
    const auto truncated = std::ranges::count_if(run.items[reward], &ScoredImage::truncated);
    rewards.push_back(
        {{"name", board.name}, {"table_scale", board.scale}, {"truncated", truncated}, {"leaderboard", rows}});
  }
  const ordered_json failures = failures_json(names, run.items.front());
  ordered_json object = {{"prompts", run.prompts.prompts.size()},
                         {"generators", run.images.generators},
                         {"images", run.images.images.size()},
                         {"failed", failures.size()},
                         {"left_out", ordered_json::object()},
                         {"rewards", rewards},
                         {"agreement", agreements_json(run)},
                         {"bootstrap", options.bootstrap},
                         {"failures", failures}};
  for (const auto& [reason, count] : run.images.left_out) object["left_out"][reason] = count;
  return object;
}

/// One line an image.
std::string scores_csv(const Run& run) {
  std::string text;
  std::vector<std::string> header = {"generator", "image", "prompt"};
  for (const evaluation::Grouping& grouping : run.prompts.groupings) header.push_back(grouping.name);
  for (const Board& board : run.boards) header.push_back(board.name);
  scoring::append_csv_record(text, header);
  for (std::size_t i = 0; i < run.images.images.size(); ++i) {
    const BenchImage& image = run.images.images[i];
    std::vector<std::string> fields = {run.images.generators[image.generator], image.path.string(),
                                       run.prompts.prompts[image.prompt]};
    for (const evaluation::Grouping& grouping : run.prompts.groupings) {
      fields.push_back(grouping.groups[grouping.of_prompt[image.prompt]]);
    }
    for (const auto& items : run.items) fields.push_back(fmt::format("{}", items[i].score));
    scoring::append_csv_record(text, fields);
  }
  return text;
}

std::string page(const Run& run) {
  evaluation::Page page;
  page.add(fmt::format("<h1>Leaderboard</h1>\n<p>{} generators, {} prompts.</p>\n", run.images.generators.size(),
                       run.prompts.prompts.size()));
  for (const Board& board : run.boards) {
    std::vector<evaluation::IntervalRow> rows;
    for (const LeaderboardRow& row : board.rows) {
      Estimate scaled = row.mean;
      for (auto* const value : {&scaled.value, &scaled.low, &scaled.high}) {
        if (*value) **value *= board.scale;
      }
      rows.push_back({run.images.generators[row.generator], fmt::format("{} prompts", row.prompts), "head", scaled});
    }
    evaluation::IntervalChartOptions chart;
    chart.title = board.name;
    chart.caption = "Mean over prompts and its 95 % interval; prompts are drawn.";
    if (board.scale != 1.0) chart.caption += fmt::format(" Times {:g}, as published tables have it.", board.scale);
    chart.unit = "number";
    chart.rule = std::nullopt;
    chart.whole_range = false;
    page.add_intervals(rows, chart);
  }
  return page.html("Leaderboard");
}

std::string cell(const Estimate& estimate, double scale) {
  return estimate.value ? fmt::format("{:.4g}", *estimate.value * scale) : "-";
}

void print_board(std::ostream& out, const Board& board, const Run& run) {
  out << fmt::format("{}{}\n{:>4}  {:<24}{:>10}{:>22}{:>10}", board.name,
                     board.scale == 1.0 ? "" : fmt::format(" (times {:g}, as published)", board.scale), "rank",
                     "generator", "mean", "95 % interval", "prompts");
  const bool grouped = !run.prompts.groupings.empty();
  if (grouped) {
    out << fmt::format("{:>10}", "by group");
    for (const std::string& group : run.prompts.groupings.front().groups)
      out << fmt::format("{:>16}", group.substr(0, 15));
  }
  out << '\n';
  for (std::size_t i = 0; i < board.rows.size(); ++i) {
    const LeaderboardRow& row = board.rows[i];
    const std::string interval =
        row.mean.low ? fmt::format("{:.4g} to {:.4g}", *row.mean.low * board.scale, *row.mean.high * board.scale) : "";
    out << fmt::format("{:>4}  {:<24}{:>10}{:>22}{:>10}", row.mean.value ? std::to_string(i + 1) : "-",
                       run.images.generators[row.generator], cell(row.mean, board.scale), interval, row.prompts);
    if (grouped) {
      out << fmt::format("{:>10}", cell(row.mean_of_groups, board.scale));
      for (const auto& group : row.groups.front()) out << fmt::format("{:>16}", cell(group.mean, board.scale));
    }
    out << '\n';
  }
  out << '\n';
}

void print(std::ostream& out, const Run& run, const ordered_json& object) {
  for (const Board& board : run.boards) print_board(out, board, run);
  for (const ordered_json& agreement : object["agreement"]) {
    const auto text = [&](const char* name) {
      return agreement[name].is_null() ? std::string("-") : fmt::format("{:.3f}", agreement[name].get<double>());
    };
    out << fmt::format("{} and {}: rank correlation {} over images, {} over generators\n",
                       agreement["first"].get<std::string>(), agreement["second"].get<std::string>(),
                       text("spearman_images"), text("kendall_generators"));
  }
}

}  // namespace

int run_bench(const BenchOptions& options, Terminal& terminal) {
  constexpr std::uint64_t kMostDraws = 10000;
  if (options.bootstrap > kMostDraws) {
    fail(ErrorCode::kInvalidArgument, "--bootstrap: expected 0 to {}, found {}", kMostDraws, options.bootstrap);
  }
  const RunContext context = terminal.context();
  Run run;
  run.prompts = load_bench_prompts(options.prompts);
  run.images = find_images(options, run.prompts);
  scoring::ScoredRewards rewards = load_rewards(options, context, run);
  if (rewards.untrained()) terminal.warn("an encoder was never trained: its scores say nothing about the images");
  score(rewards, context, run);
  fill_boards(options, run);
  ordered_json object = report_json(run, options);
  for (std::size_t generator = 0; generator < run.images.generators.size(); ++generator) {
    if (run.images.missing[generator] == 0) continue;
    terminal.note(fmt::format("{}: no image for {} of {} prompts, which its means leave out",
                              run.images.generators[generator], with_thousands(run.images.missing[generator]),
                              with_thousands(run.prompts.prompts.size())));
  }
  for (const auto& [reason, count] : run.images.left_out) {
    terminal.note(fmt::format("{} images {}: left out", with_thousands(count), reason));
  }
  for (const auto& failure : object["failures"]) terminal.note(failure["detail"].get<std::string>());
  const int code = exit_code_of(run.items.front(), options.strict);
  if (!options.out.empty() && code == 0) {
    object["out"] = options.out.string();
    write_file_atomically(options.out / "scores.csv", scores_csv(run));
    write_file_atomically(options.out / "bench.html", page(run));
    write_file_atomically(options.out / "bench.json",
                          object.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n");
  }
  terminal.result(object, [&](std::ostream& out) { print(out, run, object); });
  return code;
}

std::function<int(Terminal&)> add_bench(CLI::App& command) {
  const auto options = std::make_shared<BenchOptions>();
  command
      .add_option("--prompts", options->prompts,
                  "The benchmark's prompts: a folder of HPSv2's .json lists, or .json, .jsonl, .csv, .tsv, .txt")
      ->required();
  command.add_option("--images", options->images, "A folder with a folder of images a generator");
  command.add_option("--generator", options->generators, "Instead: NAME=FOLDER of one generator's images; several");
  command.add_option("--manifest", options->manifest, "Instead: CSV with columns generator, image, prompt");
  command
      .add_option("--reward", options->rewards,
                  "A reward's folder, a published scorer or a head's file; with --data, also a name; several")
      ->required();
  command.add_option("--data", options->data, "The workspace that --reward names rewards of");
  add_encoder_options(command, options->encoder);
  command.add_option("--bootstrap", options->bootstrap, "Draws behind each 95 % interval, 0 for none")
      ->capture_default_str();
  command.add_option("--batch", options->batch, "Prompts a batch, of the deviation that HPSv2's runner gives")
      ->capture_default_str();
  command.add_option("--out", options->out, "A folder for bench.json, bench.html and scores.csv");
  command.add_flag("--strict", options->strict, "Exit 1, and write nothing, if any image failed");
  command.footer(
      "Examples:\n  imagerank bench --prompts hpsv2_prompts --images generated --reward hpsv2.1 --reward pickscore\n"
      "  imagerank bench --prompts PartiPrompts.tsv --generator sdxl=out/sdxl --generator mine=out/mine --reward "
      "pickscore");
  return [options](Terminal& terminal) { return run_bench(*options, terminal); };
}

}  // namespace imagerank::cli
