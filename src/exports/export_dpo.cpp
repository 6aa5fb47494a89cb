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

/// Most texts need no escape: these go as they are, ten times as fast as through a JSON value.
void append_text(std::string& line, const std::string& text) {
  const bool plain = std::ranges::all_of(text, [](char c) { return c >= ' ' && c <= '~' && c != '"' && c != '\\'; });
  if (plain) {
    line += '"';
    line += text;
    line += '"';
  } else {
    line += nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  }
}

void append_number(std::string& line, double value) {
  if (std::isfinite(value)) {
    fmt::format_to(std::back_inserter(line), "{}", value);
  } else {
    line += "null";
  }
}

/// The columns of `rows` stand in this order.
constexpr std::array<std::string_view, 9> kFields = {"prompt", "chosen", "rejected", "chosen_uid", "rejected_uid",
                                                     "p",      "weight", "split",    "ranking_id"};

void append_line(std::string& text, const workspace::Table& rows, std::size_t row) {
  for (std::size_t i = 0; i < kFields.size(); ++i) {
    text += i == 0 ? "{\"" : ",\"";
    text += kFields[i];
    text += "\":";
    const workspace::Column& column = rows.columns[i];
    if (column.null[row]) {
      text += "null";
    } else if (column.real.empty()) {
      append_text(text, column.text[row]);
    } else {
      append_number(text, column.real[row]);
    }
  }
  text += "}\n";
}

bool is_in_shard(const workspace::Column& paths, std::size_t row) {
  return !paths.null[row] && parse_tar_part(paths.text[row]).has_value();
}

}  // namespace

ExportCounts export_dpo(const workspace::Workspace& workspace, const ExportSettings& settings,
                        const std::filesystem::path& out, const RunContext& context) {
  if (settings.table != "pairs")
    fail(ErrorCode::kInvalidArgument, "--table: dpo expects pairs, found '{}'", settings.table);
  Rows rows(workspace, settings, context);
  rows.find_images();
  workspace::Database& database = rows.database();
  // Pairs keep the table's order: row numbers, since a join does not keep it.
  database.execute(
      "CREATE TABLE pair AS SELECT row_number() OVER () AS number, prompt, CASE WHEN p_a > 0.5 THEN image_a ELSE "
      "image_b END AS chosen, CASE WHEN p_a > 0.5 THEN image_b ELSE image_a END AS rejected, greatest(p_a, 1 - p_a) AS "
      "p, weight, split, ranking_id FROM source");
  database.execute(
      "CREATE VIEW joined AS SELECT number, prompt, c.path AS chosen_path, r.path AS rejected_path, chosen, rejected, "
      "p, weight, split, ranking_id, p <> 0.5 AND (c.path IS NULL OR r.path IS NULL) AS missing FROM pair LEFT JOIN "
      "present AS c ON c.image_uid = chosen LEFT JOIN present AS r ON r.image_uid = rejected");
  ExportCounts counts;
  counts.files = 1;
  const auto skip = [&](const char* reason, const std::string& condition) {
    const auto count = database.query_integer("SELECT count(*) FROM joined WHERE " + condition);
    if (count != 0) counts.skipped[reason] = count;
  };
  skip("tie", "p = 0.5");
  if (!settings.allow_missing) skip("missing_image", "missing");
  const std::string wanted = settings.allow_missing ? "p <> 0.5" : "p <> 0.5 AND NOT missing";
  const auto total = database.query_integer("SELECT count(*) FROM joined WHERE " + wanted);
  AtomicFile file(out);
  database.for_each_chunk(
      fmt::format("SELECT prompt, chosen_path, rejected_path, chosen, rejected, p, weight, split, ranking_id FROM "
                  "joined WHERE {} ORDER BY number",
                  wanted),
      [&](const workspace::Table& chunk) {
        context.check_stop();
        std::string text;
        for (std::size_t i = 0; i < chunk.row_count; ++i) {
          append_line(text, chunk, i);
          if (is_in_shard(chunk.columns[1], i) || is_in_shard(chunk.columns[2], i)) ++counts.in_shards;
        }
        file.write(text);
        counts.rows += static_cast<std::int64_t>(chunk.row_count);
        context.report({"export", static_cast<std::uint64_t>(counts.rows), static_cast<std::uint64_t>(total), "pairs"});
      });
  require_rows(counts, settings);
  file.commit();
  return counts;
}

}  // namespace imagerank::exports
