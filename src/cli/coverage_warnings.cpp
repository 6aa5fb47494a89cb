#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>

#include "cli/coverage_output.h"
#include "cli/figures.h"

namespace imagerank::cli {
namespace {

using statistics::Composition;
using statistics::CoverageReport;
using statistics::Grouping;

using Warnings = std::vector<std::string>;

std::string name_of(const std::string& group) { return group.empty() ? "unknown" : group.substr(0, 40); }

void warn_of_fetching(Warnings& warnings, const CoverageReport& report, const std::string& data) {
  const statistics::Coverage& images = report.overall.images;
  if (images.total == 0) {
    warnings.emplace_back("images.parquet holds no image");
  } else if (images.not_tried == images.total) {
    warnings.push_back(fmt::format("no image was tried yet: run `imagerank fetch --data {}`", data));
  } else if (images.not_tried != 0) {
    warnings.push_back(
        fmt::format("{} of {} images were not tried yet, so nothing here is final: run `imagerank fetch "
                    "--data {}`",
                    count_text(images.not_tried), count_text(images.total), data));
  }
  if (images.total != 0 && images.dead == images.total)
    warnings.push_back(fmt::format("none of the {} images survives", count_text(images.total)));
  if (!report.has_rankings) {
    warnings.push_back(
        fmt::format("no rankings.parquet, so only images are counted: run `imagerank import --data {}`", data));
  } else if (report.overall.rankings.total == 0) {
    warnings.emplace_back("rankings.parquet holds no ranking");
  }
  if (report.images_without_row != 0) {
    warnings.push_back(
        fmt::format("{} images of rankings have no row in images.parquet and are never fetched: import a table of "
                    "their URLs",
                    count_text(report.images_without_row)));
  }
}

/// One line of the part whose share changes the most.
void warn_of_shift(Warnings& warnings, const Composition& composition, const char* things,
                   std::initializer_list<const char*> names) {
  if (!is_uneven(composition.test, statistics::kLeastV)) return;
  std::size_t most = 0;
  double shift = 0.0;
  const auto shares = [&](std::size_t part) {
    const statistics::Coverage& coverage = composition.parts[part].coverage;
    return std::pair(percent(coverage.ok, composition.ok()), percent(coverage.total, composition.total()));
  };
  for (std::size_t part = 0; part < composition.parts.size(); ++part) {
    const auto [after, before] = shares(part);
    if (std::abs(after - before) <= shift) continue;
    shift = std::abs(after - before);
    most = part;
  }
  const auto [after, before] = shares(most);
  warnings.push_back(fmt::format("surviving {} hold {:.1f} % {}, all hold {:.1f} % (V {:.2f})", things, after,
                                 *(names.begin() + most), before, composition.test->cramers_v));
}

void warn_of_places(Warnings& warnings, const Composition& places) {
  if (!is_uneven(places.test, statistics::kLeastV)) return;
  const statistics::Coverage& winners = places.parts[0].coverage;
  const statistics::Coverage& losers = places.parts[1].coverage;
  const double won = percent(winners.dead, winners.total), lost = percent(losers.dead, losers.total);
  warnings.push_back(fmt::format("winners die {} often than losers: {:.1f} % of {} against {:.1f} % of {} (V {:.2f})",
                                 won > lost ? "more" : "less", won, count_text(winners.total), lost,
                                 count_text(losers.total), places.test->cramers_v));
}

void warn_of_groups(Warnings& warnings, const Grouping& grouping, const statistics::Coverage& all) {
  if (is_uneven(grouping.test, statistics::kLeastGroupV)) {
    warnings.push_back(fmt::format("{}s do not survive alike: {:.1f} % of the {} of {}, {:.1f} % of {} (V {:.2f})",
                                   grouping.kind, 100.0 * grouping.worst_share, grouping.unit, name_of(grouping.worst),
                                   100.0 * grouping.best_share, name_of(grouping.best), grouping.test->cramers_v));
  }
  if (all.ok == 0) return;  // said once for all
  constexpr std::size_t kMost = 3;
  std::size_t gone = 0;
  for (const statistics::CoverageGroup& group : grouping.groups) {
    if (group.coverage.total == 0 || group.coverage.dead != group.coverage.total) continue;
    if (++gone <= kMost) {
      warnings.push_back(fmt::format("{} {}: 0 of {} {} survive", grouping.kind, name_of(group.name),
                                     count_text(group.coverage.total), grouping.unit));
    }
  }
  if (gone > kMost)
    warnings.push_back(fmt::format("{} more {}s of which nothing survives", gone - kMost, grouping.kind));
}

}  // namespace

std::vector<std::string> coverage_warnings(const CoverageReport& report, const std::filesystem::path& data) {
  Warnings warnings;
  warn_of_fetching(warnings, report, data.string());
  warn_of_shift(warnings, report.rankings, "rankings", {"with a best image", "ties"});
  warn_of_shift(warnings, report.pairs, "pairs", {"strict ones", "ties"});
  warn_of_shift(warnings, report.labels, "(image, prompt)", {"label 2", "label 1", "label 0"});
  warn_of_places(warnings, report.places);
  for (const Grouping& grouping : report.groupings) {
    warn_of_groups(warnings, grouping, grouping.unit == "images" ? report.overall.images : report.overall.rankings);
  }
  if (report.may_pass_images != 0) {
    std::vector<std::string> reasons;
    for (const statistics::FailureReason& reason : report.reasons) {
      if (reason.may_pass) reasons.push_back(reason.reason);
    }
    warnings.push_back(
        fmt::format("{} images failed for reasons that may pass, and {} rankings are dead for these "
                    "alone: run `imagerank fetch --data {} --retry-failed --reason {}`",
                    count_text(report.may_pass_images), count_text(report.may_pass_rankings), data.string(),
                    fmt::join(reasons, ",")));
  }
  return warnings;
}

}  // namespace imagerank::cli
