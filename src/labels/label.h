#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/progress.h"
#include "workspace/workspace.h"

namespace imagerank::labels {

/// What a label means. Source: the seed's recipe.
enum class LabelVariant {
  kThree,      ///< 2 best, 1 every image of a tie, 0 the others
  kDropTies,   ///< ties left out; best 1, others 0
  kMergeTies,  ///< best 1, ties and others 0
};

/// What a split keeps together. kRandom is the seed's: points by row, pairs by ranking; it leaks.
enum class SplitRule { kRandom, kPrompt, kUser, kImage, kTime, kComponent, kOfficial };

/// What becomes of an (image, prompt) that got several labels.
enum class ConflictRule {
  kKeepMax,   ///< the largest label: once best, always best (the seed's)
  kMajority,  ///< the label it got most often; of equally many the larger
  kDrop,      ///< left out
};

enum class WeightRule {
  kRanking,  ///< a pair weighs what its ranking does
  kPrompt,   ///< that, divided by the number of pairs of its prompt
};

/// @throws Error kInvalidArgument listing the names.
[[nodiscard]] LabelVariant label_variant_of(std::string_view name);
[[nodiscard]] SplitRule split_rule_of(std::string_view name);
[[nodiscard]] ConflictRule conflict_rule_of(std::string_view name);
[[nodiscard]] WeightRule weight_rule_of(std::string_view name);

/// Rankings left out by their prompt, each counted under the first filter that hits.
struct PromptFilters {
  bool trim = false;                ///< take white space off both ends first: prompts that are then equal become one
  bool drop_empty = false;          ///< "empty_prompt": nothing but white space
  std::int64_t min_characters = 0;  ///< "short_prompt", in Unicode characters; 0: no bound
  std::int64_t max_characters = 0;  ///< "long_prompt", likewise
  std::vector<std::string> words = {};  ///< "listed_word": holds one of these words, in any case
};

struct LabelSettings {
  LabelVariant variant = LabelVariant::kThree;
  SplitRule split = SplitRule::kRandom;
  double test = 0.2;        ///< share of everything
  double validation = 0.1;  ///< share of everything
  std::uint64_t seed = 0;
  ConflictRule conflicts = ConflictRule::kKeepMax;
  WeightRule weights = WeightRule::kRanking;
  bool tie_pairs = true;       ///< write pairs of a tie, at 0.5
  std::int64_t min_votes = 1;  ///< rankings that an (image, prompt) must stand in to become a point
  std::string ratings;         ///< an aspect of ratings.parquet whose mean scores also rank images; empty: none
  PromptFilters prompts = {};
  std::filesystem::path csv;  ///< also write image_uid,prompt,label here, as the seed does; empty: do not

  /// @throws Error kInvalidArgument.
  void validate() const;
};

struct LabelCounts {
  std::int64_t rows = 0;      ///< one for each image of each ranking
  std::int64_t distinct = 0;  ///< distinct (image, prompt, label)
  std::int64_t kept = 0;      ///< one for each (image, prompt), its largest label; before the binary variant
  std::array<std::int64_t, 3> labels = {};       ///< points written, by label
  std::int64_t conflicts = 0;                    ///< (image, prompt) with more than one label
  std::int64_t winners = 0;                      ///< (image, prompt) that won at least once
  std::int64_t winners_that_lost = 0;            ///< of these, how many also lost another ranking
  std::int64_t strict_pairs = 0;                 ///< best over another image, a ranking at a time
  std::int64_t tied_pairs = 0;                   ///< pairs of images of a tie
  std::map<std::string, std::int64_t> filtered;  ///< rankings left out by a prompt filter, by reason
  std::int64_t merged_prompts = 0;               ///< prompts that equal another one once trimmed
  std::int64_t dropped_conflicts = 0;            ///< (image, prompt) left out by ConflictRule::kDrop
  std::int64_t few_votes = 0;                    ///< (image, prompt) left out by min_votes
  std::int64_t straddling_rankings = 0;     ///< left out because they share an image with a held-out split (image rule)
  std::int64_t straddling_points = 0;       ///< left out because (image, prompt) also stands in a held-out split
  std::array<std::int64_t, 3> splits = {};  ///< points in train, validation, test
  std::array<std::int64_t, 3> pair_splits = {};  ///< pairs in train, validation, test
  double prompt_overlap = 0.0;                   ///< share of test points whose prompt also stands in train, 0..1
  double image_overlap = 0.0;                    ///< share of test points whose image also stands in train, 0..1
  double user_overlap = 0.0;                     ///< share of test rankings whose user also has some in train, 0..1
};

/// Reads rankings.parquet (and ratings.parquet if asked), writes points.parquet and pairs.parquet (and the CSV): all or
/// none. The same rankings, settings and seed give the same rows whatever the order of rows or the number of threads.
/// @throws Error kNotFound, kCorruptData, kInvalidArgument (a rule that the data cannot serve), kIo.
LabelCounts make_labels(const workspace::Workspace& workspace, const LabelSettings& settings,
                        const RunContext& context);

}  // namespace imagerank::labels
