#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <ostream>
#include <sstream>
#include <utility>

#include "cli/coverage_output.h"
#include "cli/figures.h"

namespace imagerank::cli {
namespace {

using statistics::Composition;
using statistics::CoverageGroup;
using statistics::CoverageReport;
using statistics::Grouping;

/// Words in lines of at most 80 columns, "! " before the first.
void print_warning(std::ostream& out, const std::string& text) {
  constexpr std::size_t kWidth = 80;
  std::istringstream words(text);
  std::string line = "!";
  for (std::string word; words >> word;) {
    if (line.size() + 1 + word.size() > kWidth) {
      out << line << '\n';
      line.assign(1, ' ');
    }
    line += fmt::format(" {}", word);
  }
  out << line << '\n';
}

/// At most `width` characters of a name, its end where it is longer: models and users often begin alike.
std::string shortened(const std::string& name, std::size_t width) {
  const auto begins = [&](std::size_t at) { return (static_cast<unsigned char>(name[at]) & 0xC0U) != 0x80U; };
  std::size_t characters = 0;
  for (std::size_t at = 0; at < name.size(); ++at) characters += begins(at) ? 1 : 0;
  if (characters <= width) return name;
  std::size_t at = name.size();
  for (std::size_t kept = 0; kept + 2 < width; kept += begins(at) ? 1 : 0) --at;
  return fmt::format("..{}", name.substr(at));
}

std::string chance(double p) { return p < 0.0001 ? "p < 0.0001" : fmt::format("p {:.4f}", p); }

void print_test(std::ostream& out, const std::optional<statistics::SurvivalTest>& test) {
  if (!test) return;
  constexpr double kRough = 5.0;
  out << fmt::format("{:<17}V {:.3f}, {}; allowing for shared images {}{}\n", "", test->cramers_v, chance(test->p),
                     chance(test->cautious_p), test->smallest_expected < kRough ? "; few" : "");
}

void print_composition(std::ostream& out, const char* name, const Composition& composition,
                       std::initializer_list<const char*> parts) {
  if (composition.total() == 0) return;
  for (std::size_t i = 0; i < composition.parts.size(); ++i) {
    const statistics::Coverage& coverage = composition.parts[i].coverage;
    const double before = percent(coverage.total, composition.total());
    out << fmt::format("{:<9}{:<8}{:>11}{:>10.1f} %{:>10.1f} %", i == 0 ? name : "", *(parts.begin() + i),
                       count_text(coverage.total), percent(coverage.ok, coverage.total), before);
    if (composition.ok() == 0) {
      out << fmt::format("{:>12}{:>10}\n", "-", "-");
    } else {
      const double after = percent(coverage.ok, composition.ok());
      const double change = std::round(10.0 * (after - before)) / 10.0 + 0.0;  // no "-0.0"
      out << fmt::format("{:>10.1f} %{:>+10.1f}\n", after, change);
    }
  }
  print_test(out, composition.test);
}

void print_compositions(std::ostream& out, const CoverageReport& report) {
  out << fmt::format("\n{:<17}{:>11}{:>12}{:>12}{:>12}{:>10}\n", "what it holds", "total", "ok", "of all", "of ok",
                     "change");
  print_composition(out, "labels", report.labels, {"2 best", "1 tie", "0 other"});
  print_composition(out, "rankings", report.rankings, {"strict", "tie"});
  print_composition(out, "pairs", report.pairs, {"strict", "tie"});
  print_composition(out, "images", report.places, {"winner", "loser"});
  const statistics::StrictLosses& strict = report.strict;
  if (strict.total == 0) return;
  out << fmt::format("strict   {} rankings: {} ok; dead by the winner only {},\n{:<9}by losers only {}, by both {}\n",
                     count_text(strict.total), count_text(strict.ok), count_text(strict.dead_winner), "",
                     count_text(strict.dead_losers), count_text(strict.dead_both));
}

void print_reasons(std::ostream& out, const CoverageReport& report) {
  if (report.reasons.empty()) return;
  out << fmt::format("\n{:<24}{:>11}{:>14}{:>20}\n", "why images are dead", "images", "rankings", "by this alone");
  constexpr std::size_t kMost = 12;
  for (std::size_t i = 0; i < std::min(report.reasons.size(), kMost); ++i) {
    const statistics::FailureReason& reason = report.reasons[i];
    out << fmt::format("{:<24}{:>11}{:>14}{:>20}{}\n", shortened(reason.reason, 23), count_text(reason.images),
                       count_text(reason.rankings), count_text(reason.rankings_alone),
                       reason.may_pass ? "  may pass" : "");
  }
  if (report.reasons.size() > kMost) out << fmt::format("{} more: see --json\n", report.reasons.size() - kMost);
}

/// "  14.8  36.3  48.8": labels 2, 1 and 0.
std::string label_shares(const std::array<std::int64_t, 3>& labels) {
  const std::int64_t all = labels[0] + labels[1] + labels[2];
  if (all == 0) return fmt::format("{:>18}", "-");
  return fmt::format("{:>6.1f}{:>6.1f}{:>6.1f}", percent(labels[2], all), percent(labels[1], all),
                     percent(labels[0], all));
}

void print_group(std::ostream& out, const std::string& name, const CoverageGroup& group) {
  out << fmt::format("{:<25}{:>10}{:>7.1f} %{}{}\n", shortened(name, 24), count_text(group.coverage.total),
                     percent(group.coverage.ok, group.coverage.total), label_shares(group.labels),
                     label_shares(group.labels_ok));
}

void print_grouping(std::ostream& out, const Grouping& grouping) {
  if (grouping.groups.empty() && grouping.other_groups + grouping.small_groups == 0) return;
  out << fmt::format("\n{:<25}{:>10}{:>9}{:>18}{:>18}\n", "by " + grouping.kind, grouping.unit, "ok", "labels 2 1 0, %",
                     "of what is ok, %");
  constexpr std::size_t kMost = 36;
  for (std::size_t i = 0; i < std::min(grouping.groups.size(), kMost); ++i) {
    const CoverageGroup& group = grouping.groups[i];
    print_group(out, group.name.empty() ? "unknown" : group.name, group);
  }
  if (grouping.groups.size() > kMost)
    out << fmt::format("{} more: see --json or --csv\n", grouping.groups.size() - kMost);
  if (grouping.other_groups != 0)
    print_group(out, fmt::format("{} others", count_text(grouping.other_groups)), grouping.others);
  if (grouping.small_groups != 0)
    print_group(
        out,
        fmt::format("{} small {}", count_text(grouping.small_groups), grouping.small_groups == 1 ? "group" : "groups"),
        grouping.small);
  print_test(out, grouping.test);
}

/// The largest change of a share, in percentage points.
double largest_change(const CoverageReport& report) {
  double largest = 0.0;
  for (const Composition* composition : {&report.labels, &report.rankings, &report.pairs}) {
    if (composition->ok() == 0) continue;
    for (const Composition::Part& part : composition->parts) {
      largest = std::max(largest, std::abs(percent(part.coverage.ok, composition->ok()) -
                                           percent(part.coverage.total, composition->total())));
    }
  }
  return largest;
}

/// What the tests came to, and what to do now.
void print_verdict(std::ostream& out, const CoverageReport& report, const std::filesystem::path& data) {
  bool tested = false, uneven = false;
  for (const Composition* composition : {&report.labels, &report.rankings, &report.pairs, &report.places}) {
    tested = tested || composition->test;
    uneven = uneven || is_uneven(composition->test, statistics::kLeastV);
  }
  for (const Grouping& grouping : report.groupings) {
    tested = tested || grouping.test;
    uneven = uneven || is_uneven(grouping.test, statistics::kLeastGroupV);
  }
  if (!tested) return;
  if (uneven) {
    out << "\nverdict   what survives is not like the whole: see the lines with ! above\n";
    out << "next      say of each result that it is of the survivors, or weigh what differs\n";
    return;
  }
  constexpr double kMuch = 5.0;
  if (const double change = largest_change(report); change >= kMuch) {
    out << fmt::format("\nverdict   shares moved by up to {:.1f} points: chance may do that to so few images\n",
                       change);
  } else {
    out << fmt::format("\nverdict   nothing differs surely (p < 0.001) and visibly (V {:.2f}; groups {:.2f})\n",
                       statistics::kLeastV, statistics::kLeastGroupV);
  }
  out << fmt::format("next      imagerank label --data {}\n", data.string());
}

}  // namespace

void print_overall(std::ostream& out, const statistics::OverallCoverage& overall) {
  out << fmt::format("{:<15}{:>12}{:>12}{:>12}{:>12}\n", "by its images", "total", "ok", "not tried", "dead");
  for (const auto& [name, coverage] : {std::pair("images", overall.images),
                                       {"rankings", overall.rankings},
                                       {"pairs", overall.pairs},
                                       {"prompts", overall.prompts},
                                       {"labels", overall.labels}}) {
    out << fmt::format("{:<15}{:>12}{:>10.1f} %{:>10.1f} %{:>10.1f} %\n", name, count_text(coverage.total),
                       percent(coverage.ok, coverage.total), percent(coverage.not_tried, coverage.total),
                       percent(coverage.dead, coverage.total));
  }
}

void print_coverage(std::ostream& out, const CoverageReport& report, const std::vector<std::string>& warnings,
                    const std::filesystem::path& data) {
  for (const std::string& warning : warnings) print_warning(out, warning);
  if (!warnings.empty()) out << '\n';
  print_overall(out, report.overall);
  if (report.overall.rankings.total != 0) print_compositions(out, report);
  print_reasons(out, report);
  for (const Grouping& grouping : report.groupings) print_grouping(out, grouping);
  print_verdict(out, report, data);
}

}  // namespace imagerank::cli
