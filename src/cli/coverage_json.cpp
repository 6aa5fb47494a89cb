#include "cli/coverage_output.h"
#include "cli/figures.h"

namespace imagerank::cli {
namespace {

using Json = nlohmann::ordered_json;
using statistics::Composition;
using statistics::CoverageGroup;
using statistics::CoverageReport;
using statistics::Grouping;

Json as_json(const statistics::Coverage& coverage) {
  return {{"total", coverage.total},
          {"ok", coverage.ok},
          {"not_tried", coverage.not_tried},
          {"dead", coverage.dead},
          {"ok_share", share(coverage.ok, coverage.total)},
          {"dead_share", share(coverage.dead, coverage.total)}};
}

Json as_json(const std::optional<statistics::SurvivalTest>& test) {
  if (!test) return {};
  return {{"chi_square", test->chi_square},
          {"degrees", test->degrees},
          {"p", test->p},
          {"design_effect", test->design_effect},
          {"cautious_p", test->cautious_p},
          {"cramers_v", test->cramers_v},
          {"smallest_expected", test->smallest_expected}};
}

Json as_json(const Composition& composition) {
  Json parts = Json::object();
  for (const Composition::Part& part : composition.parts) {
    Json object = as_json(part.coverage);
    const Json before = share(part.coverage.total, composition.total());
    const Json after = share(part.coverage.ok, composition.ok());
    object["share_of_all"] = before;
    object["share_of_ok"] = after;
    object["change"] = after.is_null() ? Json() : Json(after.get<double>() - before.get<double>());
    parts[part.name] = object;
  }
  return {{"parts", parts},
          {"test", as_json(composition.test)},
          {"uneven", is_uneven(composition.test, statistics::kLeastV)}};
}

Json as_json(const CoverageGroup& group) {
  Json object = as_json(group.coverage);
  const auto labels = [](const std::array<std::int64_t, 3>& counts) {
    return Json{{"0", counts[0]}, {"1", counts[1]}, {"2", counts[2]}};
  };
  object["labels"] = labels(group.labels);
  object["labels_ok"] = labels(group.labels_ok);
  return object;
}

Json as_json(const Grouping& grouping) {
  Json groups = Json::array();
  for (const CoverageGroup& group : grouping.groups) {
    Json object = {{"group", group.name}};
    object.update(as_json(group));
    groups.push_back(std::move(object));
  }
  const auto summed = [](const CoverageGroup& group, std::int64_t count) {
    Json object = {{"groups", count}};
    object.update(as_json(group));
    return object;
  };
  Json result = {{"unit", grouping.unit}, {"groups", groups}};
  if (grouping.kind == "user") result["other"] = summed(grouping.others, grouping.other_groups);
  result["small"] = summed(grouping.small, grouping.small_groups);
  result["test"] = as_json(grouping.test);
  result["uneven"] = is_uneven(grouping.test, statistics::kLeastGroupV);
  return result;
}

}  // namespace

Json overall_json(const statistics::OverallCoverage& overall) {
  return {{"images", as_json(overall.images)},
          {"rankings", as_json(overall.rankings)},
          {"pairs", as_json(overall.pairs)},
          {"prompts", as_json(overall.prompts)},
          {"labels", as_json(overall.labels)}};
}

Json coverage_json(const CoverageReport& report, const std::vector<std::string>& warnings) {
  Json reasons = Json::array();
  for (const statistics::FailureReason& reason : report.reasons) {
    reasons.push_back({{"reason", reason.reason},
                       {"images", reason.images},
                       {"rankings", reason.rankings},
                       {"rankings_alone", reason.rankings_alone},
                       {"may_pass", reason.may_pass}});
  }
  Json result = {{"warnings", warnings},
                 {"coverage", overall_json(report.overall)},
                 {"images_without_row", report.images_without_row},
                 {"labels", as_json(report.labels)},
                 {"rankings", as_json(report.rankings)},
                 {"pairs", as_json(report.pairs)},
                 {"places", as_json(report.places)},
                 {"strict_rankings",
                  {{"total", report.strict.total},
                   {"ok", report.strict.ok},
                   {"dead_winner", report.strict.dead_winner},
                   {"dead_losers", report.strict.dead_losers},
                   {"dead_both", report.strict.dead_both}}},
                 {"reasons", reasons},
                 {"may_pass", {{"images", report.may_pass_images}, {"rankings", report.may_pass_rankings}}}};
  for (const Grouping& grouping : report.groupings) result["by_" + grouping.kind] = as_json(grouping);
  return result;
}

}  // namespace imagerank::cli
