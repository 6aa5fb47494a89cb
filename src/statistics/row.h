#pragma once

#include <cstdint>
#include <string>

#include "statistics/statistics.h"
#include "workspace/database.h"

namespace imagerank::statistics {

/// One row of a query, by place; integers and reals alike. A NULL sum over no rows is 0.
class Row {
 public:
  Row(workspace::Database& database, const std::string& sql) : table_(database.query(sql)) {}
  [[nodiscard]] double real(std::size_t column) const {
    const workspace::Column& values = table_.columns[column];
    if (values.null[0]) return 0.0;
    if (!values.integer.empty()) return static_cast<double>(values.integer[0]);
    return values.real[0];
  }
  [[nodiscard]] std::int64_t integer(std::size_t column) const { return static_cast<std::int64_t>(real(column)); }
  [[nodiscard]] const std::string& text(std::size_t column) const { return table_.columns[column].text[0]; }

 private:
  workspace::Table table_;
};

/// The four counts of queries::coverage, from column `first` on.
[[nodiscard]] inline Coverage coverage_at(const workspace::Table& table, std::size_t row, std::size_t first) {
  const auto count = [&](std::size_t column) { return table.columns[first + column].integer[row]; };
  return {count(0), count(1), count(2), count(3)};
}

/// Makes view `numbered` of the attached rankings.
void number_rankings(const workspace::Workspace& workspace, workspace::Database& database);

/// What the images cost, of tables image_state, entry, pair and label_state.
[[nodiscard]] OverallCoverage overall_coverage(workspace::Database& database);

}  // namespace imagerank::statistics
