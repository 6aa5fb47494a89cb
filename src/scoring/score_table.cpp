#include "scoring/score_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/fail.h"
#include "scoring/csv_table.h"

namespace imagerank::scoring {
namespace {

std::size_t find_column(const std::vector<std::string>& columns, std::string_view wanted, const std::string& name) {
  const auto found = std::ranges::find(columns, wanted);
  if (found == columns.end()) {
    fail(ErrorCode::kCorruptData, "{}: expected columns image and prompt, found {}", name,
         fmt::format("{}", fmt::join(columns, ", ")));
  }
  return static_cast<std::size_t>(found - columns.begin());
}

}  // namespace

ScoreTable parse_score_table(std::string_view text, const std::string& name) {
  CsvTable read = parse_csv(text, name);
  ScoreTable table;
  table.image_column = find_column(read.columns, "image", name);
  table.prompt_column = find_column(read.columns, "prompt", name);
  table.columns = std::move(read.columns);
  table.rows = std::move(read.rows);
  return table;
}

std::string format_scored_table(const ScoreTable& table, std::span<const float> scores,
                                std::span<const float> deviations) {
  std::vector<std::string> columns = table.columns;
  const auto place_of = [&](const char* name) {
    const auto found = std::ranges::find(columns, name);
    const auto column = static_cast<std::size_t>(found - columns.begin());
    if (found == columns.end()) columns.emplace_back(name);
    return column;
  };
  const std::size_t score_column = place_of("score");
  const std::size_t deviation_column = deviations.empty() ? 0 : place_of("score_deviation");
  std::string out;
  append_csv_record(out, columns);
  for (std::size_t i = 0; i < table.rows.size(); ++i) {
    std::vector<std::string> fields = table.rows[i];
    fields.resize(columns.size());
    fields[score_column] = fmt::format("{}", scores[i]);
    if (!deviations.empty()) fields[deviation_column] = fmt::format("{}", deviations[i]);
    append_csv_record(out, fields);
  }
  return out;
}

}  // namespace imagerank::scoring
