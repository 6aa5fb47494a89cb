#include "duplicates/queries.h"

#include <fmt/format.h>

namespace imagerank::duplicates::queries {
namespace {

/// Images of points and pairs of one split, as often as they stand there.
std::string labelled(std::string_view split) {
  return fmt::format(R"(
    SELECT image_uid FROM points WHERE split = '{0}'
    UNION ALL SELECT image_a FROM pairs WHERE split = '{0}'
    UNION ALL SELECT image_b FROM pairs WHERE split = '{0}')",
                     split);
}

}  // namespace

std::string image() {
  return R"(
    CREATE TABLE image AS
    SELECT (row_number() OVER (ORDER BY image_uid) - 1)::INTEGER AS r, image_uid, path, coalesce(sha256, '') AS sha256
    FROM images WHERE status = 'ok')";
}

std::string exact_set() {
  return R"(
    CREATE TABLE exact_set AS
    SELECT r, image_uid, first
    FROM image JOIN (SELECT sha256, min(r) AS first FROM image WHERE sha256 <> '' GROUP BY sha256 HAVING count(*) > 1)
    USING (sha256))";
}

std::string fingerprint(std::string_view method) {
  return fmt::format(R"(
    CREATE TABLE fingerprint AS
    SELECT r, sha256, perceptual_hash
    FROM image JOIN fingerprints USING (image_uid, sha256) WHERE method = '{}')",
                     method);
}

std::string unhashed() {
  return R"(
    CREATE TABLE unhashed AS
    SELECT row_number() OVER (ORDER BY r) - 1 AS t, r, image_uid, path
    FROM image ANTI JOIN fingerprint USING (r))";
}

std::string unhashed_rows(std::int64_t first, std::int64_t end) {
  return fmt::format("SELECT r, image_uid, path FROM unhashed WHERE t >= {} AND t < {} ORDER BY t", first, end);
}

std::string fingerprints_table(std::string_view method) {
  return fmt::format(R"(
    SELECT image_uid, f.sha256, '{}' AS method, perceptual_hash
    FROM fingerprint f JOIN image USING (r))",
                     method);
}

std::string near_set() {
  return "CREATE TABLE near_set AS SELECT r, image_uid, first, distance FROM joined JOIN image USING (r)";
}

std::string member(bool perceptual) {
  const std::string near = R"(
    UNION ALL
    SELECT 'perceptual', r, image_uid, first, distance
    FROM near_set JOIN (SELECT first FROM near_set JOIN image USING (r) GROUP BY first
                        HAVING count(DISTINCT CASE sha256 WHEN '' THEN r::VARCHAR ELSE sha256 END) > 1) USING (first))";
  return fmt::format(R"(
    CREATE TABLE member AS
    SELECT dense_rank() OVER (ORDER BY kind, first) AS number, kind, r, image_uid, first, distance
    FROM (SELECT 'exact' AS kind, r, image_uid, first, 0 AS distance FROM exact_set{}))",
                     perceptual ? near : "");
}

std::string counts(std::string_view kind) {
  return fmt::format("SELECT count(DISTINCT first), count(*) FROM member WHERE kind = '{}'", kind);
}

std::string largest(std::string_view kind, std::size_t groups, std::size_t uids) {
  return fmt::format(R"(
    SELECT number, count(*) AS images, (list(image_uid ORDER BY r))[1:{}] AS uids
    FROM member WHERE kind = '{}' GROUP BY number ORDER BY images DESC, number LIMIT {})",
                     uids, kind, groups);
}

std::string csv() { return R"(SELECT image_uid, number AS "group", kind, distance FROM member ORDER BY number, r)"; }

std::string rankings_with_two(std::string_view set) {
  return fmt::format(R"(
    SELECT count(*)
    FROM (SELECT dataset, ranking_id
          FROM (SELECT dataset, ranking_id, unnest(image_uids) AS image_uid FROM rankings) JOIN {} USING (image_uid)
          GROUP BY dataset, ranking_id, first HAVING count(*) > 1
          UNION SELECT dataset, ranking_id FROM rankings WHERE len(list_distinct(image_uids)) < len(image_uids)))",
                     set);
}

std::string test_image() {
  return fmt::format("CREATE TABLE test_image AS SELECT DISTINCT * FROM ({})", labelled("test"));
}

std::string test_in_train(std::string_view set) {
  // Two images of a set in train: whatever the test image is, one of them is another.
  return fmt::format(R"(
    SELECT count(*)
    FROM test_image JOIN {0} USING (image_uid)
    JOIN (SELECT first, min(r) AS least, max(r) AS most FROM {0} WHERE image_uid IN ({1}) GROUP BY first) USING (first)
    WHERE least <> r OR most <> r)",
                     set, labelled("train"));
}

}  // namespace imagerank::duplicates::queries
