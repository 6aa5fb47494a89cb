#include <array>
#include <nlohmann/json.hpp>

#include "core/fail.h"
#include "preferences/formats.h"
#include "preferences/json_records.h"
#include "preferences/source.h"
#include "preferences/sql_rules.h"

namespace imagerank::preferences {
namespace {

using nlohmann::json;
using workspace::sql_literal;

/// A record of the wrong shape: says which key should have held what.
[[noreturn]] void fail_key(std::int64_t number, const char* key, const char* expected, const json* found) {
  fail(ErrorCode::kCorruptData, "record {}: '{}': expected {}, found {}", number, key, expected,
       found == nullptr ? "no such key" : found->type_name());
}

std::string text_of(const json& record, const char* key, std::int64_t number) {
  const auto at = record.find(key);
  if (at == record.end()) fail_key(number, key, "a text", nullptr);
  if (!at->is_string()) fail_key(number, key, "a text", &*at);
  return at->get<std::string>();
}

/// A list of texts, or of numbers as texts.
std::vector<std::string> list_of(const json& record, const char* key, bool numbers, std::int64_t number) {
  const char* const expected = numbers ? "a list of numbers" : "a list of texts";
  const auto at = record.find(key);
  if (at == record.end()) fail_key(number, key, expected, nullptr);
  if (!at->is_array()) fail_key(number, key, expected, &*at);
  std::vector<std::string> list;
  for (const json& value : *at) {
    if (numbers ? !value.is_number() : !value.is_string()) fail_key(number, key, expected, &value);
    if (numbers) {
      list.push_back(value.dump());
    } else {
      list.push_back(value.get_ref<const std::string&>());
    }
  }
  return list;
}

/// One act of ranking of HPDv2, as the file has it.
struct HpdRow {
  std::string user;
  std::string prompt;
  std::vector<std::string> paths;
  std::vector<std::string> ranks;
};

void append(workspace::Database::Appender& appender, const HpdRow& row) {
  appender.append(row.user);
  appender.append(row.prompt);
  appender.append(row.paths);
  appender.append(row.ranks);
  appender.end_row();
}

/// human_preference is [1, 0] or the index of the preferred image (HPDv1): ranks 1 and 2.
std::vector<std::string> ranks_of_preference(const json& record, std::size_t images, std::int64_t number) {
  const json& preference = record.at("human_preference");
  if (preference.is_number_integer()) {
    const auto best = preference.get<std::int64_t>();
    std::vector<std::string> ranks;
    if (best < 0 || static_cast<std::size_t>(best) >= images) return ranks;  // names an image that is not there
    for (std::size_t i = 0; i < images; ++i) ranks.emplace_back(1, i == static_cast<std::size_t>(best) ? '1' : '2');
    return ranks;
  }
  std::vector<std::string> ranks;
  for (const std::string& value : list_of(record, "human_preference", true, number))
    ranks.emplace_back(1, value == "1" || value == "1.0" ? '1' : '2');
  return ranks;
}

void append_train(workspace::Database::Appender& appender, const json& record, std::int64_t number) {
  HpdRow row;
  row.prompt = text_of(record, "prompt", number);
  row.paths = list_of(record, "file_path", false, number);
  row.ranks = ranks_of_preference(record, row.paths.size(), number);
  if (record.contains("user_hash")) row.user = text_of(record, "user_hash", number);
  append(appender, row);
}

void append_test(workspace::Database::Appender& appender, const json& record, std::int64_t number) {
  HpdRow row;
  row.prompt = text_of(record, "prompt", number);
  row.paths = list_of(record, "image_path", false, number);
  const auto annotations = record.find("raw_annotations");
  if (annotations == record.end() || annotations->is_null() || annotations->empty()) {
    row.ranks = list_of(record, "rank", true, number);
    return append(appender, row);
  }
  if (!annotations->is_array()) fail_key(number, "raw_annotations", "a list", &*annotations);
  for (const json& annotation : *annotations) {
    if (!annotation.is_object()) fail_key(number, "raw_annotations", "a list of objects", &annotation);
    row.ranks = list_of(annotation, "rank", true, number);
    row.user.clear();
    if (annotation.contains("user_hash")) row.user = text_of(annotation, "user_hash", number);
    append(appender, row);
  }
}

}  // namespace

void read_hpdv2(Incoming& incoming, const std::filesystem::path& file, const ImportOptions& options) {
  workspace::Database& database = incoming.database();
  database.execute(
      "CREATE OR REPLACE TABLE hpd_row (user_id VARCHAR, prompt VARCHAR, paths VARCHAR[], ranks VARCHAR[])");
  workspace::Database::Appender appender(database, "hpd_row");
  for_each_json_record(file, [&](const json& record, std::int64_t number) {
    if (number % 4096 == 0) incoming.context().check_stop();
    if (record.contains("human_preference")) {
      append_train(appender, record, number);
    } else if (record.contains("image_path")) {
      append_test(appender, record, number);
    } else {
      fail(ErrorCode::kCorruptData, "record {}: expected human_preference and file_path, or image_path and rank",
           number);
    }
  });
  appender.close();
  const std::string dataset = options.dataset.empty() ? "hpdv2" : options.dataset;
  const std::string split = std::string(file.filename()).find("test") != std::string::npos    ? "test"
                            : std::string(file.filename()).find("train") != std::string::npos ? "train"
                                                                                              : "";
  // The data has no ids. The same images may be judged several times: each time counts, so rows are numbered.
  database.execute(fmt::format(R"(
    CREATE OR REPLACE TABLE hpd_ranking AS
    SELECT md5(concat_ws(chr(31), prompt, paths, user_id, ranks)) AS content, row_number() OVER (PARTITION BY content) AS place,
           user_id, prompt, list_transform(paths, x -> {}) AS uids, {} AS dense
    FROM (SELECT user_id, prompt, paths, TRY_CAST(ranks AS DOUBLE[]) AS ranks FROM hpd_row))",
                               uid_of_path("x", "hpdv2"), dense_ranks("ranks")));
  incoming.add_rankings(
      fmt::format("SELECT left(content, 20) || '-' || place, {}, {}, '', user_id, prompt, uids, {}, dense, 1.0 FROM "
                  "hpd_ranking ORDER BY content, place",
                  sql_literal(dataset), sql_literal(split), best_by_ranks("uids", "dense")));
  incoming.add_images(
      fmt::format("SELECT {}, '', {} || p, '', prompt, 0, 0, '', '' FROM (SELECT p, min(prompt) AS prompt FROM (SELECT "
                  "unnest(paths) "
                  "AS p, prompt FROM hpd_row) GROUP BY p)",
                  uid_of_path("p", "hpdv2"), image_base(file, options)));
}

void read_hpdv3(Incoming& incoming, const std::filesystem::path& file, const ImportOptions& options) {
  static const std::array kFields = {JsonField{"prompt"},     JsonField{"choice_dist", true},
                                     JsonField{"confidence"}, JsonField{"path1"},
                                     JsonField{"path2"},      JsonField{"model1"},
                                     JsonField{"model2"}};
  const Source source(incoming, file, kFields);
  source.require("pairs", {"prompt", "path1", "path2"});
  source.ignore_others(incoming, {"prompt", "choice_dist", "confidence", "path1", "path2", "model1", "model2"});
  const std::string dataset = options.dataset.empty() ? "hpdv3" : options.dataset;
  const std::string name = file.filename().string();
  const std::string split = name.find("test") != std::string::npos    ? "test"
                            : name.find("train") != std::string::npos ? "train"
                                                                      : "";
  // choice_dist counts the votes for the two: their larger share is the weight, so that both can be told from it.
  incoming.add_rankings(fmt::format(R"(
    SELECT left(content, 20) || '-' || row_number() OVER (PARTITION BY content), {0}, {1}, '', '', prompt, [a, b],
           CASE WHEN votes[1] = votes[2] THEN NULL ELSE a END, NULL,
           CASE WHEN votes[1] + votes[2] > 0 THEN greatest(votes[1], votes[2]) / (votes[1] + votes[2])
                ELSE coalesce(confidence, 1.0) END
    FROM (SELECT prompt, {2} AS a, {3} AS b, votes, confidence,
                 md5(concat_ws(chr(31), prompt, path1, path2, votes, confidence)) AS content
          FROM (SELECT {4} AS prompt, {5} AS path1, {6} AS path2, CAST({7} AS DOUBLE[]) AS votes, {8} AS confidence FROM {9})))",
                                    sql_literal(dataset), sql_literal(split), uid_of_path("path1", "hpdv3"),
                                    uid_of_path("path2", "hpdv3"), source.text("prompt"), source.text("path1"),
                                    source.text("path2"), source.real_list("choice_dist"), source.real("confidence"),
                                    source.from()));
  incoming.add_images(fmt::format(
      "SELECT {}, '', {} || p, model, prompt, 0, 0, '', '' FROM (SELECT p, max(model) AS model, min(prompt) AS prompt "
      "FROM (SELECT {} AS p, {} AS model, {} AS prompt FROM {} UNION ALL SELECT {}, {}, {} FROM {}) WHERE p <> '' "
      "GROUP BY p)",
      uid_of_path("p", "hpdv3"), image_base(file, options), source.text("path1"), source.text("model1"),
      source.text("prompt"), source.from(), source.text("path2"), source.text("model2"), source.text("prompt"),
      source.from()));
}

}  // namespace imagerank::preferences
