#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/fail.h"
#include "workspace/column_rows.h"

namespace imagerank::labels {

/// Where a ranking, its pairs and its points go. Points of kNowhere are left out.
enum Held : std::uint8_t { kTest = 0, kValidation = 1, kTrain = 2, kNowhere = 3 };

/// A ranking whose place is known, as a query has it at hand: views live as long as the call that gets them.
struct PlacedRanking {
  static constexpr std::int32_t kNoRank = std::numeric_limits<std::int32_t>::min();

  std::optional<std::string_view> ranking_id, user_id;
  std::uint32_t prompt = 0;  ///< from 0
  Held held = kTrain;
  std::size_t best = 0;     ///< its place from 1, 0: none
  std::string_view weight;  ///< the bytes of a double
  std::span<const std::string_view> images;
  std::optional<std::span<const std::int32_t>> ranks;  ///< kNoRank: NULL
};

/// Goes through a column row by row.
class ColumnCursor {
 public:
  explicit ColumnCursor(const workspace::ColumnRows& column) : column_(column) {}
  /// Of a plain column.
  std::optional<std::string_view> next() {
    if (column_.definition[entry_++] == 0) return std::nullopt;
    return column_.values[value_++];
  }
  template <typename Number>
  Number next_number() {
    const auto value = next();
    return value ? workspace::number_in<Number>(*value) : Number{};
  }
  /// Of a list: the next row's elements, a view with no data for a NULL. @return false for no list.
  bool next_list(std::vector<std::string_view>& elements) {
    elements.clear();
    const bool there = column_.definition[entry_] != 0;
    do {
      const std::uint8_t definition = column_.definition[entry_++];
      if (definition == 3) elements.push_back(column_.values[value_++]);
      if (definition == 2) elements.emplace_back();
    } while (entry_ < column_.repetition.size() && column_.repetition[entry_] != 0);
    return there;
  }

 private:
  const workspace::ColumnRows& column_;
  std::size_t entry_ = 0, value_ = 0;
};

/// Rows of rules::placed() one by one. @throws Error kCorruptData for an image without a uid, and what `visit` throws.
template <typename Visit>
void for_each_ranking(std::span<const workspace::ColumnRows> columns, std::size_t count, const Visit& visit) {
  ColumnCursor id(columns[0]), user(columns[1]), prompt(columns[2]), held(columns[3]), best(columns[4]),
      weight(columns[5]), image_uids(columns[6]), ranks(columns[7]);
  std::vector<std::string_view> images, elements;
  std::vector<std::int32_t> numbers;
  PlacedRanking ranking;
  for (std::size_t row = 0; row < count; ++row) {
    ranking.ranking_id = id.next();
    ranking.user_id = user.next();
    ranking.prompt = prompt.next_number<std::uint32_t>() - 1;
    ranking.held = static_cast<Held>(held.next_number<std::int32_t>());
    ranking.best = static_cast<std::size_t>(best.next_number<std::int32_t>());
    ranking.weight = weight.next().value_or(std::string_view());
    image_uids.next_list(images);
    for (const std::string_view image : images) {
      if (image.data() == nullptr)
        fail(ErrorCode::kCorruptData, "rankings: expected the uid of every image, found NULL in ranking '{}'",
             ranking.ranking_id.value_or(""));
    }
    ranking.images = images;
    ranking.ranks.reset();
    if (ranks.next_list(elements)) {
      numbers.clear();
      for (const std::string_view rank : elements)
        numbers.push_back(rank.data() == nullptr ? PlacedRanking::kNoRank : workspace::number_in<std::int32_t>(rank));
      numbers.resize(images.size(), PlacedRanking::kNoRank);
      ranking.ranks = numbers;
    }
    visit(ranking);
  }
}

}  // namespace imagerank::labels
