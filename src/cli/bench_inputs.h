#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "evaluation/leaderboard.h"

namespace imagerank::cli {

/// A benchmark's prompts, and how it divides them.
struct BenchPrompts {
  std::vector<std::string> prompts;
  std::vector<evaluation::Grouping> groupings;  ///< the first names folders of images, as HPSv2's styles do
};

/// @param place  a folder of HPSv2's lists (anime.json, ...: a style each); such a .json list, or {"style": [prompts]};
/// .jsonl, .csv (DrawBench: Prompts, Category) or .tsv (Parti: Prompt, Category, Challenge) with a column or field
/// prompt, Prompt, Prompts, text or caption and any of style, group, category and challenge; or .txt, a line each.
/// @throws Error kNotFound, kCorruptData: one line that names the file, what was expected and what was found.
[[nodiscard]] BenchPrompts load_bench_prompts(const std::filesystem::path& place);

/// One image to score.
struct BenchImage {
  std::size_t generator = 0;
  std::size_t prompt = 0;
  std::filesystem::path path;
};

struct BenchImages {
  std::vector<std::string> generators;
  std::vector<BenchImage> images;
  std::vector<std::size_t> missing;             ///< [generators]: prompts without an image
  std::map<std::string, std::size_t> left_out;  ///< files that no prompt asks for, by reason
};

/// A generator's folder: what it is called, and where.
struct GeneratorFolder {
  std::string name;
  std::filesystem::path folder;
};
/// "NAME=FOLDER", or a folder that is called by its name. @throws Error kNotFound.
[[nodiscard]] GeneratorFolder parse_generator(const std::string& text);

/// Images by number, as HPSv2's runner has them: the digits that a file's name begins with are the number of the
/// prompt, from 0, in FOLDER/<group>/ among its group's prompts where there are such folders, else in FOLDER among all.
/// Several of one number (00012_0.png, 00012_1.png) are several images for it.
/// @throws Error kNotFound for a generator without any image.
[[nodiscard]] BenchImages find_bench_images(const BenchPrompts& prompts, const std::vector<GeneratorFolder>& folders);
/// A CSV file with columns generator, image, prompt; prompts must be the benchmark's. @throws Error kNotFound,
/// kCorruptData.
[[nodiscard]] BenchImages read_bench_manifest(const BenchPrompts& prompts, const std::filesystem::path& manifest);

}  // namespace imagerank::cli
