#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string_view>

#include "core/atomic_file.h"
#include "core/fail.h"
#include "core/tar.h"
#include "exports/export.h"
#include "exports/rows.h"

namespace imagerank::exports {
namespace {

void append_number(std::string& line, double value) {
  if (std::isfinite(value)) {
    fmt::format_to(std::back_inserter(line), "{}", value);
  } else {
    line += "null";
  }
}

/// The columns of `rows` stand in this order; the last two only with scores.
constexpr std::array<std::string_view, 11> kFields = {
    "prompt", "chosen", "rejected",   "chosen_uid",   "rejected_uid",  "p",
    "weight", "split",  "ranking_id", "chosen_score", "rejected_score"};
constexpr std::string_view kSelected =
    "prompt, chosen_path, rejected_path, chosen, rejected, p, weight, split, ranking_id, chosen_score, rejected_score";

void append_line(std::string& text, const workspace::Table& rows, std::size_t row, std::size_t fields) {
  for (std::size_t i = 0; i < fields; ++i) {
    text += i == 0 ? "{\"" : ",\"";
    text += kFields[i];
    text += "\":";
    const workspace::Column& column = rows.columns[i];
    if (column.null[row]) {
      text += "null";
    } else if (column.real.empty()) {
      append_json_text(text, column.text[row]);
    } else {
      append_number(text, column.real[row]);
    }
  }
  text += "}\n";
}

bool is_in_shard(const workspace::Column& paths, std::size_t row) {
  return !paths.null[row] && parse_tar_part(paths.text[row]).has_value();
}

/// Makes table `pair`, in the order of the table's: row numbers, since a join does not keep it.
void make_pairs(workspace::Database& database, const DpoSettings& dpo) {
  if (!dpo.scores) {
    database.execute(
        "CREATE TABLE pair AS SELECT row_number() OVER () AS number, prompt, CASE WHEN p_a > 0.5 THEN image_a ELSE "
        "image_b END AS chosen, CASE WHEN p_a > 0.5 THEN image_b ELSE image_a END AS rejected, greatest(p_a, 1 - p_a) "
        "AS p, weight, split, ranking_id, NULL::DOUBLE AS chosen_score, NULL::DOUBLE AS rejected_score, "
        "abs(2 * p_a - 1) AS margin, false AS unscored FROM source");
    return;
  }
  add_scores(database, *dpo.scores);
  database.execute(
      "CREATE TABLE pair AS SELECT number, prompt, CASE WHEN a > b THEN image_a ELSE image_b END AS chosen, "
      "CASE WHEN a > b THEN image_b ELSE image_a END AS rejected, CASE WHEN a > b THEN p_a ELSE 1 - p_a END AS p, "
      "weight, split, ranking_id, greatest(a, b) AS chosen_score, least(a, b) AS rejected_score, abs(a - b) AS margin, "
      "a IS NULL OR b IS NULL AS unscored FROM (SELECT numbered.*, left_score.score AS a, right_score.score AS b FROM "
      "(SELECT row_number() OVER () AS number, * FROM source) AS numbered LEFT JOIN scored AS left_score ON "
      "left_score.image_uid = image_a AND left_score.prompt = numbered.prompt LEFT JOIN scored AS right_score ON "
      "right_score.image_uid = image_b AND right_score.prompt = numbered.prompt)");
}

void write_lines(workspace::Database& database, const std::string& rows, bool scored, std::int64_t total,
                 const std::filesystem::path& out, const RunContext& context, ExportCounts& counts) {
  AtomicFile file(out);
  database.for_each_chunk(rows, [&](const workspace::Table& chunk) {
    context.check_stop();
    std::string text;
    for (std::size_t i = 0; i < chunk.row_count; ++i) {
      append_line(text, chunk, i, scored ? kFields.size() : kFields.size() - 2);
      if (is_in_shard(chunk.columns[1], i) || is_in_shard(chunk.columns[2], i)) ++counts.in_shards;
    }
    file.write(text);
    counts.rows += static_cast<std::int64_t>(chunk.row_count);
    context.report({"export", static_cast<std::uint64_t>(counts.rows), static_cast<std::uint64_t>(total), "pairs"});
  });
  if (counts.rows > 0) file.commit();
}

/// The files of a pair; nullopt if one went away since it was looked for.
std::optional<std::array<std::string, 2>> load_pair(const workspace::Table& rows, std::size_t row) {
  try {
    return std::array<std::string, 2>{load_file(rows.columns[1].text[row]), load_file(rows.columns[2].text[row])};
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kResourceLimit) throw;
    return std::nullopt;
  }
}

/// As Pick-a-Pic's Parquet files have it, the images inside.
void write_pickapic(workspace::Database& database, const workspace::Workspace& workspace, const std::string& rows,
                    std::int64_t total, const std::filesystem::path& out, const RunContext& context,
                    ExportCounts& counts) {
  workspace::Database target(context.threads, workspace.root());
  target.execute(
      "CREATE TABLE pickapic (jpg_0 BLOB, jpg_1 BLOB, label_0 DOUBLE, label_1 DOUBLE, caption VARCHAR, ranking_id "
      "VARCHAR, chosen VARCHAR, rejected VARCHAR, chosen_uid VARCHAR, rejected_uid VARCHAR, p DOUBLE, weight DOUBLE, "
      "split VARCHAR, chosen_score DOUBLE, rejected_score DOUBLE)");
  workspace::Database::Appender appender(target, "pickapic");
  database.for_each_chunk(rows, [&](const workspace::Table& chunk) {
    for (std::size_t i = 0; i < chunk.row_count; ++i) {
      context.check_stop();
      const auto files = load_pair(chunk, i);
      if (!files) {
        ++counts.skipped["unreadable_image"];
        continue;
      }
      const auto text = [&](std::size_t column) { appender.append(chunk.columns[column].text[i]); };
      const auto real = [&](std::size_t column) {
        const workspace::Column& values = chunk.columns[column];
        if (values.null[i]) {
          appender.append_null();
        } else {
          appender.append(values.real[i]);
        }
      };
      for (const std::string& bytes : *files) appender.append_bytes(bytes);
      appender.append(1.0);
      appender.append(0.0);
      for (const std::size_t column : {0, 8, 1, 2, 3, 4}) text(column);
      for (const std::size_t column : {5, 6}) real(column);
      text(7);
      for (const std::size_t column : {9, 10}) real(column);
      appender.end_row();
      ++counts.rows;
      context.report({"export", static_cast<std::uint64_t>(counts.rows), static_cast<std::uint64_t>(total), "pairs"});
    }
  });
  appender.close();
  if (counts.rows > 0) {
    target.write_parquet("SELECT true AS are_different, true AS has_label, *, caption AS prompt FROM pickapic", out);
  }
}

}  // namespace

ExportCounts export_dpo(const workspace::Workspace& workspace, const ExportSettings& settings, const DpoSettings& dpo,
                        const std::filesystem::path& out, const RunContext& context) {
  if (settings.table != "pairs")
    fail(ErrorCode::kInvalidArgument, "--table: dpo expects pairs, found '{}'", settings.table);
  const bool parquet = out.extension() == ".parquet";
  if (parquet && settings.allow_missing)
    fail(ErrorCode::kInvalidArgument, "--allow-missing: expected JSON Lines, found {}", out.string());
  Rows rows(workspace, settings, context);
  rows.find_images();
  workspace::Database& database = rows.database();
  make_pairs(database, dpo);
  database.execute(fmt::format(
      "CREATE VIEW joined AS SELECT *, CASE WHEN unscored THEN 'no_score' WHEN margin = 0 THEN 'tie' WHEN margin < {} "
      "THEN 'below_margin' WHEN {} AND (chosen_path IS NULL OR rejected_path IS NULL) THEN 'missing_image' ELSE '' END "
      "AS reason FROM (SELECT pair.*, c.path AS chosen_path, r.path AS rejected_path FROM pair LEFT JOIN present AS c "
      "ON c.image_uid = chosen LEFT JOIN present AS r ON r.image_uid = rejected)",
      dpo.margin, settings.allow_missing ? "false" : "true"));
  ExportCounts counts;
  counts.files = 1;
  for (const char* reason : {"tie", "no_score", "below_margin", "missing_image"}) {
    const auto count = database.query_integer(fmt::format("SELECT count(*) FROM joined WHERE reason = '{}'", reason));
    if (count != 0) counts.skipped[reason] = count;
  }
  const auto total = database.query_integer("SELECT count(*) FROM joined WHERE reason = ''");
  const std::string wanted = fmt::format("SELECT {} FROM joined WHERE reason = '' ORDER BY number", kSelected);
  if (parquet) {
    write_pickapic(database, workspace, wanted, total, out, context, counts);
  } else {
    write_lines(database, wanted, dpo.scores.has_value(), total, out, context, counts);
  }
  require_rows(counts, settings);
  return counts;
}

}  // namespace imagerank::exports
