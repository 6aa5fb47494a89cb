#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace imagerank::cli {

/// Candidate images for one prompt.
struct CandidateGroup {
  std::string key;  ///< its folder's name; of a table its number: "0007"
  std::string prompt;
  std::vector<std::filesystem::path> images;  ///< in the order of their names; of a table in its order
};

/// "a2" before "a10": runs of digits compare as numbers.
[[nodiscard]] bool natural_less(std::string_view a, std::string_view b);
/// The image files of a folder, by their names' endings, in natural order.
[[nodiscard]] std::vector<std::filesystem::path> list_images(const std::filesystem::path& folder);

/// @param place  a CSV file with columns image and prompt, grouped by prompt; or a folder with one folder of images a
///   prompt. @param prompts  the file of their prompts: .jsonl ({"prompt", "folder"}), .csv (the same columns) or .txt
///   (a line a folder, in natural order); "": prompts.jsonl, .csv or .txt in `place`, or prompt.txt in each folder.
/// @param empty  set to how many prompts have no image; they are left out.
/// @throws Error kNotFound, kCorruptData: one line that names the file, what was expected and what was found.
[[nodiscard]] std::vector<CandidateGroup> load_candidates(const std::filesystem::path& place,
                                                          const std::filesystem::path& prompts, std::size_t& empty);

}  // namespace imagerank::cli
