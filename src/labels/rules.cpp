#include "labels/rules.h"

#include <cctype>

#include "core/fail.h"
#include "workspace/database.h"

namespace imagerank::labels::rules {
namespace {

/// The label of a group of entries under a conflict rule; NULL: left out.
std::string settled_label(ConflictRule rule) {
  switch (rule) {
    case ConflictRule::kKeepMax:
      return "CASE WHEN bit_or(bit) >= 4 THEN 2 WHEN bit_or(bit) >= 2 THEN 1 ELSE 0 END";
    case ConflictRule::kMajority:
      return "CASE WHEN sum((bit = 4)::INTEGER) >= greatest(sum((bit = 2)::INTEGER), sum((bit = 1)::INTEGER)) THEN 2 "
             "WHEN sum((bit = 2)::INTEGER) >= sum((bit = 1)::INTEGER) THEN 1 ELSE 0 END";
    case ConflictRule::kDrop:
      return "CASE bit_or(bit) WHEN 4 THEN 2 WHEN 2 THEN 1 WHEN 1 THEN 0 END";
  }
  return "";
}

/// Words as an alternation of whole words that RE2 reads literally.
std::string word_pattern(const std::vector<std::string>& words) {
  std::string pattern;
  for (const std::string& word : words) {
    pattern += pattern.empty() ? "" : "|";
    for (const char c : word) {
      if (std::isalnum(static_cast<unsigned char>(c)) == 0 && static_cast<unsigned char>(c) < 0x80) pattern += '\\';
      pattern += c;
    }
  }
  return fmt::format("(?i)(?:^|[^\\pL\\pN])(?:{})(?:$|[^\\pL\\pN])", pattern);
}

/// What a ranking says of two of its images: its best one, or the ranks of both.
constexpr const char* kPreference = R"(
           CASE WHEN ranks IS NULL THEN two.p WHEN ranks[two.i] < ranks[two.j] THEN 1.0
                WHEN ranks[two.i] > ranks[two.j] THEN 0.0 ELSE 0.5 END::DOUBLE AS p_a)";

/// A split by name, for Database::copy_unordered().
constexpr const char* kSplitName = R"(
    CASE held WHEN 0 THEN 'test'::ENUM('test', 'validation', 'train') WHEN 1 THEN 'validation'::ENUM('test', 'validation', 'train')
              ELSE 'train'::ENUM('test', 'validation', 'train') END AS split)";

/// (bound): the hashes of `table` at the shares of test, and of test and validation, of all of them in their order; the
/// same as quantile_disc(), which one thread does alone: of 65,536 parts only those that hold the two are sorted.
std::string cut(const std::string& table, const LabelSettings& settings) {
  return fmt::format(R"(
    WITH share AS (SELECT 1 AS i, {1}::DOUBLE AS q UNION ALL SELECT 2, {2}::DOUBLE),
         part AS (SELECT hash >> 48 AS high, count(*) AS n FROM {0} GROUP BY high),
         ordered AS (SELECT high, n, sum(n) OVER (ORDER BY high) - n AS before, sum(n) OVER () AS total FROM part),
         place AS (SELECT i, high, (greatest(total - floor(total - q * total), 1) - before)::BIGINT AS k
                   FROM ordered, share WHERE k BETWEEN 1 AND n)
    SELECT list(value ORDER BY i) AS bound
    FROM (SELECT i, list_sort(list(hash))[any_value(k)] AS value FROM {0} JOIN place ON hash >> 48 = high GROUP BY i))",
                     table, settings.test, settings.test + settings.validation);
}

/// 0 below the first cut, 1 below the second, 2 above.
std::string held_of(const std::string& value, const std::string& first, const std::string& second) {
  return fmt::format("CASE WHEN {0} < {1} THEN 0 WHEN {0} < {2} THEN 1 ELSE 2 END::TINYINT", value, first, second);
}

}  // namespace

std::string source(const std::string& rankings, const std::string& ratings, const std::string& aspect) {
  std::string parts;
  if (!rankings.empty()) {
    parts = fmt::format(R"(
      SELECT file_row_number AS r, dataset, ranking_id, official_split, created_at, user_id, prompt, image_uids,
             best_image_uid, ranks, weight
      FROM {})",
                        rankings);
  }
  if (!ratings.empty()) {
    // Mean scores of one aspect, a prompt at a time: rank 1 has the highest.
    const std::string first =
        rankings.empty() ? "0" : fmt::format("(SELECT coalesce(max(file_row_number) + 1, 0) FROM {})", rankings);
    parts += fmt::format(R"( {0}
      SELECT {1} + row_number() OVER (ORDER BY prompt) - 1 AS r, 'ratings' AS dataset, {2} || ':' || prompt AS ranking_id,
             '' AS official_split, '' AS created_at, '' AS user_id, prompt,
             list(image_uid ORDER BY image_uid) AS image_uids,
             CASE WHEN count(*) FILTER (place = 1) = 1 THEN min(image_uid) FILTER (place = 1) END AS best_image_uid,
             list(place ORDER BY image_uid) AS ranks, 1.0::DOUBLE AS weight
      FROM (SELECT prompt, image_uid, (dense_rank() OVER (PARTITION BY prompt ORDER BY avg(score) DESC))::INTEGER AS place
            FROM {3} WHERE aspect = {2} GROUP BY prompt, image_uid)
      GROUP BY prompt HAVING count(*) > 1)",
                         rankings.empty() ? "" : "UNION ALL", first, workspace::sql_literal(aspect), ratings);
  }
  return "CREATE VIEW source AS " + parts;
}

std::string judged(const PromptFilters& filters) {
  const std::string prompt = filters.trim ? "trim(prompt, ' ' || chr(9) || chr(10) || chr(13))" : "prompt";
  std::string reason;
  const auto leave_out = [&](const char* name, const std::string& condition) {
    reason += fmt::format(" WHEN {} THEN '{}'", condition, name);
  };
  if (filters.drop_empty) leave_out("empty_prompt", "trim(prompt, ' ' || chr(9) || chr(10) || chr(13)) = ''");
  if (filters.min_characters > 0) leave_out("short_prompt", fmt::format("length(prompt) < {}", filters.min_characters));
  if (filters.max_characters > 0) leave_out("long_prompt", fmt::format("length(prompt) > {}", filters.max_characters));
  if (!filters.words.empty()) {
    leave_out("listed_word",
              fmt::format("regexp_matches(prompt, {})", workspace::sql_literal(word_pattern(filters.words))));
  }
  return fmt::format("CREATE VIEW judged AS SELECT *, {} AS reason FROM (SELECT * REPLACE ({} AS prompt) FROM source)",
                     reason.empty() ? "''" : "CASE" + reason + " ELSE '' END", prompt);
}

std::string ranking() {
  return R"(
    CREATE VIEW ranking AS
    SELECT r, dataset || chr(31) || ranking_id AS key, ranking_id, official_split, created_at, user_id, prompt, image_uids,
           coalesce(list_position(image_uids, best_image_uid), 0)::INTEGER AS best, ranks, weight
    FROM judged WHERE reason = '')";
}

std::string prompt_key() {
  return R"(
    CREATE TABLE prompt_key AS
    SELECT prompt, (row_number() OVER (ORDER BY prompt))::INTEGER AS prompt_id FROM (SELECT DISTINCT prompt FROM ranking))";
}

std::string ranking_number(std::uint64_t seed) {
  // best -1 stands for rankings with ranks, which say something of each two images.
  return fmt::format(R"(
    CREATE TABLE ranking_number AS
    SELECT r, prompt_id, len(image_uids) AS n, CASE WHEN ranks IS NULL THEN best ELSE -1 END AS best, ranks,
           CASE WHEN user_id <> '' THEN hash(user_id) END AS who, stable_hash(key, {}::UBIGINT) AS hash
    FROM ranking JOIN prompt_key USING (prompt))",
                     seed);
}

std::string group_key(SplitRule rule, std::uint64_t seed) {
  switch (rule) {
    case SplitRule::kPrompt:
      return "SELECT r, prompt, prompt AS key FROM ranking";
    case SplitRule::kUser:
      return "SELECT r, prompt, user_id AS key FROM ranking";
    case SplitRule::kTime:
      return "SELECT r, prompt, created_at AS key FROM ranking";
    case SplitRule::kImage:
      // A ranking has several images: it goes where the one of the smallest hash goes.
      return fmt::format(
          "SELECT r, any_value(prompt) AS prompt, min_by(image_uid, stable_hash(image_uid, {}::UBIGINT)) AS key "
          "FROM (SELECT r, prompt, unnest(image_uids) AS image_uid FROM ranking) GROUP BY r",
          seed);
    case SplitRule::kRandom:
    case SplitRule::kComponent:
    case SplitRule::kOfficial:
      break;
  }
  return "";
}

std::string shared_edges() {
  return R"(
    WITH node AS (
      SELECT r, 'p' || prompt AS name FROM ranking
      UNION ALL SELECT r, 'u' || user_id FROM ranking WHERE user_id <> ''
      UNION ALL SELECT r, 'i' || unnest(image_uids) FROM ranking)
    SELECT DISTINCT r, first FROM node JOIN (SELECT name, min(r) AS first FROM node GROUP BY name HAVING count(*) > 1)
    USING (name) WHERE r <> first)";
}

std::string split_by_group(const LabelSettings& settings) {
  const std::string order = settings.split == SplitRule::kTime
                                ? "key DESC"
                                : fmt::format("stable_hash(key, {}::UBIGINT), key", settings.seed);
  return fmt::format(
      R"(
    CREATE TABLE ranking_split AS
    WITH group_split AS (
      SELECT key, {0} AS held
      FROM (SELECT key, sum(n) OVER (ORDER BY {1} ROWS UNBOUNDED PRECEDING) - n / 2.0 AS middle, sum(n) OVER () AS total
            FROM (SELECT key, count(*) AS n FROM grouped GROUP BY key)))
    SELECT r, prompt_id, held FROM grouped JOIN group_split USING (key) JOIN prompt_key USING (prompt))",
      held_of("middle", fmt::format("{} * total", settings.test),
              fmt::format("{} * total", settings.test + settings.validation)),
      order);
}

std::string split_by_ranking(const LabelSettings& settings) {
  return fmt::format(R"(
    CREATE TABLE ranking_cut AS {};
    CREATE TABLE ranking_split AS SELECT r, prompt_id, {} AS held FROM ranking_number, ranking_cut)",
                     cut("ranking_number", settings), held_of("hash", "bound[1]", "bound[2]"));
}

std::string split_official() {
  return R"(
    CREATE TABLE ranking_split AS
    SELECT r, prompt_id, CASE WHEN official_split LIKE 'test%' THEN 0 WHEN official_split LIKE 'val%' THEN 1
                              ELSE 2 END::TINYINT AS held
    FROM ranking JOIN prompt_key USING (prompt))";
}

std::string take_out_straddling(int held, int held_out) {
  return fmt::format(R"(
    UPDATE ranking_split SET held = 3 WHERE r IN (
      SELECT r FROM entry WHERE held = {} AND image_uid IN (SELECT image_uid FROM entry WHERE held = {})))",
                     held, held_out);
}

std::string entry() {
  return R"(
    CREATE VIEW entry AS
    SELECT r, prompt_id, held, image_uid,
           CASE WHEN best > 0 THEN CASE WHEN place = best THEN 4 ELSE 1 END
                WHEN ranks IS NULL OR ranks[place] = list_min(ranks) THEN 2 ELSE 1 END AS bit
    FROM (SELECT r, prompt_id, held, best, ranks, unnest(image_uids) AS image_uid,
                 generate_subscripts(image_uids, 1) AS place
          FROM ranking JOIN ranking_split USING (r)))";
}

std::string kept(const LabelSettings& settings, bool straddles) {
  const std::string label = settled_label(settings.conflicts);
  if (!straddles) {
    // A prompt's number goes through the hash's seed: no text is put together for each row.
    const std::string place =
        settings.split != SplitRule::kRandom
            ? "min(held) AS held"
            : fmt::format("stable_hash(image_uid, stable_hash('point', {}::UBIGINT) // 2 + prompt_id::UBIGINT) AS hash",
                          settings.seed);
    return fmt::format(R"(
      CREATE TABLE kept AS
      SELECT image_uid, prompt_id, {}::TINYINT AS label, bit_or(bit)::TINYINT AS bits, count(*)::INTEGER AS votes,
             1::TINYINT AS parts, {}
      FROM entry GROUP BY image_uid, prompt_id)",
                       label, place);
  }
  return fmt::format(R"(
    CREATE TABLE kept AS
    SELECT image_uid, prompt_id, min(held) AS held, arg_min_null(label, held) AS label, bit_or(bits)::TINYINT AS bits,
           sum(votes)::INTEGER AS votes, count(*) FILTER (held < 3)::TINYINT AS parts
    FROM (SELECT image_uid, prompt_id, held, {}::TINYINT AS label, bit_or(bit) AS bits, count(*) AS votes
          FROM entry GROUP BY image_uid, prompt_id, held)
    GROUP BY image_uid, prompt_id)",
                     label);
}

std::string split_points_by_row(const LabelSettings& settings) {
  return fmt::format(R"(
    CREATE TABLE point_cut AS {};
    CREATE VIEW placed AS SELECT * EXCLUDE (hash, bound), {} AS held FROM kept, point_cut)",
                     cut("kept", settings), held_of("hash", "bound[1]", "bound[2]"));
}

std::string point(const LabelSettings& settings) {
  const bool binary = settings.variant != LabelVariant::kThree;
  return fmt::format(R"(
    CREATE VIEW point AS
    SELECT image_uid, prompt_id, {} AS label, held FROM {}
    WHERE held < 3 AND label IS NOT NULL AND votes >= {}{})",
                     binary ? "label // 2" : "label", settings.split == SplitRule::kRandom ? "placed" : "kept",
                     settings.min_votes, settings.variant == LabelVariant::kDropTies ? " AND label <> 1" : "");
}

std::string pair_index() {
  return R"(
    CREATE TABLE pair_index AS
    WITH length AS (SELECT DISTINCT n FROM ranking_number),
         place AS (SELECT n, unnest(range(1, n + 1)) AS i FROM length),
         choice AS (SELECT n, unnest(range(0, n + 1)) AS best FROM length UNION ALL SELECT n, -1 FROM length)
    SELECT n, best, list({'i': a.i, 'j': b.i, 'p': CASE WHEN best = a.i THEN 1.0 WHEN best = b.i THEN 0.0 ELSE 0.5 END::DOUBLE}
                         ORDER BY a.i, b.i) AS pairs
    FROM choice JOIN place AS a USING (n) JOIN place AS b USING (n)
    WHERE a.i < b.i AND (best <= 0 OR best = a.i OR best = b.i) GROUP BY n, best)";
}

std::string pair_number() {
  return fmt::format(R"(
    CREATE VIEW pair_number AS
    SELECT prompt_id, held,{}
    FROM (SELECT prompt_id, held, ranks, unnest(pairs) AS two
          FROM ranking_number JOIN (SELECT r, held FROM ranking_split) USING (r) JOIN pair_index USING (n, best)))",
                     kPreference);
}

std::string pair() {
  return fmt::format(R"(
    CREATE VIEW pair AS
    SELECT ranking_id, user_id, prompt, prompt_id, held, weight, image_uids[two.i] AS image_a, image_uids[two.j] AS image_b,{}
    FROM (SELECT ranking.*, prompt_id, held, unnest(pairs) AS two
          FROM ranking JOIN ranking_split USING (r) JOIN pair_index
          ON pair_index.n = len(image_uids) AND pair_index.best = CASE WHEN ranks IS NULL THEN ranking.best ELSE -1 END))",
                     kPreference);
}

std::string prompt_weight() {
  return "CREATE TABLE prompt_weight AS SELECT prompt_id, count(*) AS n FROM pair_number WHERE held < 3 GROUP BY "
         "prompt_id";
}

std::string written_points() {
  return fmt::format(R"(
    SELECT image_uid, prompt, label::INTEGER AS label, {} FROM point JOIN prompt_key USING (prompt_id))",
                     kSplitName);
}

std::string weighed_pairs(const LabelSettings& settings) {
  const bool shared = settings.weights == WeightRule::kPrompt;
  return fmt::format(R"(
    SELECT ranking_id, user_id, prompt, image_a, image_b, p_a, {} AS weight, {}
    FROM pair {} WHERE held < 3{})",
                     shared ? "weight / n" : "weight", kSplitName, shared ? "JOIN prompt_weight USING (prompt_id)" : "",
                     settings.tie_pairs ? "" : " AND p_a <> 0.5");
}

std::string overlap(const std::string& column) {
  // Test is the small side: what it shares is looked for in train, and train is not kept.
  return fmt::format(R"(
    WITH test AS (SELECT hash({0}) AS value, count(*) AS n FROM point WHERE held = 0 GROUP BY value),
         shared AS (SELECT DISTINCT value FROM (SELECT hash({0}) AS value FROM point WHERE held = 2)
                    SEMI JOIN test USING (value))
    SELECT coalesce((SELECT sum(n) FROM test SEMI JOIN shared USING (value)) / (SELECT nullif(sum(n), 0) FROM test), 0))",
                     column);
}

std::string user_overlap() {
  return R"(
    WITH placed AS (SELECT who, held FROM ranking_number JOIN (SELECT r, held FROM ranking_split) USING (r)
                    WHERE who IS NOT NULL),
         test AS (SELECT who FROM placed WHERE held = 0), train AS (SELECT DISTINCT who FROM placed WHERE held = 2)
    SELECT coalesce((SELECT count(*) FROM test SEMI JOIN train USING (who)) / (SELECT nullif(count(*), 0) FROM test), 0))";
}

}  // namespace imagerank::labels::rules
