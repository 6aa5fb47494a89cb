#include "statistics/coverage.h"

#include <utility>

#include "core/fail.h"
#include "statistics/queries.h"
#include "statistics/row.h"
#include "workspace/database.h"

namespace imagerank::statistics {
namespace {

void add(CoverageGroup& sum, const CoverageGroup& group) {
  sum.coverage.total += group.coverage.total;
  sum.coverage.ok += group.coverage.ok;
  sum.coverage.not_tried += group.coverage.not_tried;
  sum.coverage.dead += group.coverage.dead;
  for (std::size_t label = 0; label < sum.labels.size(); ++label) {
    sum.labels[label] += group.labels[label];
    sum.labels_ok[label] += group.labels_ok[label];
  }
}

double ok_share(const Coverage& coverage) {
  return static_cast<double>(coverage.ok) / static_cast<double>(coverage.total);
}

class Measuring {
 public:
  Measuring(const workspace::Workspace& workspace, const CoverageSettings& settings, const RunContext& context)
      : workspace_(workspace), settings_(settings), context_(context), database_(context.threads, workspace.root()) {}

  CoverageReport run() {
    database_.execute("SET memory_limit = '2GB'");
    workspace_.attach(database_, "images");
    workspace_.attach_or_empty(database_, "rankings");
    number_rankings(workspace_, database_);
    result_.has_rankings = workspace_.has_table("rankings");
    make_tables();
    result_.overall = overall_coverage(database_);
    result_.images_without_row = database_.query_integer(queries::images_without_row());
    context_.check_stop();
    measure_compositions();
    context_.check_stop();
    measure_reasons();
    measure_groups();
    if (!settings_.csv.empty()) write_csv();
    return std::move(result_);
  }

 private:
  void make_tables() {
    for (const std::string& sql : {queries::image_state(true), queries::entries(true), queries::pairs(true),
                                   queries::label_state(), queries::ranking_state()}) {
      database_.execute(sql);
      context_.check_stop();
    }
  }

  /// @param names  of what `part` gives, each once. @param images  a row for each thing and image of it.
  Composition composition(const std::vector<std::pair<std::int64_t, std::string>>& names, const std::string& part,
                          const std::string& table, const std::string& images) {
    const workspace::Table counts = database_.query(queries::coverage_by(part, table));
    Composition result;
    for (const auto& [value, name] : names) {
      Coverage coverage;
      for (std::size_t row = 0; row < counts.row_count; ++row) {
        if (counts.columns[0].integer[row] == value) coverage = coverage_at(counts, row, 1);
      }
      result.parts.push_back({name, coverage});
    }
    test(result, images);
    return result;
  }

  void test(Composition& composition, const std::string& images) {
    std::vector<Coverage> parts;
    for (const Composition::Part& part : composition.parts) parts.push_back(part.coverage);
    composition.test = test_survival(parts, design_effect(images, composition.total()));
  }

  double design_effect(const std::string& images, std::int64_t things) {
    if (things == 0) return 1.0;
    return 1.0 + database_.query_real(queries::shared_images(images)) / static_cast<double>(things);
  }

  void measure_compositions() {
    result_.labels = composition({{2, "2"}, {1, "1"}, {0, "0"}}, "label::BIGINT", "label_state", "label_state");
    result_.rankings = composition({{0, "best"}, {1, "tie"}}, "tie::BIGINT", "ranking_state", "entry");
    result_.pairs = composition({{0, "strict"}, {1, "tied"}}, "(outcome = 0)::BIGINT", "pair",
                                "(SELECT image_a AS image FROM pair UNION ALL SELECT image_b FROM pair)");
    const workspace::Table winners =
        database_.query(queries::coverage_by("1::BIGINT",
                                             "(SELECT winner AS state FROM ranking_state WHERE winner IS "
                                             "NOT NULL)"));
    const Row losses(database_, queries::strict_losses());
    result_.strict = {losses.integer(0), losses.integer(1), losses.integer(2), losses.integer(3), losses.integer(4)};
    result_.places.parts = {{"winner", winners.row_count == 0 ? Coverage() : coverage_at(winners, 0, 1)},
                            {"loser", {losses.integer(5), losses.integer(6), losses.integer(7), losses.integer(8)}}};
    test(result_.places, "(SELECT image FROM entry WHERE NOT tie)");
  }

  void measure_reasons() {
    std::vector<std::string> passing;
    const workspace::Table found = database_.query(queries::reasons());
    for (std::size_t i = 0; i < found.row_count; ++i) {
      FailureReason reason{found.columns[0].text[i], found.columns[1].integer[i], found.columns[2].integer[i],
                           found.columns[3].integer[i], false};
      reason.may_pass = settings_.may_pass && settings_.may_pass(reason.reason);
      if (reason.may_pass) {
        passing.push_back(reason.reason);
        result_.may_pass_images += reason.images;
      }
      result_.reasons.push_back(std::move(reason));
    }
    if (!passing.empty()) result_.may_pass_rankings = database_.query_integer(queries::rankings_lost_to(passing));
  }

  void measure_groups() {
    database_.execute(queries::coverage_group());
    for (const std::string& sql : {queries::group_by_month(), queries::group_by_user(), queries::group_by_model()}) {
      database_.execute(sql);
      context_.check_stop();
    }
    const double shared = design_effect("entry", result_.rankings.total());
    result_.groupings = {grouping("month", "rankings", shared), grouping("user", "rankings", shared),
                         grouping("model", "images", 1.0)};
  }

  /// @param columns  a name and the counts.
  std::vector<CoverageGroup> groups(const std::string& columns, const std::string& condition) {
    const workspace::Table rows =
        database_.query(fmt::format("SELECT {} FROM coverage_group WHERE {}", columns, condition));
    std::vector<CoverageGroup> found;
    for (std::size_t row = 0; row < rows.row_count; ++row) {
      CoverageGroup group{rows.columns[0].text[row], coverage_at(rows, row, 1), {}, {}};
      for (std::size_t label = 0; label < group.labels.size(); ++label) {
        group.labels[label] = rows.columns[5 + label].integer[row];
        group.labels_ok[label] = rows.columns[8 + label].integer[row];
      }
      found.push_back(std::move(group));
    }
    return found;
  }

  Grouping grouping(const std::string& kind, const std::string& unit, double shared) {
    Grouping result;
    result.kind = kind;
    result.unit = unit;
    const std::string large = fmt::format("kind = '{}' AND total >= {}", kind, settings_.min_group);
    const std::string small = fmt::format("kind = '{}' AND total < {}", kind, settings_.min_group);
    std::string counts, sums;
    for (const char* column : {"total", "ok", "not_tried", "dead", "all_0", "all_1", "all_2", "ok_0", "ok_1", "ok_2"}) {
      counts += fmt::format(", {}", column);
      sums += fmt::format(", coalesce(sum({}), 0)::BIGINT", column);
    }
    result.small = groups("''" + sums, small).front();
    result.small_groups = database_.query_integer("SELECT count(*) FROM coverage_group WHERE " + small);
    std::vector<CoverageGroup> found = groups(
        "name" + counts, fmt::format("{} ORDER BY name = '', {}name", large, kind == "month" ? "" : "total DESC, "));
    compare(result, found, shared);
    for (CoverageGroup& group : found) {
      const bool named = kind != "user" || group.name.empty() || std::cmp_less(result.groups.size(), settings_.top);
      if (named) {
        result.groups.push_back(std::move(group));
      } else {
        add(result.others, group);
        ++result.other_groups;
      }
    }
    return result;
  }

  static void compare(Grouping& grouping, const std::vector<CoverageGroup>& groups, double shared) {
    std::vector<Coverage> parts;
    for (const CoverageGroup& group : groups) {
      if (group.coverage.total == 0) continue;
      const double share = ok_share(group.coverage);
      if (parts.empty() || share < grouping.worst_share) {
        grouping.worst = group.name;
        grouping.worst_share = share;
      }
      if (parts.empty() || share > grouping.best_share) {
        grouping.best = group.name;
        grouping.best_share = share;
      }
      parts.push_back(group.coverage);
    }
    grouping.test = test_survival(parts, shared);
  }

  void write_csv() {
    std::string labels;
    for (const char* of : {"all", "ok"}) {
      labels += fmt::format(", {0}_0 + {0}_1 + {0}_2 AS labels_{0}", of);
      for (int label = 0; label < 3; ++label)
        labels += fmt::format(", {0}_{1} / nullif(labels_{0}, 0) AS label_{1}_share_{0}", of, label);
    }
    database_.write_csv(
        fmt::format("SELECT kind, name AS \"group\", CASE WHEN kind = 'model' THEN 'images' ELSE 'rankings' END AS "
                    "unit, total, ok, not_tried, dead, ok / nullif(total, 0) AS ok_share{} FROM coverage_group ORDER "
                    "BY kind, name",
                    labels),
        settings_.csv);
  }

  const workspace::Workspace& workspace_;
  const CoverageSettings& settings_;
  const RunContext& context_;
  workspace::Database database_;
  CoverageReport result_;
};

}  // namespace

std::int64_t Composition::total() const {
  std::int64_t sum = 0;
  for (const Part& part : parts) sum += part.coverage.total;
  return sum;
}

std::int64_t Composition::ok() const {
  std::int64_t sum = 0;
  for (const Part& part : parts) sum += part.coverage.ok;
  return sum;
}

CoverageReport measure_survival(const workspace::Workspace& workspace, const CoverageSettings& settings,
                                const RunContext& context) {
  if (settings.min_group < 0)
    fail(ErrorCode::kInvalidArgument, "--min-group: expected 0 or more, found {}", settings.min_group);
  if (settings.top < 0) fail(ErrorCode::kInvalidArgument, "--top: expected 0 or more, found {}", settings.top);
  return Measuring(workspace, settings, context).run();
}

}  // namespace imagerank::statistics
