#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <vector>

#include "core/atomic_file.h"
#include "core/threads.h"
#include "labels/label.h"
#include "labels/prompt_texts.h"
#include "labels/ranking_rows.h"
#include "workspace/text_parts.h"

namespace imagerank::labels {

/// How much of Points stays in memory, in bytes: images' texts beyond lie on disk, and groups beyond are found anew
/// when they are written.
struct PointMemory {
  std::size_t texts = std::size_t{512} << 20, groups = std::size_t{256} << 20;
};

/// The points of all rankings: what their images got, once for each image and prompt. Duplicates once; several labels
/// settled by the conflict rule. Where the split's rule lets one (image, prompt) stand in several splits, it stays in
/// the most held-out one, with the label it has there. The random split is the seed's: points one by one, in the order
/// of a seeded hash. Not SQL as the other rules are (rules.h): of a million rankings, grouping 4 million texts was a
/// third of the command. Images are sorted into parts by their hash, so that threads share nothing and a part stays in
/// a core's cache; all points of an image are in one part, which is also what asking for leaks takes.
class Points {
 public:
  /// @param folder  where memory may overflow to. All references must outlive the object.
  Points(const LabelSettings& settings, const PromptTexts& prompts, const RunContext& context,
         const std::filesystem::path& folder, const PointMemory& most = {});
  ~Points();

  /// The calling thread's way in, for add().
  [[nodiscard]] workspace::TextParts::Adder& adder();
  /// What an image's place in its ranking says of it: best, tied for best (all images of a tie), or lost.
  void add(const PlacedRanking& ranking, workspace::TextParts::Adder& adder) const;
  /// After all rankings. Fills in what is said of rows and of kept ones.
  void group(LabelCounts& counts);
  /// The table `points`, and the CSV file if there is one. Fills in labels, splits and leaks. After group().
  void write(AtomicFile& points, AtomicFile* csv, LabelCounts& counts);

 private:
  struct Group;
  struct Candidate;
  struct Scratch;
  struct Tally;
  class Output;

  [[nodiscard]] std::uint8_t label_of(const Group& group) const;
  void group_part(std::size_t index, Scratch& scratch) const;
  void count_groups(const Scratch& scratch, Tally& tally) const;
  void find_candidates(Scratch& scratch) const;
  void find_cut(std::vector<std::uint64_t> hashes);
  [[nodiscard]] Held held_of(const Candidate& point) const;

  const LabelSettings& settings_;
  const PromptTexts& prompts_;
  const RunContext& context_;
  const bool random_, straddles_;
  const std::uint64_t seed_;  // of the random split
  const std::size_t most_group_bytes_;
  workspace::TextParts parts_;
  PerThread<workspace::TextParts::Adder> adders_;
  /// What group() found, of as many parts as memory allows; the others are grouped once more when they are written.
  std::vector<std::vector<Candidate>> candidates_;
  std::atomic<std::size_t> candidate_bytes_ = 0;
  std::uint64_t test_below_ = 0, validation_below_ = 0;  // of the random split's hashes
};

}  // namespace imagerank::labels
