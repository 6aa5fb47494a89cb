#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace imagerank::scoring {

/// A CSV file with columns `image` and `prompt` among others, in its own order. RFC 4180: quotes where needed, doubled
/// inside; line ends LF or CRLF; a UTF-8 byte order mark is skipped.
struct ScoreTable {
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> rows;  ///< each as long as columns
  std::size_t image_column = 0;
  std::size_t prompt_column = 0;
};

/// @throws Error kCorruptData naming the line: no such columns, a row of another length, an open quote, no rows.
[[nodiscard]] ScoreTable parse_score_table(std::string_view text, const std::string& name);
/// The same rows and columns with a last column `score`, or the values of one that was there replaced.
/// @param scores  one a row; NaN is written as "nan". @param deviations  one a row, for a column `score_deviation`
/// treated likewise; or none.
[[nodiscard]] std::string format_scored_table(const ScoreTable& table, std::span<const float> scores,
                                              std::span<const float> deviations = {});

}  // namespace imagerank::scoring
