#include <nlohmann/json.hpp>

#include "core/atomic_file.h"
#include "core/fail.h"
#include "exports/export.h"
#include "exports/rows.h"

namespace imagerank::exports {
namespace {

using nlohmann::ordered_json;

ordered_json path_or_null(const workspace::Column& column, std::size_t row) {
  return column.null[row] ? ordered_json() : ordered_json(column.text[row]);
}

std::string line_of(const workspace::Table& rows, std::size_t row) {
  const auto& columns = rows.columns;
  const ordered_json object = {{"prompt", columns[0].text[row]},
                               {"chosen", path_or_null(columns[1], row)},
                               {"rejected", path_or_null(columns[2], row)},
                               {"chosen_uid", columns[3].text[row]},
                               {"rejected_uid", columns[4].text[row]},
                               {"p", columns[5].real[row]},
                               {"weight", columns[6].real[row]},
                               {"split", columns[7].text[row]},
                               {"ranking_id", columns[8].text[row]}};
  return object.dump(-1, ' ', false, ordered_json::error_handler_t::replace) + '\n';
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
        for (std::size_t i = 0; i < chunk.row_count; ++i) text += line_of(chunk, i);
        file.write(text);
        counts.rows += static_cast<std::int64_t>(chunk.row_count);
        context.report({"export", static_cast<std::uint64_t>(counts.rows), static_cast<std::uint64_t>(total), "pairs"});
      });
  require_rows(counts, settings);
  file.commit();
  return counts;
}

}  // namespace imagerank::exports
