#include <algorithm>

#include "core/fail.h"
#include "exports/export.h"
#include "exports/rows.h"
#include "workspace/schema.h"

namespace imagerank::exports {
namespace {

/// A list of texts as JSON: ["a", "b"]. Control characters cannot stand in it raw.
std::string text_list_as_json(std::string_view column) {
  return fmt::format(
      "CASE WHEN {0} IS NULL THEN NULL ELSE '[' || array_to_string(list_transform({0}, x -> '\"' || "
      "replace(replace(replace(replace(replace(x, '\\', '\\\\'), '\"', '\\\"'), chr(10), '\\n'), chr(13), '\\r'), "
      "chr(9), '\\t') || '\"'), ', ') || ']' END AS {0}",
      column);
}

std::string csv_columns(const workspace::TableSchema& schema) {
  if (schema.name == "points") return "image_uid, prompt, label";
  std::string text;
  for (const workspace::ColumnSchema& column : schema.columns) {
    if (!text.empty()) text += ", ";
    text += column.type == "VARCHAR[]" ? text_list_as_json(column.name) : std::string(column.name);
  }
  return text;
}

ExportCounts count_rows(Rows& rows, const ExportSettings& settings, const RunContext& context) {
  ExportCounts counts;
  counts.files = 1;
  counts.rows = rows.database().query_integer("SELECT count(*) FROM source");
  require_rows(counts, settings);
  context.check_stop();
  context.report({"export", 0, 0, ""});
  return counts;
}

}  // namespace

ExportCounts export_csv(const workspace::Workspace& workspace, const ExportSettings& settings,
                        const std::filesystem::path& out, const RunContext& context) {
  Rows rows(workspace, settings, context);
  const ExportCounts counts = count_rows(rows, settings, context);
  rows.database().write_csv(fmt::format("SELECT {} FROM source", csv_columns(workspace::table_schema(settings.table))),
                            out);
  return counts;
}

ExportCounts export_parquet(const workspace::Workspace& workspace, const ExportSettings& settings,
                            const std::filesystem::path& out, const RunContext& context) {
  Rows rows(workspace, settings, context);
  const ExportCounts counts = count_rows(rows, settings, context);
  rows.database().write_parquet("SELECT * FROM source", out);
  return counts;
}

}  // namespace imagerank::exports
