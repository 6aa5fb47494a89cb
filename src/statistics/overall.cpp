#include <fmt/format.h>

#include "statistics/queries.h"
#include "statistics/row.h"

namespace imagerank::statistics {

void number_rankings(const workspace::Workspace& workspace, workspace::Database& database) {
  // Numbers of the file's rows, which threads find out for themselves; row_number() would take one thread.
  const std::string numbered = workspace.has_table("rankings")
                                   ? fmt::format("file_row_number AS r FROM read_parquet({}, file_row_number = true)",
                                                 workspace::sql_literal(workspace.table_path("rankings").string()))
                                   : "0::BIGINT AS r FROM rankings";
  database.execute("CREATE VIEW numbered AS SELECT *, " + numbered);
}

OverallCoverage overall_coverage(workspace::Database& database) {
  const auto covered = [&](const std::string& states) {
    return coverage_at(database.query(queries::coverage(states)), 0, 0);
  };
  return {covered("image_state"), covered(queries::states_of_rankings()), covered("pair"),
          covered(queries::states_of_prompts()), covered("label_state")};
}

}  // namespace imagerank::statistics
