#include "statistics/queries.h"
#include "statistics/row.h"

namespace imagerank::statistics {

OverallCoverage overall_coverage(workspace::Database& database) {
  const auto covered = [&](const std::string& states) {
    return coverage_at(database.query(queries::coverage(states)), 0, 0);
  };
  return {covered("image_state"), covered(queries::states_of_rankings()), covered("pair"),
          covered(queries::states_of_prompts()), covered(queries::states_of_labels())};
}

}  // namespace imagerank::statistics
