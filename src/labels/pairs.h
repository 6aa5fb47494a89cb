#pragma once

#include <array>
#include <memory>

#include "core/atomic_file.h"
#include "core/threads.h"
#include "labels/label.h"
#include "labels/prompt_texts.h"
#include "labels/ranking_rows.h"
#include "workspace/parquet_writer.h"

namespace imagerank::labels {

/// The table `pairs`: pairs of a ranking's images in list order. Without ranks: best over each other one (p_a 1 or 0),
/// each two of a tie (0.5). With ranks: each two, by their ranks. Several threads may add, each through a Writer of its
/// own.
class Pairs {
 public:
  class Writer;
  /// All references must outlive the object.
  Pairs(AtomicFile& file, const PromptTexts& prompts, bool tie_pairs);
  ~Pairs();

  /// The calling thread's.
  Writer& writer();
  /// After all threads are done. Fills in what is said of pairs.
  void finish(LabelCounts& counts);

 private:
  const PromptTexts& prompts_;
  bool tie_pairs_;
  workspace::ParquetWriter parquet_;
  PerThread<Writer> writers_;
};

class Pairs::Writer {
 public:
  explicit Writer(Pairs& pairs);
  void add(const PlacedRanking& ranking);
  /// Before the views of rankings end.
  void pass_on();

 private:
  friend class Pairs;
  void add_pair(const PlacedRanking& ranking, std::size_t a, std::size_t b, std::uint32_t twice_p);

  Pairs& pairs_;
  workspace::ParquetWriter::Rows rows_;
  std::array<workspace::ColumnRows, 8> columns_;
  LabelCounts counts_;
};

}  // namespace imagerank::labels
