#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/progress.h"
#include "statistics/statistics.h"
#include "workspace/workspace.h"

namespace imagerank::statistics {

struct CoverageSettings {
  std::int64_t min_group = 30;  ///< smaller groups are summed up, 0..
  std::int64_t top = 10;        ///< users that are named, 0..; the others are summed up
  std::filesystem::path csv;    ///< all groups, one a row; empty: no file
  /// Whether an image that failed for this reason may be there on another day; empty: none may.
  std::function<bool(std::string_view reason)> may_pass;
};

/// Pearson's chi-square of survival (ok or dead; what was not tried is left out) against a category.
struct SurvivalTest {
  double chi_square = 0.0;
  std::int64_t degrees = 0;
  double p = 1.0;  ///< as if every thing lived and died alone
  /// Of things that share images: 1 + the mean number of others that hold an image of this one, which is the most that
  /// shared images can add to the variance. Kish's design effect, at its largest.
  double design_effect = 1.0;
  double cautious_p = 1.0;         ///< of chi_square / design_effect
  double cramers_v = 0.0;          ///< effect size: 0 all categories survive alike, 1 the category decides
  double smallest_expected = 0.0;  ///< below 5 the p values are rough
};

/// @param parts  one a category. @return nullopt where all with a known fate are alike or of one category.
[[nodiscard]] std::optional<SurvivalTest> test_survival(std::span<const Coverage> parts, double design_effect);

/// Whether survival depends on the category by more than chance: cautious p below 0.001, V of at least `least_v`, five
/// or more expected everywhere.
[[nodiscard]] bool is_uneven(const std::optional<SurvivalTest>& test, double least_v);
constexpr double kLeastV = 0.05;       ///< for labels, ties, pairs and places
constexpr double kLeastGroupV = 0.10;  ///< for months, users and models, which always differ a little

/// How things of several categories survive.
struct Composition {
  struct Part {
    std::string name;
    Coverage coverage;
  };
  std::vector<Part> parts;
  std::optional<SurvivalTest> test;
  [[nodiscard]] std::int64_t total() const;
  [[nodiscard]] std::int64_t ok() const;
};

/// Of a month, a user or a model.
struct CoverageGroup {
  std::string name;                            ///< "" if unknown
  Coverage coverage;                           ///< rankings, or images of a model
  std::array<std::int64_t, 3> labels = {};     ///< (image, prompt) of the group by largest label in it
  std::array<std::int64_t, 3> labels_ok = {};  ///< of these, those whose image is there
};

struct Grouping {
  std::string kind;                   ///< "month", "user", "model"
  std::string unit;                   ///< what a group counts: "rankings" or "images"
  std::vector<CoverageGroup> groups;  ///< months in order, others by size; the unknown last
  CoverageGroup others;               ///< users below the busiest, summed up
  std::int64_t other_groups = 0;      ///< how many these are
  CoverageGroup small;                ///< groups of fewer than min_group, summed up
  std::int64_t small_groups = 0;
  std::optional<SurvivalTest> test;  ///< of all groups that are not small
  std::string worst, best;           ///< of these, by share that is ok; meaningful where there is a test
  double worst_share = 0.0, best_share = 0.0;
};

/// What a reason costs.
struct FailureReason {
  std::string reason;
  std::int64_t images = 0;
  std::int64_t rankings = 0;        ///< with an image that is dead for it
  std::int64_t rankings_alone = 0;  ///< of these, those without an image that is dead for another reason
  bool may_pass = false;
};

/// Rankings with a best image.
struct StrictLosses {
  std::int64_t total = 0;
  std::int64_t ok = 0;
  std::int64_t dead_winner = 0;  ///< the best image is dead, no other is
  std::int64_t dead_losers = 0;
  std::int64_t dead_both = 0;
};

/// Which part of a workspace its images leave, and whether that part is like the whole.
struct CoverageReport {
  bool has_rankings = false;  ///< the table is there
  OverallCoverage overall;
  std::int64_t images_without_row = 0;  ///< images of rankings that `images` does not know; they count as not tried
  Composition labels;                   ///< (image, prompt) by largest label: "2", "1", "0"
  Composition rankings;                 ///< "best", "tie"
  Composition pairs;                    ///< "strict", "tied"
  Composition places;                   ///< images of rankings with a best one: "winner", "loser"
  StrictLosses strict;
  std::array<Grouping, 3> groupings;  ///< month, user, model
  std::vector<FailureReason> reasons;
  std::int64_t may_pass_images = 0;
  std::int64_t may_pass_rankings = 0;  ///< dead for reasons that may pass only
};

/// Reads rankings and images; writes the CSV file, if asked, whole or not at all. Works without rankings. Set-based:
/// memory is DuckDB's, at most 2 GB, spilling beside the tables.
/// @throws Error kNotFound (no images, naming the command that makes them), kInvalidArgument (settings), kCorruptData,
/// kCancelled, kIo, kResourceLimit.
[[nodiscard]] CoverageReport measure_survival(const workspace::Workspace& workspace, const CoverageSettings& settings,
                                              const RunContext& context);

}  // namespace imagerank::statistics
