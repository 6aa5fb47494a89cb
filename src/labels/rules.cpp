#include "labels/rules.h"

#include "core/fail.h"

namespace imagerank::labels::rules {

std::string entries() {
  return R"(
    CREATE TABLE entry AS
    SELECT r, prompt, image_uid,
           CASE WHEN best_image_uid IS NULL THEN 1 WHEN image_uid = best_image_uid THEN 2 ELSE 0 END AS label
    FROM (SELECT r, prompt, best_image_uid, unnest(image_uids) AS image_uid FROM ranking))";
}

std::string kept() {
  return R"(
    CREATE TABLE kept AS
    SELECT image_uid, prompt, max(label) AS label, count(DISTINCT label) AS label_count, bool_or(label = 0) AS lost
    FROM entry GROUP BY image_uid, prompt)";
}

std::string group_key(SplitRule rule, std::uint64_t seed) {
  switch (rule) {
    case SplitRule::kRandom:
      return "SELECT r, key FROM ranking";
    case SplitRule::kPrompt:
      return "SELECT r, prompt AS key FROM ranking";
    case SplitRule::kUser:
      return "SELECT r, user_id AS key FROM ranking";
    case SplitRule::kTime:
      return "SELECT r, created_at AS key FROM ranking";
    case SplitRule::kImage:
      // A ranking has several images: it goes where the one of the smallest hash goes.
      return fmt::format("SELECT r, min_by(image_uid, md5('{}:' || image_uid)) AS key FROM entry GROUP BY r", seed);
    case SplitRule::kComponent:
    case SplitRule::kOfficial:
      break;
  }
  return "";
}

std::string assign_groups(const std::string& table, const LabelSettings& settings) {
  const std::string order =
      settings.split == SplitRule::kTime ? "key DESC" : fmt::format("md5('{}:' || key), key", settings.seed);
  return fmt::format(R"(
    CREATE TABLE group_split AS
    SELECT key, CASE WHEN middle < {0} * total THEN 'test' WHEN middle < {1} * total THEN 'validation' ELSE 'train' END AS split
    FROM (SELECT key, sum(n) OVER (ORDER BY {2} ROWS UNBOUNDED PRECEDING) - n / 2.0 AS middle, sum(n) OVER () AS total
          FROM (SELECT key, count(*) AS n FROM {3} GROUP BY key)))",
                     settings.test, settings.test + settings.validation, order, table);
}

std::string assign_official() {
  return R"(
    CREATE TABLE ranking_split AS
    SELECT r, CASE WHEN official_split LIKE 'test%' THEN 'test' WHEN official_split LIKE 'val%' THEN 'validation'
                   ELSE 'train' END AS split
    FROM ranking)";
}

std::string straddling_rankings(const std::string& split, const std::string& held_out) {
  return fmt::format(R"(
    SELECT DISTINCT r FROM entry JOIN ranking_split USING (r)
    WHERE split = '{}' AND image_uid IN (SELECT image_uid FROM entry JOIN ranking_split USING (r) WHERE split = '{}'))",
                     split, held_out);
}

std::string points_by_row() {
  return R"(
    CREATE TABLE point_split AS
    SELECT image_uid, prompt, label, split FROM kept JOIN group_split ON key = image_uid || chr(31) || prompt)";
}

std::string points_by_split() {
  return R"(
    CREATE TABLE point_split AS
    SELECT image_uid, prompt, label, split
    FROM (SELECT *, row_number() OVER (PARTITION BY image_uid, prompt
                                       ORDER BY CASE split WHEN 'test' THEN 0 WHEN 'validation' THEN 1 ELSE 2 END) AS place
          FROM (SELECT image_uid, prompt, split, max(label) AS label
                FROM entry JOIN ranking_split USING (r) GROUP BY image_uid, prompt, split))
    WHERE place = 1)";
}

std::string variant(LabelVariant variant) {
  switch (variant) {
    case LabelVariant::kThree:
      break;
    case LabelVariant::kDropTies:
      return "SELECT image_uid, prompt, label // 2 AS label, split FROM point_split WHERE label <> 1";
    case LabelVariant::kMergeTies:
      return "SELECT image_uid, prompt, label // 2 AS label, split FROM point_split";
  }
  return "SELECT image_uid, prompt, label, split FROM point_split";
}

std::string pairs() {
  return R"(
    CREATE TABLE pair AS
    SELECT ranking_id, user_id, prompt, image_uids[i] AS image_a, image_uids[j] AS image_b,
           CASE WHEN best_image_uid IS NULL THEN 0.5 WHEN image_uids[i] = best_image_uid THEN 1.0 ELSE 0.0 END::DOUBLE AS p_a,
           weight, split, r, i, j
    FROM ranking LEFT JOIN ranking_split USING (r),
         unnest(range(1, len(image_uids) + 1)) AS a(i), unnest(range(1, len(image_uids) + 1)) AS b(j)
    WHERE i < j AND (best_image_uid IS NULL OR (image_uids[i] = best_image_uid) <> (image_uids[j] = best_image_uid)))";
}

std::string overlap(const std::string& column) {
  return fmt::format(R"(
    SELECT coalesce(avg(CASE WHEN {0} IN (SELECT {0} FROM point_split WHERE split = 'train') THEN 1.0 ELSE 0.0 END), 0)
    FROM point_split WHERE split = 'test')",
                     column);
}

}  // namespace imagerank::labels::rules
