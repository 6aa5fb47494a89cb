#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/progress.h"
#include "workspace/workspace.h"

namespace imagerank::statistics {

/// A table of the workspace, there or not.
struct TableState {
  std::string name;
  std::string made_by;               ///< the command that makes it
  std::optional<std::int64_t> rows;  ///< empty: no such file
};

/// How many of something have all their images, and how many do not.
struct Coverage {
  std::int64_t total = 0;
  std::int64_t ok = 0;         ///< every image there
  std::int64_t not_tried = 0;  ///< none known to be dead, some not fetched yet
  std::int64_t dead = 0;       ///< an image missing or failed
};

/// The same of all that hangs on images.
struct OverallCoverage {
  Coverage images;
  Coverage rankings;  ///< dead: an image of the ranking is
  Coverage pairs;     ///< dead: an image of the pair is
  Coverage prompts;   ///< ok: some pair is ok; dead: every pair of the prompt is dead
  Coverage labels;    ///< (image, prompt)
};

/// How often each place of a list wins, in rankings of so many images with a best one.
struct PositionWins {
  std::int64_t images = 0;
  std::vector<std::int64_t> wins;  ///< by place
  [[nodiscard]] std::int64_t rankings() const;
};

/// Whether the place of an image in its list decides who wins.
struct PositionBias {
  std::vector<PositionWins> sizes;  ///< by number of images
  double chi_square = 0.0;          ///< Pearson's, against equal chances of all places, summed over sizes
  std::int64_t degrees = 0;
  std::optional<double> p;  ///< of a chi-square so large by chance; empty without rankings
};

/// Judgements of one prompt and pair of images: one image, the other, or a tie.
struct Agreement {
  std::int64_t units = 0;         ///< (prompt, pair of images) judged by two or more users
  std::int64_t pairs = 0;         ///< pairs of users over all units
  std::int64_t agreeing = 0;      ///< of these, with the same judgement
  std::int64_t strict_pairs = 0;  ///< pairs of users who both chose an image
  std::int64_t strict_agreeing = 0;
  std::optional<double> alpha;    ///< Krippendorff's, nominal; empty where it is not defined
  std::int64_t repeat_pairs = 0;  ///< pairs of judgements of one unit by one user
  std::int64_t repeat_agreeing = 0;
};

/// How unevenly rankings are spread over users.
struct Concentration {
  std::int64_t users = 0;
  std::int64_t most = 0;     ///< rankings of the busiest user
  double median = 0.0;       ///< rankings of the user in the middle
  double top_1_share = 0.0;  ///< share of the rankings made by the busiest 1 % of users, rounded up to whole users
  double top_10_share = 0.0;
  double gini = 0.0;  ///< 0: all alike; towards 1: one user made all
};

struct Distribution {
  double mean = 0.0;
  double median = 0.0;
  double p95 = 0.0;
  double max = 0.0;
};

struct RatingAspect {
  std::string aspect;
  std::int64_t rows = 0;
  double mean = 0.0;
  double min = 0.0;
  double max = 0.0;
};

/// Figures of a workspace. What needs a table that is not there is 0, empty or nullopt; `tables` says which is missing.
struct Statistics {
  std::vector<TableState> tables;

  std::int64_t rankings = 0;
  std::int64_t ties = 0;            ///< rankings without a best image
  std::int64_t with_ranks = 0;      ///< rankings that give a rank to every image
  std::int64_t without_user = 0;    ///< rankings whose user is unknown
  std::int64_t users = 0;           ///< of rankings and ratings
  std::int64_t prompts = 0;         ///< distinct, of rankings and ratings
  std::int64_t prompts_joined = 0;  ///< the same with case and white space left aside
  std::int64_t images_judged = 0;   ///< distinct images of rankings and ratings
  std::int64_t images = 0;          ///< rows of images
  std::int64_t ratings = 0;
  std::map<std::int64_t, std::int64_t> images_per_ranking;  ///< number of images -> rankings
  std::map<std::string, std::int64_t> datasets;
  std::map<std::string, std::int64_t> official_splits;  ///< "": the dataset has none
  std::string first_time;                               ///< "" if unknown
  std::string last_time;
  Distribution prompt_words;
  Distribution prompt_characters;
  std::vector<RatingAspect> aspects;

  std::array<std::int64_t, 3> labels = {};  ///< (image, prompt) by largest label: 2 best, 1 tie, 0 other
  std::int64_t conflicts = 0;               ///< (image, prompt) with several labels
  std::int64_t winners = 0;                 ///< (image, prompt) that won at least once
  std::int64_t winners_that_lost = 0;       ///< of these, those that also lost
  std::int64_t strict_pairs = 0;            ///< pairs of a ranking's images, one preferred
  std::int64_t tied_pairs = 0;
  std::map<std::string, std::map<std::string, std::int64_t>> points;  ///< rows of points: split -> label -> rows
  std::map<std::string, std::int64_t> pairs;                          ///< rows of pairs: split -> rows

  PositionBias position_bias;
  Agreement agreement;
  Concentration concentration;

  std::map<std::string, std::int64_t> image_status;  ///< "ok", "not_tried", or why not
  OverallCoverage coverage;
};

/// Reads what tables there are; changes nothing. Set-based: memory is DuckDB's, at most 2 GB, spilling beside the
/// tables.
/// @throws Error kNotFound (no table at all), kCorruptData, kCancelled, kIo.
[[nodiscard]] Statistics measure_workspace(const workspace::Workspace& workspace, const RunContext& context);

/// Krippendorff's alpha for nominal data: one minus observed over expected disagreement. Each unit is how many of its
/// judgements fall into each category; units of fewer than two say nothing.
/// Source: Krippendorff, Content Analysis, 2004, chapter 11. @return nullopt if all judgements are of one category.
/// @param disagreement  sum over units of (n^2 - sum of squares) / (n - 1)
/// @param totals        judgements of those units by category
[[nodiscard]] std::optional<double> krippendorff_alpha(double disagreement, std::span<const double> totals);

/// The chance of a chi-square at least so large. Source: DLMF 8.4, 8.7.1 (series), 8.9.2 (continued fraction).
[[nodiscard]] double chi_square_p(double chi_square, std::int64_t degrees);

}  // namespace imagerank::statistics
