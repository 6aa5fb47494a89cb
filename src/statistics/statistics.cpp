#include "statistics/statistics.h"

#include <algorithm>
#include <utility>

#include "core/fail.h"
#include "statistics/queries.h"
#include "statistics/row.h"
#include "workspace/database.h"
#include "workspace/schema.h"

namespace imagerank::statistics {
namespace {

constexpr std::array kTables = {"rankings", "images", "ratings", "points", "pairs", "perturbed", "truth"};

class Measuring {
 public:
  Measuring(const workspace::Workspace& workspace, const RunContext& context)
      : workspace_(workspace), context_(context), database_(context.threads, workspace.root()) {}

  Statistics run() {
    database_.execute("SET memory_limit = '2GB'");
    read_tables();
    count_rankings();
    context_.check_stop();
    measure_lists();
    context_.check_stop();
    measure_annotators();
    context_.check_stop();
    measure_coverage();
    count_labelled();
    return std::move(result_);
  }

 private:
  void read_tables() {
    bool any = false;
    for (const char* name : kTables) {
      TableState state{name, std::string(workspace::table_schema(name).made_by), std::nullopt};
      workspace_.attach_or_empty(database_, name);
      if (workspace_.has_table(name)) {
        state.rows = database_.query_integer(fmt::format("SELECT count(*) FROM {}", name));
        any = true;
      }
      result_.tables.push_back(std::move(state));
    }
    if (!any) workspace_.attach(database_, "rankings");  // says which command makes it
    number_rankings(workspace_, database_);
    database_.execute(queries::judged());
  }

  void count_rankings() {
    const Row counts(database_, queries::ranking_counts());
    result_.rankings = counts.integer(0);
    result_.ties = counts.integer(1);
    result_.with_ranks = counts.integer(2);
    result_.without_user = counts.integer(3);
    result_.first_time = counts.text(4);
    result_.last_time = counts.text(5);
    result_.images = database_.query_integer("SELECT count(*) FROM images");
    result_.ratings = database_.query_integer("SELECT count(*) FROM ratings");
    result_.users = database_.query_integer(
        "SELECT count(*) FROM (SELECT user_id FROM rankings UNION SELECT user_id FROM ratings) WHERE user_id <> ''");
    result_.images_judged = database_.query_integer("SELECT count(DISTINCT hash(image_uid)) FROM judged");
    fill("SELECT coalesce(dataset, ''), count(*) FROM rankings GROUP BY 1", result_.datasets);
    fill("SELECT coalesce(official_split, ''), count(*) FROM rankings GROUP BY 1", result_.official_splits);
    const workspace::Table sizes =
        database_.query("SELECT coalesce(len(image_uids), 0), count(*) FROM rankings GROUP BY 1");
    for (std::size_t i = 0; i < sizes.row_count; ++i)
      result_.images_per_ranking[sizes.columns[0].integer[i]] = sizes.columns[1].integer[i];
    count_ratings();
    const Row lengths(database_, queries::prompt_lengths());
    result_.prompt_words = {lengths.real(0), lengths.real(1), lengths.real(2), lengths.real(3)};
    result_.prompt_characters = {lengths.real(4), lengths.real(5), lengths.real(6), lengths.real(7)};
    result_.prompts = lengths.integer(8);
    result_.prompts_joined = lengths.integer(9);
  }

  void count_ratings() {
    const workspace::Table aspects = database_.query(
        "SELECT coalesce(aspect, ''), count(*), coalesce(avg(score), 0), coalesce(min(score), 0), coalesce(max(score), "
        "0) "
        "FROM ratings GROUP BY 1 ORDER BY 1");
    for (std::size_t i = 0; i < aspects.row_count; ++i) {
      result_.aspects.push_back({aspects.columns[0].text[i], aspects.columns[1].integer[i], aspects.columns[2].real[i],
                                 aspects.columns[3].real[i], aspects.columns[4].real[i]});
    }
  }

  /// Text and count.
  void fill(const std::string& sql, std::map<std::string, std::int64_t>& counts) {
    const workspace::Table table = database_.query(sql);
    for (std::size_t i = 0; i < table.row_count; ++i) counts[table.columns[0].text[i]] = table.columns[1].integer[i];
  }

  void measure_lists() {
    database_.execute(queries::image_state());
    database_.execute(queries::entries());
    context_.check_stop();
    database_.execute(queries::pairs());
    database_.execute(queries::label_state());
    const Row labels(database_, queries::label_counts());
    for (std::size_t i = 0; i < result_.labels.size(); ++i) result_.labels[i] = labels.integer(i);
    result_.conflicts = labels.integer(3);
    result_.winners = labels.integer(4);
    result_.winners_that_lost = labels.integer(5);
    result_.strict_pairs = database_.query_integer("SELECT count(*) FROM pair WHERE outcome <> 0");
    result_.tied_pairs = database_.query_integer("SELECT count(*) FROM pair WHERE outcome = 0");
    const workspace::Table wins = database_.query(queries::wins_by_place());
    std::map<std::int64_t, PositionWins> sizes;
    for (std::size_t i = 0; i < wins.row_count; ++i) {
      const std::int64_t images = wins.columns[0].integer[i];
      PositionWins& size = sizes[images];
      size.images = images;
      size.wins.resize(static_cast<std::size_t>(images));
      size.wins[static_cast<std::size_t>(wins.columns[1].integer[i]) - 1] = wins.columns[2].integer[i];
    }
    PositionBias& bias = result_.position_bias;
    for (auto& [images, size] : sizes) {
      const double expected = static_cast<double>(size.rankings()) / static_cast<double>(images);
      for (const std::int64_t won : size.wins)
        bias.chi_square += (static_cast<double>(won) - expected) * (static_cast<double>(won) - expected) / expected;
      bias.degrees += images - 1;
      bias.sizes.push_back(std::move(size));
    }
    if (bias.degrees > 0) bias.p = chi_square_p(bias.chi_square, bias.degrees);
  }

  void measure_annotators() {
    Agreement& agreement = result_.agreement;
    const Row units(database_, queries::agreement());
    agreement.units = units.integer(0);
    agreement.pairs = units.integer(1);
    agreement.agreeing = units.integer(2);
    agreement.strict_pairs = units.integer(3);
    agreement.strict_agreeing = units.integer(4);
    const std::array<double, 3> totals = {units.real(6), units.real(7), units.real(8)};
    agreement.alpha = krippendorff_alpha(units.real(5), totals);
    const Row repeats(database_, queries::repeats());
    agreement.repeat_pairs = repeats.integer(0);
    agreement.repeat_agreeing = repeats.integer(1);
    const Row users(database_, queries::concentration());
    result_.concentration = {users.integer(0), users.integer(1), users.real(2),
                             users.real(3),    users.real(4),    users.real(5)};
  }

  void measure_coverage() {
    fill("SELECT coalesce(nullif(status, ''), 'not_tried'), count(*) FROM images GROUP BY 1", result_.image_status);
    result_.coverage = overall_coverage(database_);
  }

  void count_labelled() {
    const workspace::Table points =
        database_.query("SELECT coalesce(split, ''), label::VARCHAR, count(*) FROM points GROUP BY 1, 2");
    for (std::size_t i = 0; i < points.row_count; ++i)
      result_.points[points.columns[0].text[i]][points.columns[1].text[i]] = points.columns[2].integer[i];
    fill("SELECT coalesce(split, ''), count(*) FROM pairs GROUP BY 1", result_.pairs);
  }

  const workspace::Workspace& workspace_;
  const RunContext& context_;
  workspace::Database database_;
  Statistics result_;
};

}  // namespace

Statistics measure_workspace(const workspace::Workspace& workspace, const RunContext& context) {
  return Measuring(workspace, context).run();
}

}  // namespace imagerank::statistics
