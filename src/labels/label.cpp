#include "labels/label.h"

#include <array>
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
constexpr std::array<std::pair<std::string_view, SplitRule>, 7> kRules = {{
    {"random", SplitRule::kRandom},
    {"prompt", SplitRule::kPrompt},
    {"user", SplitRule::kUser},
    {"image", SplitRule::kImage},
    {"time", SplitRule::kTime},
    {"component", SplitRule::kComponent},
    {"official", SplitRule::kOfficial},
}};
constexpr std::array kSplitNames = {"train", "validation", "test"};

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

/// ranking_split: where each ranking goes. Rankings that straddle (image rule) are not in it.
void split_rankings(workspace::Database& database, const LabelSettings& settings, LabelCounts& counts) {
  if (settings.split == SplitRule::kOfficial) {
    require_column(database, "official_split", "official");
    database.execute(rules::assign_official());
    return;
  }
  if (settings.split == SplitRule::kTime) require_column(database, "created_at", "time");
  if (settings.split == SplitRule::kUser) require_column(database, "user_id", "user");
  if (settings.split == SplitRule::kComponent) {
    group_by_component(database);
  } else {
    database.execute("CREATE TABLE grouped AS " + rules::group_key(settings.split, settings.seed));
  }
  database.execute(rules::assign_groups("grouped", settings));
  database.execute("CREATE TABLE ranking_split AS SELECT r, split FROM grouped JOIN group_split USING (key)");
  if (settings.split != SplitRule::kImage) return;
  const std::array<std::pair<const char*, const char*>, 3> order = {
      {{"validation", "test"}, {"train", "test"}, {"train", "validation"}}};
  for (const auto& [split, held_out] : order) {
    database.execute("CREATE OR REPLACE TABLE straddling AS " + rules::straddling_rankings(split, held_out));
    counts.straddling_rankings += database.query_integer("SELECT count(*) FROM straddling");
    database.execute("DELETE FROM ranking_split WHERE r IN (SELECT r FROM straddling)");
  }
}

void split_points(workspace::Database& database, const LabelSettings& settings, LabelCounts& counts) {
  if (settings.split == SplitRule::kRandom) {
    database.execute("CREATE TABLE row_key AS SELECT image_uid || chr(31) || prompt AS key FROM kept");
    database.execute("DROP TABLE group_split");
    database.execute(rules::assign_groups("row_key", settings));
    database.execute(rules::points_by_row());
    return;
  }
  database.execute(rules::points_by_split());
  const std::int64_t formed = database.query_integer(
      "SELECT count(*) FROM (SELECT DISTINCT image_uid, prompt, split FROM entry JOIN ranking_split USING (r))");
  counts.straddling_points = formed - database.query_integer("SELECT count(*) FROM point_split");
}

void count_results(workspace::Database& database, LabelCounts& counts) {
  counts.rows = database.query_integer("SELECT count(*) FROM entry");
  counts.distinct =
      database.query_integer("SELECT count(*) FROM (SELECT DISTINCT image_uid, prompt, label FROM entry)");
  counts.kept = database.query_integer("SELECT count(*) FROM kept");
  counts.conflicts = database.query_integer("SELECT count(*) FROM kept WHERE label_count > 1");
  counts.winners = database.query_integer("SELECT count(*) FROM kept WHERE label = 2");
  counts.winners_that_lost = database.query_integer("SELECT count(*) FROM kept WHERE label = 2 AND lost");
  counts.strict_pairs = database.query_integer("SELECT count(*) FROM pair WHERE p_a <> 0.5");
  counts.tied_pairs = database.query_integer("SELECT count(*) FROM pair WHERE p_a = 0.5");
  for (std::size_t i = 0; i < kSplitNames.size(); ++i) {
    counts.labels[i] = database.query_integer(fmt::format("SELECT count(*) FROM point WHERE label = {}", i));
    counts.splits[i] =
        database.query_integer(fmt::format("SELECT count(*) FROM point WHERE split = '{}'", kSplitNames[i]));
    counts.pair_splits[i] =
        database.query_integer(fmt::format("SELECT count(*) FROM pair WHERE split = '{}'", kSplitNames[i]));
  }
  counts.prompt_overlap = database.query_real(rules::overlap("prompt"));
  counts.image_overlap = database.query_real(rules::overlap("image_uid"));
}

}  // namespace

LabelVariant label_variant_of(std::string_view name) { return value_of(kVariants, name, "--labels"); }
SplitRule split_rule_of(std::string_view name) { return value_of(kRules, name, "--split"); }

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
}

LabelCounts make_labels(const workspace::Workspace& workspace, const LabelSettings& settings,
                        const RunContext& context) {
  settings.validate();
  workspace::Database database(context.threads, workspace.root());
  workspace.attach(database, "rankings");
  database.execute(
      "CREATE TABLE ranking AS SELECT CAST(row_number() OVER () AS INTEGER) AS r, "
      "dataset || chr(31) || ranking_id AS key, * FROM rankings");
  if (database.query_integer("SELECT count(*) FROM ranking") == 0) {
    fail(ErrorCode::kCorruptData, "{}: expected rankings, found an empty table",
         workspace.table_path("rankings").string());
  }
  LabelCounts counts;
  database.execute(rules::entries());
  database.execute(rules::kept());
  split_rankings(database, settings, counts);
  split_points(database, settings, counts);
  database.execute("CREATE TABLE point AS " + rules::variant(settings.variant));
  database.execute(rules::pairs());
  count_results(database, counts);
  context.check_stop();

  // Both tables are on disk before either gets its name: they describe one split.
  AtomicFile points(workspace.table_path("points"));
  AtomicFile pairs(workspace.table_path("pairs"));
  database.copy_parquet("SELECT * FROM point ORDER BY prompt, image_uid", points);
  database.copy_parquet(
      "SELECT ranking_id, user_id, prompt, image_a, image_b, p_a, weight, split FROM pair "
      "WHERE split IS NOT NULL ORDER BY r, i, j",
      pairs);
  if (!settings.csv.empty()) {
    database.write_csv("SELECT image_uid, prompt, label FROM point ORDER BY prompt, image_uid", settings.csv);
  }
  points.commit();
  pairs.commit();
  return counts;
}

}  // namespace imagerank::labels
