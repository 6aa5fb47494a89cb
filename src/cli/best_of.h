#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "cli/candidates.h"
#include "cli/terminal.h"
#include "imagerank/scorer.h"

namespace imagerank::cli {

/// `rank --best-of`: the best of n candidates for each of many prompts.
struct BestOfOptions {
  std::filesystem::path place;                ///< as load_candidates takes it
  std::filesystem::path prompts;              ///< likewise
  std::size_t keep = 1;                       ///< images a prompt
  std::vector<std::filesystem::path> sheets;  ///< contact sheets: .png or .html
  std::filesystem::path copy_to;              ///< a folder for the chosen files, with a metadata.jsonl; or
  std::filesystem::path link_to;              ///< the same with links
  bool strict = false;
};

/// A prompt's candidates with what was said of them.
struct JudgedGroup {
  CandidateGroup group;
  std::vector<ScoredImage> items;  ///< parallel to group.images
  std::vector<std::size_t> order;  ///< best first; those without a score last

  /// How many of the best are shown and copied: at most `keep`, only with a score.
  [[nodiscard]] std::size_t chosen(std::size_t keep) const;
};

/// Writes a sheet of each prompt's chosen images: PNG or, if the name ends in .html, one self-contained page.
/// @return prompts that the sheet had no room for. @throws Error kInvalidArgument for another ending, kIo.
std::size_t write_contact_sheet(const std::filesystem::path& path, const std::vector<JudgedGroup>& groups,
                                std::size_t keep);

/// Returns the exit code: 1 if nothing was scored, or something was not and `strict`. @throws Error.
int run_best_of(const BestOfOptions& options, const Scorer& scorer, Terminal& terminal);

}  // namespace imagerank::cli
