#include "labels/label.h"

#include <array>
#include <optional>
#include <utility>

#include "core/atomic_file.h"
#include "core/fail.h"
#include "labels/components.h"
#include "labels/pairs.h"
#include "labels/points.h"
#include "labels/prompt_texts.h"
#include "labels/ranking_rows.h"
#include "labels/rules.h"

namespace imagerank::labels {
namespace {

constexpr std::array<std::pair<std::string_view, LabelVariant>, 3> kVariants = {{
    {"three", LabelVariant::kThree},
    {"drop-ties", LabelVariant::kDropTies},
    {"merge-ties", LabelVariant::kMergeTies},
}};
constexpr std::array<std::pair<std::string_view, ConflictRule>, 3> kConflictRules = {{
    {"keep-max", ConflictRule::kKeepMax},
    {"majority", ConflictRule::kMajority},
    {"drop", ConflictRule::kDrop},
}};
constexpr std::array<std::pair<std::string_view, WeightRule>, 2> kWeightRules = {{
    {"ranking", WeightRule::kRanking},
    {"prompt", WeightRule::kPrompt},
}};
constexpr std::array<std::pair<std::string_view, SplitRule>, 7> kRules = {{
    {"random", SplitRule::kRandom},
    {"prompt", SplitRule::kPrompt},
    {"user", SplitRule::kUser},
    {"image", SplitRule::kImage},
    {"time", SplitRule::kTime},
    {"component", SplitRule::kComponent},
    {"official", SplitRule::kOfficial},
}};
template <typename Value, std::size_t kCount>
Value value_of(const std::array<std::pair<std::string_view, Value>, kCount>& names, std::string_view name,
               std::string_view option) {
  std::string known;
  for (const auto& [candidate, value] : names) {
    if (candidate == name) return value;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", candidate);
  }
  fail(ErrorCode::kInvalidArgument, "{}: expected one of {}, found '{}'", option, known, name);
}

/// A rule that needs a column of the rankings which the data does not fill.
void require_column(workspace::Database& database, const std::string& column, std::string_view rule) {
  const std::int64_t missing =
      database.query_integer(fmt::format("SELECT count(*) FROM ranking WHERE {} IS NULL OR {} = ''", column, column));
  const std::int64_t total = database.query_integer("SELECT count(*) FROM ranking");
  if (missing == total || (missing != 0 && column != "user_id")) {
    fail(ErrorCode::kInvalidArgument, "--split {}: expected {} on every ranking, found {} of {} without", rule, column,
         missing, total);
  }
}

/// A table's Parquet file with its columns checked and its rows numbered, as SQL; empty if there is none.
std::string numbered_rows(const workspace::Workspace& workspace, workspace::Database& database,
                          const std::string& name) {
  if (!workspace.has_table(name)) return "";
  workspace.attach(database, name);
  return fmt::format("read_parquet({}, file_row_number = true)",
                     workspace::sql_literal(workspace.table_path(name).string()));
}

/// source, judged, ranking, prompt_key, ranking_number.
void choose_rankings(const workspace::Workspace& workspace, workspace::Database& database,
                     const LabelSettings& settings, LabelCounts& counts) {
  const std::string rankings = numbered_rows(workspace, database, "rankings");
  std::string ratings;
  if (!settings.ratings.empty()) {
    workspace.attach(database, "ratings");
    ratings = "ratings";
    const std::string aspect = workspace::sql_literal(settings.ratings);
    if (database.query_integer("SELECT count(*) FROM ratings WHERE aspect = " + aspect) == 0) {
      const auto known = database.query("SELECT coalesce(string_agg(DISTINCT aspect, ', '), 'no rows') FROM ratings");
      fail(ErrorCode::kInvalidArgument, "--ratings: expected an aspect of ratings.parquet ({}), found '{}'",
           known.columns[0].text[0], settings.ratings);
    }
  } else if (rankings.empty()) {
    workspace.attach(database, "rankings");  // says which command makes it
  }
  database.execute(rules::source(rankings, ratings, settings.ratings));
  if (database.query_integer("SELECT count(*) FROM source") == 0) {
    fail(ErrorCode::kCorruptData, "{}: expected rankings, found an empty table",
         workspace.table_path("rankings").string());
  }
  database.execute(rules::judged(settings.prompts));
  database.execute(rules::ranking());
  const workspace::Table filtered =
      database.query("SELECT reason, count(*) AS n FROM judged WHERE reason <> '' GROUP BY reason");
  for (std::size_t i = 0; i < filtered.row_count; ++i) {
    counts.filtered[filtered.columns[0].text[i]] = filtered.columns[1].integer[i];
  }
  if (settings.prompts.trim) {
    counts.merged_prompts = database.query_integer("SELECT count(DISTINCT prompt) FROM source") -
                            database.query_integer("SELECT count(DISTINCT prompt) FROM judged");
  }
  database.execute(rules::prompt_key());
  if (database.query_integer("SELECT count(*) FROM prompt_key") == 0) {
    fail(ErrorCode::kCorruptData, "{}: expected a ranking that the prompt filters let through, found none",
         workspace.root().string());
  }
  database.execute(rules::ranking_number(settings.seed));
}

/// ranking_split: where each ranking goes; entry.
void split_rankings(workspace::Database& database, const LabelSettings& settings, LabelCounts& counts) {
  switch (settings.split) {
    case SplitRule::kRandom:
      database.execute(rules::split_by_ranking(settings));
      break;
    case SplitRule::kOfficial:
      require_column(database, "official_split", "official");
      database.execute(rules::split_official());
      break;
    default:
      if (settings.split == SplitRule::kTime) require_column(database, "created_at", "time");
      if (settings.split == SplitRule::kUser) require_column(database, "user_id", "user");
      if (settings.split == SplitRule::kComponent) {
        group_by_component(database);
      } else {
        database.execute("CREATE VIEW grouped AS " + rules::group_key(settings.split, settings.seed));
      }
      database.execute(rules::split_by_group(settings));
  }
  if (settings.split != SplitRule::kImage) return;
  database.execute(rules::entry());
  constexpr std::array<std::pair<int, int>, 3> kOrder = {{{1, 0}, {2, 0}, {2, 1}}};
  for (const auto& [held, held_out] : kOrder) database.execute(rules::take_out_straddling(held, held_out));
  counts.straddling_rankings = database.query_integer("SELECT count(*) FROM ranking_split WHERE held = 3");
}

/// Each ranking once, by all threads: its pairs are written, and what it says of its images is kept for points.
void take_rankings(workspace::Database& database, const LabelSettings& settings, Points& points, Pairs& pairs) {
  database.take_rows(rules::placed(settings.weights),
                     [&](std::span<const workspace::ColumnRows> columns, std::size_t count) {
                       Pairs::Writer& writer = pairs.writer();
                       workspace::TextParts::Adder& adder = points.adder();
                       for_each_ranking(columns, count, [&](const PlacedRanking& ranking) {
                         points.add(ranking, adder);
                         writer.add(ranking);
                       });
                       writer.pass_on();
                     });
}

}  // namespace

LabelVariant label_variant_of(std::string_view name) { return value_of(kVariants, name, "--labels"); }
SplitRule split_rule_of(std::string_view name) { return value_of(kRules, name, "--split"); }
ConflictRule conflict_rule_of(std::string_view name) { return value_of(kConflictRules, name, "--conflicts"); }
WeightRule weight_rule_of(std::string_view name) { return value_of(kWeightRules, name, "--weights"); }

void LabelSettings::validate() const {
  const auto is_share = [](double value) { return value >= 0.0 && value < 1.0; };  // false for NaN
  if (!is_share(test))
    fail(ErrorCode::kInvalidArgument, "--test: expected a share of 0 to less than 1, found {}", test);
  if (!is_share(validation)) {
    fail(ErrorCode::kInvalidArgument, "--validation: expected a share of 0 to less than 1, found {}", validation);
  }
  if (test + validation >= 1.0) {
    fail(ErrorCode::kInvalidArgument, "--test and --validation: expected less than 1 together, found {}",
         test + validation);
  }
  if (min_votes < 1) fail(ErrorCode::kInvalidArgument, "--min-votes: expected 1 or more, found {}", min_votes);
  if (prompts.max_characters > 0 && prompts.max_characters < prompts.min_characters) {
    fail(ErrorCode::kInvalidArgument, "--max-prompt-chars: expected {} (--min-prompt-chars) or more, found {}",
         prompts.min_characters, prompts.max_characters);
  }
}

LabelCounts make_labels(const workspace::Workspace& workspace, const LabelSettings& settings,
                        const RunContext& context) {
  settings.validate();
  workspace::Database database(context.threads, workspace.root());
  database.execute("SET disabled_optimizers = 'join_order,build_side_probe_side'");  // rules.h says why
  database.execute("SET preserve_insertion_order = false");                          // schema.h says why
  LabelCounts counts;
  choose_rankings(workspace, database, settings, counts);
  context.check_stop();
  split_rankings(database, settings, counts);
  if (settings.weights == WeightRule::kPrompt) database.execute(rules::prompt_weight());
  counts.user_overlap = database.query_real(rules::user_overlap());
  PromptTexts prompts(workspace.root());
  prompts.fill(database);
  context.check_stop();

  // Both tables are on disk before either gets its name: they describe one split.
  AtomicFile pair_file(workspace.table_path("pairs"));
  AtomicFile point_file(workspace.table_path("points"));
  std::optional<AtomicFile> csv;
  if (!settings.csv.empty()) csv.emplace(settings.csv);
  Points points(settings, prompts, context, workspace.root());
  Pairs pairs(pair_file, prompts, settings.tie_pairs);
  take_rankings(database, settings, points, pairs);
  context.check_stop();
  points.group(counts);
  pairs.finish(counts);
  points.write(point_file, csv ? &*csv : nullptr, counts);
  if (csv) csv->commit();
  point_file.commit();
  pair_file.commit();
  return counts;
}

}  // namespace imagerank::labels
