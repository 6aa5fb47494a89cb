#include "cli/coverage_output.h"
#include "cli/figures.h"
#include "cli/info_output.h"

namespace imagerank::cli {
namespace {

using Json = nlohmann::ordered_json;
using statistics::Statistics;

template <typename Key>
Json as_json(const std::map<Key, std::int64_t>& counts) {
  Json object = Json::object();
  for (const auto& [key, count] : counts) {
    if constexpr (std::is_integral_v<Key>) {
      object[std::to_string(key)] = count;
    } else {
      object[key] = count;
    }
  }
  return object;
}

Json as_json(const statistics::Distribution& distribution) {
  return {{"mean", distribution.mean},
          {"median", distribution.median},
          {"p95", distribution.p95},
          {"max", distribution.max}};
}

template <typename Value>
Json as_json(const std::optional<Value>& value) {
  return value ? Json(*value) : Json();
}

Json position_bias(const statistics::PositionBias& bias) {
  Json sizes = Json::array();
  for (const statistics::PositionWins& size : bias.sizes) {
    Json shares = Json::array();
    for (const std::int64_t wins : size.wins) shares.push_back(share(wins, size.rankings()));
    sizes.push_back({{"images", size.images},
                     {"rankings", size.rankings()},
                     {"wins", size.wins},
                     {"shares", shares},
                     {"chance", 1.0 / static_cast<double>(size.images)}});
  }
  return {{"sizes", sizes}, {"chi_square", bias.chi_square}, {"degrees", bias.degrees}, {"p", as_json(bias.p)}};
}

Json agreement(const statistics::Agreement& found) {
  return {{"units", found.units},
          {"pairs", found.pairs},
          {"agree", share(found.agreeing, found.pairs)},
          {"strict_pairs", found.strict_pairs},
          {"strict_agree", share(found.strict_agreeing, found.strict_pairs)},
          {"krippendorff_alpha", as_json(found.alpha)},
          {"repeat_pairs", found.repeat_pairs},
          {"repeat_agree", share(found.repeat_agreeing, found.repeat_pairs)}};
}

Json points(const Statistics& statistics) {
  Json object = Json::object();
  for (const auto& [split, labels] : statistics.points) object[split] = as_json(labels);
  return object;
}

Json ratings(const Statistics& statistics) {
  Json object = Json::object();
  for (const statistics::RatingAspect& aspect : statistics.aspects)
    object[aspect.aspect] = {{"rows", aspect.rows}, {"mean", aspect.mean}, {"min", aspect.min}, {"max", aspect.max}};
  return object;
}

}  // namespace

nlohmann::ordered_json info_json(const Statistics& statistics) {
  Json tables = Json::object(), missing = Json::object();
  for (const statistics::TableState& table : statistics.tables) {
    tables[table.name] = as_json(table.rows);
    if (!table.rows) missing[table.name] = table.made_by;
  }
  const statistics::Concentration& users = statistics.concentration;
  return {{"tables", tables},
          {"missing", missing},
          {"rankings", statistics.rankings},
          {"users", statistics.users},
          {"prompts", statistics.prompts},
          {"prompts_joined", statistics.prompts_joined},
          {"images", statistics.images},
          {"images_judged", statistics.images_judged},
          {"ratings", statistics.ratings},
          {"ties", statistics.ties},
          {"tie_share", share(statistics.ties, statistics.rankings)},
          {"with_ranks", statistics.with_ranks},
          {"without_user", statistics.without_user},
          {"datasets", as_json(statistics.datasets)},
          {"official_splits", as_json(statistics.official_splits)},
          {"images_per_ranking", as_json(statistics.images_per_ranking)},
          {"time", {{"first", statistics.first_time}, {"last", statistics.last_time}}},
          {"prompt_length",
           {{"words", as_json(statistics.prompt_words)}, {"characters", as_json(statistics.prompt_characters)}}},
          {"labels", {{"0", statistics.labels[0]}, {"1", statistics.labels[1]}, {"2", statistics.labels[2]}}},
          {"conflicts", statistics.conflicts},
          {"winners", statistics.winners},
          {"winners_that_lost", statistics.winners_that_lost},
          {"strict_pairs", statistics.strict_pairs},
          {"tied_pairs", statistics.tied_pairs},
          {"position_bias", position_bias(statistics.position_bias)},
          {"agreement", agreement(statistics.agreement)},
          {"concentration",
           {{"users", users.users},
            {"most", users.most},
            {"median", users.median},
            {"top_1_percent", users.top_1_share},
            {"top_10_percent", users.top_10_share},
            {"gini", users.gini}}},
          {"rating_aspects", ratings(statistics)},
          {"points", points(statistics)},
          {"pairs", as_json(statistics.pairs)},
          {"image_status", as_json(statistics.image_status)},
          {"coverage", overall_json(statistics.coverage)}};
}

}  // namespace imagerank::cli
