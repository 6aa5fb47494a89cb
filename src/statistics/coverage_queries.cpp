#include <fmt/format.h>
#include <fmt/ranges.h>

#include "statistics/queries.h"
#include "workspace/database.h"

namespace imagerank::statistics::queries {
namespace {

/// Groups of a kind: how many of their things there are, and the labels of their (image, prompt). Either may be none.
/// @param things  a select of (key, state). @param labels  a select of (key, label, state).
/// @param name  a group's name by its `key`, where need be from what `join` adds.
std::string insert_groups(const char* kind, const std::string& things, const std::string& labels,
                          const char* name = "key", const char* join = "") {
  return fmt::format(R"(
    INSERT INTO coverage_group
    SELECT '{}', {}, coalesce(total, 0), coalesce(ok, 0), coalesce(not_tried, 0), coalesce(dead, 0), coalesce(all_0, 0),
           coalesce(all_1, 0), coalesce(all_2, 0), coalesce(ok_0, 0), coalesce(ok_1, 0), coalesce(ok_2, 0)
    FROM (SELECT key, count(*) AS total, count(*) FILTER (state = 2) AS ok, count(*) FILTER (state = 1) AS not_tried,
                 count(*) FILTER (state = 0) AS dead
          FROM ({}) GROUP BY key)
    FULL JOIN (SELECT key, count(*) FILTER (label = 0) AS all_0, count(*) FILTER (label = 1) AS all_1,
                      count(*) FILTER (label = 2) AS all_2, count(*) FILTER (label = 0 AND state = 2) AS ok_0,
                      count(*) FILTER (label = 1 AND state = 2) AS ok_1,
                      count(*) FILTER (label = 2 AND state = 2) AS ok_2
               FROM ({}) GROUP BY key) USING (key) {})",
                     kind, name, things, labels, join);
}

/// Groups of rankings by a key that `entry` and `ranking_state` both have.
std::string group_rankings(const char* kind, const char* key, const char* name = "key", const char* join = "") {
  return insert_groups(
      kind, fmt::format("SELECT {} AS key, state FROM ranking_state", key),
      fmt::format("SELECT {} AS key, max(label) AS label, min(state) AS state FROM entry GROUP BY 1, prompt, image",
                  key),
      name, join);
}

}  // namespace

std::string ranking_state() {
  return R"(
    CREATE TABLE ranking_state AS
    SELECT r, any_value(month) AS month, any_value(usr) AS usr, any_value(tie) AS tie, min(state) AS state,
           min(state) FILTER (label = 2) AS winner, count(*) FILTER (label <> 2) AS losers,
           count(*) FILTER (label <> 2 AND state = 2) AS losers_ok,
           count(*) FILTER (label <> 2 AND state = 0) AS losers_dead
    FROM entry GROUP BY r)";
}

std::string shared_images(const std::string& images) {
  return fmt::format("SELECT sum(m * (m - 1))::DOUBLE FROM (SELECT count(*) AS m FROM {} GROUP BY image)", images);
}

std::string images_without_row() {
  return "SELECT count(*) FROM (SELECT DISTINCT image FROM entry WHERE state = 1) ANTI JOIN image_state USING (image)";
}

std::string reasons() {
  return R"(
    SELECT name, images, coalesce(rankings, 0), coalesce(alone, 0)
    FROM (SELECT reason, count(*) AS images FROM image_state WHERE state = 0 GROUP BY reason)
    JOIN (SELECT DISTINCT hash(status) AS reason, status AS name FROM images) USING (reason)
    LEFT JOIN (
      WITH lost AS (SELECT DISTINCT r, reason FROM entry JOIN image_state USING (image) WHERE entry.state = 0)
      SELECT reason, count(*) AS rankings, count(*) FILTER (n = 1) AS alone
      FROM lost JOIN (SELECT r, count(*) AS n FROM lost GROUP BY r) USING (r) GROUP BY reason) USING (reason)
    ORDER BY images DESC, name)";
}

std::string rankings_lost_to(const std::vector<std::string>& reasons) {
  std::vector<std::string> hashes;
  hashes.reserve(reasons.size());
  for (const std::string& reason : reasons) hashes.push_back(fmt::format("hash({})", workspace::sql_literal(reason)));
  return fmt::format(
      "SELECT count(*) FROM (SELECT r FROM entry JOIN image_state USING (image) WHERE entry.state = 0 GROUP BY r "
      "HAVING bool_and(reason IN ({})))",
      fmt::join(hashes, ", "));
}

std::string strict_losses() {
  return R"(
    SELECT count(*), count(*) FILTER (state = 2), count(*) FILTER (winner = 0 AND losers_dead = 0),
           count(*) FILTER (winner <> 0 AND losers_dead > 0), count(*) FILTER (winner = 0 AND losers_dead > 0),
           sum(losers)::BIGINT, sum(losers_ok)::BIGINT, sum(losers - losers_ok - losers_dead)::BIGINT,
           sum(losers_dead)::BIGINT
    FROM ranking_state WHERE winner IS NOT NULL)";
}

std::string coverage_group() {
  return "CREATE TABLE coverage_group (kind VARCHAR, name VARCHAR, total BIGINT, ok BIGINT, not_tried BIGINT, dead "
         "BIGINT, all_0 BIGINT, all_1 BIGINT, all_2 BIGINT, ok_0 BIGINT, ok_1 BIGINT, ok_2 BIGINT)";
}

std::string group_by_month() { return group_rankings("month", "month"); }

std::string group_by_user() {
  // Grouped as numbers; only the groups are given their names.
  return group_rankings("user", "coalesce(usr, 0)", "coalesce(user_id, '')",
                        "LEFT JOIN (SELECT hash(user_id) AS usr, min(user_id) AS user_id FROM rankings WHERE user_id "
                        "<> '' GROUP BY 1) ON usr = key");
}

std::string group_by_model() {
  // An image without a row in `images` has labels, but counts as no image.
  return insert_groups("model", "SELECT model AS key, state FROM image_state",
                       "SELECT coalesce(model, hash('')) AS key, label, label_state.state FROM label_state LEFT JOIN "
                       "image_state USING (image)",
                       "coalesce(model, '')",
                       "LEFT JOIN (SELECT DISTINCT hash(model) AS key, model FROM images) USING (key)");
}

}  // namespace imagerank::statistics::queries
