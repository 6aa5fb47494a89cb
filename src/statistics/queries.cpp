#include "statistics/queries.h"

#include <fmt/format.h>

#include <string_view>

namespace imagerank::statistics::queries {
namespace {

constexpr std::string_view kCounts =
    "count(*), count(*) FILTER (state = 2), count(*) FILTER (state = 1), count(*) FILTER (state = 0)";

}  // namespace

std::string judged() {
  return R"(
    CREATE VIEW judged AS
    SELECT prompt, user_id, unnest(image_uids) AS image_uid FROM rankings
    UNION ALL SELECT prompt, user_id, image_uid FROM ratings)";
}

std::string image_state(bool details) {
  return fmt::format(R"(
    CREATE TABLE image_state AS
    SELECT hash(image_uid) AS image,
           max(CASE WHEN status = 'ok' THEN 2 WHEN coalesce(status, '') = '' THEN 1 ELSE 0 END) AS state{}
    FROM images GROUP BY ALL)",
                     details ? ", min(hash(coalesce(model, ''))) AS model, min(hash(status)) AS reason" : "");
}

std::string entries(bool months) {
  // An image without a row in `images` was never tried.
  return fmt::format(R"(
    CREATE TABLE entry AS
    SELECT r, i, prompt, usr, {0}hash(uid) AS image, label, value, ranked, tie, coalesce(s.state, 1) AS state
    FROM (SELECT r, i, prompt, usr, {0}uid, tie, ranked,
                 CASE WHEN uid = best_image_uid THEN 2 WHEN tie AND (NOT ranked OR ranks[i] = list_min(ranks)) THEN 1
                      ELSE 0 END AS label,
                 CASE WHEN ranked THEN -ranks[i] WHEN uid = best_image_uid THEN 1 ELSE 0 END AS value
          FROM (SELECT r, hash(prompt) AS prompt, {1}
                       CASE WHEN user_id <> '' THEN hash(user_id) END AS usr, best_image_uid, ranks,
                       best_image_uid IS NULL AS tie, coalesce(len(ranks) = len(image_uids), false) AS ranked,
                       unnest(image_uids) AS uid, generate_subscripts(image_uids, 1) AS i
                FROM numbered))
    LEFT JOIN image_state s ON s.image = hash(uid))",
                     months ? "month, " : "",
                     months ? "CASE WHEN regexp_matches(created_at, '^[0-9]{4}-(0[1-9]|1[0-2])') THEN left(created_at, "
                              "7) ELSE '' END AS month,"
                            : "");
}

std::string pairs(bool images) {
  // Of a list with a best image only, that one was compared with each other one; no more is known.
  return fmt::format(R"(
    CREATE TABLE pair AS
    SELECT a.r, a.prompt, a.usr, hash(a.prompt, least(a.image, b.image), greatest(a.image, b.image)) AS unit,
           CASE WHEN a.image < b.image THEN sign(a.value - b.value) ELSE sign(b.value - a.value) END AS outcome,
           least(a.state, b.state) AS state{}
    FROM entry a JOIN entry b ON a.r = b.r AND a.i < b.i AND a.image <> b.image
    WHERE a.ranked OR a.tie OR a.label = 2 OR b.label = 2)",
                     images ? ", a.image AS image_a, b.image AS image_b" : "");
}

std::string ranking_counts() {
  return R"(
    SELECT count(*), count(*) FILTER (best_image_uid IS NULL), count(*) FILTER (len(ranks) = len(image_uids)),
           count(*) FILTER (coalesce(user_id, '') = ''), coalesce(min(created_at) FILTER (created_at <> ''), ''),
           coalesce(max(created_at), '')
    FROM rankings)";
}

std::string wins_by_place() {
  return R"(
    SELECT images, place, count(*)
    FROM (SELECT len(image_uids) AS images, list_position(image_uids, best_image_uid) AS place
          FROM rankings WHERE best_image_uid IS NOT NULL)
    WHERE place > 0 GROUP BY ALL ORDER BY ALL)";
}

std::string label_state() {
  return R"(
    CREATE TABLE label_state AS
    SELECT prompt, image, max(label) AS label, min(label) AS lowest, min(state) AS state
    FROM entry GROUP BY prompt, image)";
}

std::string label_counts() {
  return R"(
    SELECT count(*) FILTER (label = 0), count(*) FILTER (label = 1), count(*) FILTER (label = 2),
           count(*) FILTER (label <> lowest), count(*) FILTER (label = 2), count(*) FILTER (label = 2 AND lowest = 0)
    FROM label_state)";
}

std::string agreement() {
  // What a user said of one unit several times is one judgement: a tie where it contradicts itself evenly.
  return R"(
    SELECT count(*), sum(n * (n - 1) // 2)::BIGINT, sum((a * (a - 1) + t * (t - 1) + b * (b - 1)) // 2)::BIGINT,
           sum((a + b) * (a + b - 1) // 2)::BIGINT, sum((a * (a - 1) + b * (b - 1)) // 2)::BIGINT,
           sum((n * n - a * a - t * t - b * b) / (n - 1)), sum(a)::BIGINT, sum(t)::BIGINT, sum(b)::BIGINT
    FROM (SELECT count(*) AS n, count(*) FILTER (outcome < 0) AS a, count(*) FILTER (outcome = 0) AS t,
                 count(*) FILTER (outcome > 0) AS b
          FROM (SELECT unit, usr, sum(outcome) AS outcome FROM pair WHERE usr IS NOT NULL GROUP BY unit, usr)
          GROUP BY unit HAVING count(*) > 1))";
}

std::string repeats() {
  return R"(
    SELECT sum(n * (n - 1) // 2)::BIGINT, sum((a * (a - 1) + t * (t - 1) + b * (b - 1)) // 2)::BIGINT
    FROM (SELECT count(*) AS n, count(*) FILTER (outcome < 0) AS a, count(*) FILTER (outcome = 0) AS t,
                 count(*) FILTER (outcome > 0) AS b
          FROM pair WHERE usr IS NOT NULL GROUP BY unit, usr HAVING count(*) > 1))";
}

std::string concentration() {
  return R"(
    SELECT count(*), max(n), median(n), sum(n) FILTER (place <= ceil(users / 100)) / sum(n),
           sum(n) FILTER (place <= ceil(users / 10)) / sum(n),
           2.0 * sum(n * (users - place + 1)) / (count(*) * sum(n)) - (count(*) + 1.0) / count(*)
    FROM (SELECT n, row_number() OVER (ORDER BY n DESC) AS place, count(*) OVER () AS users
          FROM (SELECT count(*) AS n FROM rankings WHERE user_id <> '' GROUP BY user_id)))";
}

std::string prompt_lengths() {
  return R"(
    SELECT avg(words), median(words), quantile_cont(words, 0.95), max(words), avg(signs), median(signs),
           quantile_cont(signs, 0.95), max(signs), count(*), count(DISTINCT lower(joined))
    FROM (SELECT joined, length(joined) AS signs,
                 CASE WHEN joined = '' THEN 0 ELSE length(joined) - length(replace(joined, ' ', '')) + 1 END AS words
          FROM (SELECT trim(regexp_replace(prompt, '\s+', ' ', 'g')) AS joined
                FROM (SELECT prompt FROM rankings UNION SELECT prompt FROM ratings))))";
}

std::string coverage(const std::string& states) { return fmt::format("SELECT {} FROM {}", kCounts, states); }

std::string coverage_by(const std::string& part, const std::string& states) {
  return fmt::format("SELECT {}, {} FROM {} GROUP BY 1 ORDER BY 1", part, kCounts, states);
}

std::string states_of_rankings() { return "(SELECT min(state) AS state FROM entry GROUP BY r)"; }
std::string states_of_prompts() { return "(SELECT max(state) AS state FROM pair GROUP BY prompt)"; }

}  // namespace imagerank::statistics::queries
