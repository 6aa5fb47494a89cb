#include "labels/label.h"

#include <array>
#include <optional>
#include <utility>

#include "core/atomic_file.h"
#include "core/fail.h"
#include "labels/components.h"
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
  database.execute(rules::entry());
  if (settings.split != SplitRule::kImage) return;
  constexpr std::array<std::pair<int, int>, 3> kOrder = {{{1, 0}, {2, 0}, {2, 1}}};
  for (const auto& [held, held_out] : kOrder) database.execute(rules::take_out_straddling(held, held_out));
  counts.straddling_rankings = database.query_integer("SELECT count(*) FROM ranking_split WHERE held = 3");
}

/// counts of a query's one row, in order.
template <std::size_t kCount>
void read_counts(workspace::Database& database, const std::string& sql, const std::array<std::int64_t*, kCount>& into) {
  const workspace::Table table = database.query(sql);
  for (std::size_t i = 0; i < kCount; ++i) *into[i] = table.columns[i].integer.at(0);
}

void count_points(workspace::Database& database, const LabelSettings& settings, LabelCounts& counts) {
  read_counts<8>(database,
                 fmt::format(R"(
    SELECT sum(votes)::BIGINT, sum(bit_count(bits))::BIGINT, count(*), count(*) FILTER (bits NOT IN (1, 2, 4)),
           count(*) FILTER (bits >= 4), count(*) FILTER (bits >= 4 AND bits & 1 = 1),
           count(*) FILTER (label IS NULL), count(*) FILTER (label IS NOT NULL AND votes < {})
    FROM kept)",
                             settings.min_votes),
                 {&counts.rows, &counts.distinct, &counts.kept, &counts.conflicts, &counts.winners,
                  &counts.winners_that_lost, &counts.dropped_conflicts, &counts.few_votes});
  if (settings.split != SplitRule::kRandom) {
    counts.straddling_points = database.query_integer("SELECT sum(greatest(parts - 1, 0)) FROM kept");
  }
  read_counts<6>(database, R"(
    SELECT count(*) FILTER (label = 0), count(*) FILTER (label = 1), count(*) FILTER (label = 2),
           count(*) FILTER (held = 2), count(*) FILTER (held = 1), count(*) FILTER (held = 0) FROM point)",
                 {&counts.labels[0], &counts.labels[1], &counts.labels[2], &counts.splits[0], &counts.splits[1],
                  &counts.splits[2]});
}

void count_pairs(workspace::Database& database, const LabelSettings& settings, LabelCounts& counts) {
  const std::string written = settings.tie_pairs ? "true" : "p_a <> 0.5";
  read_counts<5>(database,
                 fmt::format(R"(
    SELECT count(*) FILTER (p_a <> 0.5), count(*) FILTER (p_a = 0.5), count(*) FILTER (held = 2 AND {0}),
           count(*) FILTER (held = 1 AND {0}), count(*) FILTER (held = 0 AND {0}) FROM pair_number)",
                             written),
                 {&counts.strict_pairs, &counts.tied_pairs, &counts.pair_splits[0], &counts.pair_splits[1],
                  &counts.pair_splits[2]});
  counts.prompt_overlap = database.query_real(rules::overlap("prompt_id"));
  counts.image_overlap = database.query_real(rules::overlap("image_uid"));
  counts.user_overlap = database.query_real(rules::user_overlap());
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
  const bool straddles = settings.split != SplitRule::kRandom && settings.split != SplitRule::kPrompt;
  database.execute(rules::kept(settings, straddles));
  if (settings.split == SplitRule::kRandom) database.execute(rules::split_points_by_row(settings));
  context.check_stop();
  database.execute(rules::point(settings));
  count_points(database, settings, counts);
  database.execute(rules::pair_index());
  database.execute(rules::pair_number());
  database.execute(rules::pair());
  if (settings.weights == WeightRule::kPrompt) database.execute(rules::prompt_weight());
  count_pairs(database, settings, counts);
  context.check_stop();

  // Both tables are on disk before either gets its name: they describe one split.
  AtomicFile pairs(workspace.table_path("pairs"));
  AtomicFile points(workspace.table_path("points"));
  std::optional<AtomicFile> csv;
  if (!settings.csv.empty()) csv.emplace(settings.csv);
  database.copy_unordered(rules::weighed_pairs(settings), pairs);
  context.check_stop();
  constexpr std::size_t kCsvColumns = 3;  // image_uid, prompt, label
  database.copy_unordered(rules::written_points(), points, csv ? &*csv : nullptr, kCsvColumns);
  if (csv) csv->commit();
  points.commit();
  pairs.commit();
  return counts;
}

}  // namespace imagerank::labels
