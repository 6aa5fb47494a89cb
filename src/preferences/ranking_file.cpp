#include "preferences/ranking_file.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <string_view>

#include "workspace/keys.h"
#include "workspace/schema.h"

namespace imagerank::preferences {
namespace {

using workspace::ColumnRows;
using workspace::ParquetColumn;
using workspace::ParquetType;

constexpr std::size_t kKeyParts = 256;
/// Beyond which the uids of images lie on disk.
constexpr std::size_t kMostImageBytes = std::size_t{512} << 20;
// Places among the columns of table `rankings`.
constexpr std::size_t kId = 0, kDataset = 1, kImages = 6, kBest = 7;

std::vector<ParquetColumn> parquet_columns(const workspace::TableSchema& schema) {
  std::vector<ParquetColumn> columns;
  for (const workspace::ColumnSchema& column : schema.columns) {
    const ParquetType type = column.type.starts_with("INTEGER")  ? ParquetType::kInt32
                             : column.type.starts_with("DOUBLE") ? ParquetType::kDouble
                                                                 : ParquetType::kText;
    columns.push_back({std::string(column.name), type, column.type.ends_with("[]")});
  }
  return columns;
}

/// The rows of a column for which `keep` is not 0.
ColumnRows some_rows(const ColumnRows& column, const std::vector<std::uint8_t>& keep) {
  const bool is_list = !column.repetition.empty();
  const std::uint8_t whole = is_list ? 3 : 1;
  ColumnRows some;
  std::size_t row = 0, value = 0;
  for (std::size_t entry = 0; entry < column.definition.size(); ++entry) {
    if (entry != 0 && !(is_list && column.repetition[entry] != 0)) ++row;
    const bool there = column.definition[entry] == whole;
    if (keep[row] != 0) {
      some.definition.push_back(column.definition[entry]);
      if (is_list) some.repetition.push_back(column.repetition[entry]);
      if (there) some.values.push_back(column.values[value]);
    }
    value += there ? 1 : 0;
  }
  return some;
}

}  // namespace

/// What one thread has taken.
struct RankingFile::Share {
  explicit Share(RankingFile& file) : rows(file.writer_), images(file.images_) {}

  workspace::ParquetWriter::Rows rows;
  workspace::TextParts::Adder images;
  Counts counts;
  std::array<std::vector<std::uint64_t>, kKeyParts> keys;  // hashes, by their first byte

  void add(std::span<const ColumnRows> columns, std::size_t count) {
    rows.add(columns, count);
    counts.rankings += static_cast<std::int64_t>(count);
    counts.ties += static_cast<std::int64_t>(count - columns[kBest].values.size());
    for (const std::string_view uid : columns[kImages].values) images.add(uid);
    std::string_view dataset;
    std::uint64_t seed = workspace::stable_hash(dataset, 0);
    for (std::size_t i = 0; i < count; ++i) {
      if (const std::string_view name = columns[kDataset].values[i]; name != dataset) {
        dataset = name;
        seed = workspace::stable_hash(dataset, 0);
      }
      const std::uint64_t hash = workspace::stable_hash(columns[kId].values[i], seed);
      keys[hash >> 56].push_back(hash);
    }
  }
};

RankingFile::RankingFile(const workspace::Workspace& workspace, const RunContext& context)
    : context_(context),
      file_(workspace.table_path("rankings")),
      writer_(file_, parquet_columns(workspace::table_schema("rankings"))),
      images_(workspace.root(), kMostImageBytes) {}

RankingFile::~RankingFile() = default;

void RankingFile::add(workspace::Database& database, const std::string& select) {
  database.take_rows(select, [this](std::span<const ColumnRows> columns, std::size_t count) { take(columns, count); });
}

void RankingFile::take(std::span<const ColumnRows> columns, std::size_t count) {
  Share& share = shares_.get([&] { return std::make_unique<Share>(*this); });
  const ColumnRows& reasons = columns.back();
  const auto table = columns.first(columns.size() - 1);
  if (reasons.values.empty()) return share.add(table, count);
  for (const std::string_view reason : reasons.values) ++share.counts.reasons[std::string(reason)];
  std::vector<std::uint8_t> keep(count);
  std::ranges::transform(reasons.definition, keep.begin(), [](std::uint8_t level) { return level == 0 ? 1 : 0; });
  std::vector<ColumnRows> some;
  for (const ColumnRows& column : table) some.push_back(some_rows(column, keep));
  share.add(some, count - reasons.values.size());
}

bool RankingFile::finish() {
  std::vector<Share*> shares;
  shares_.for_each([&](Share& share) { shares.push_back(&share); });
  for (const Share* share : shares) {
    counts_.rankings += share->counts.rankings;
    counts_.ties += share->counts.ties;
    for (const auto& [reason, rows] : share->counts.reasons) counts_.reasons[reason] += rows;
  }
  std::atomic<std::size_t> next_share = 0, next_part = 0;
  std::atomic<bool> repeated = false;
  run_on_threads(context_.thread_count(), [&] {
    for (std::size_t i = next_share++; i < shares.size(); i = next_share++) {
      shares[i]->rows.flush();
      shares[i]->images.finish();
    }
    std::vector<std::uint64_t> hashes;
    for (std::size_t part = next_part++; part < kKeyParts; part = next_part++) {
      hashes.clear();
      for (const Share* share : shares) hashes.insert(hashes.end(), share->keys[part].begin(), share->keys[part].end());
      std::ranges::sort(hashes);
      if (std::ranges::adjacent_find(hashes) != hashes.end()) repeated = true;
    }
  });
  writer_.finish();
  images_.finish();
  return !repeated;
}

namespace {

/// One thread's rows of images.
class ImageRows {
 public:
  explicit ImageRows(workspace::ParquetWriter& writer) : rows_(writer), columns_(writer.columns().size()) {
    for (std::size_t i = 1; i < columns_.size(); ++i) {
      static constexpr std::int32_t kZero = 0;
      const std::string_view zero(reinterpret_cast<const char*>(&kZero), sizeof kZero);
      columns_[i].values.assign(kRows, writer.columns()[i].type == ParquetType::kInt32 ? zero : std::string_view());
      columns_[i].definition.assign(kRows, 1);
      columns_[i].numbers.assign(kRows, 0);
    }
  }

  void add(std::string_view uid) {
    columns_[0].values.push_back(uid);
    if (columns_[0].values.size() == kRows) pass_on();
  }
  void flush() {
    for (ColumnRows& column : std::span(columns_).subspan(1)) {
      column.values.resize(columns_[0].values.size());
      column.definition.resize(columns_[0].values.size());
      column.numbers.resize(columns_[0].values.size());
    }
    pass_on();
    rows_.flush();
  }

 private:
  static constexpr std::size_t kRows = 2048;
  void pass_on() {
    const std::size_t count = columns_[0].values.size();
    columns_[0].definition.assign(count, 1);
    rows_.add(columns_, count);
    columns_[0].clear();
  }

  workspace::ParquetWriter::Rows rows_;
  std::vector<ColumnRows> columns_;
};

}  // namespace

std::int64_t RankingFile::write_images(AtomicFile& images) {
  struct State {
    workspace::TextNumbers uids;
    std::unique_ptr<ImageRows> rows;
    std::int64_t count = 0;
  };
  workspace::ParquetWriter writer(images, parquet_columns(workspace::table_schema("images")));
  const auto write_part = [&](std::size_t index, State& state) {
    if (state.rows == nullptr) state.rows = std::make_unique<ImageRows>(writer);
    const workspace::TextParts::Part part = images_.part(index);
    state.uids.reset(part.size());
    part.for_each([&](const workspace::TextEntry& entry) { (void)state.uids.find_or_add(entry); });
    for (std::uint32_t i = 0; i < state.uids.size(); ++i) state.rows->add(state.uids.at(i));
    state.count += static_cast<std::int64_t>(state.uids.size());
    images_.forget(index);
  };
  const auto states = workspace::for_each_part<State>(context_, write_part, [](State& state) {
    if (state.rows != nullptr) state.rows->flush();
  });
  writer.finish();
  std::int64_t count = 0;
  for (const auto& state : states) count += state->count;
  return count;
}

}  // namespace imagerank::preferences
