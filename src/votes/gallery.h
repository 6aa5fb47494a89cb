#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <unordered_map>
#include <vector>

namespace imagerank::votes {

/// The images that people choose from, by prompt.
struct Gallery {
  struct Image {
    std::string uid;
    std::filesystem::path file;
  };
  struct Prompt {
    std::string text;                   ///< UTF-8
    std::vector<std::uint32_t> images;  ///< indices of `images`, two at least, each once
  };
  std::vector<Image> images;
  std::vector<Prompt> prompts;  ///< of different texts

  /// Indices by uid, and by text. Made once by index(), after the lists are whole.
  std::unordered_map<std::string, std::uint32_t> image_of;
  std::unordered_map<std::string, std::uint32_t> prompt_of;
  void index() {
    for (std::uint32_t i = 0; i < images.size(); ++i) image_of.emplace(images[i].uid, i);
    for (std::uint32_t i = 0; i < prompts.size(); ++i) prompt_of.emplace(prompts[i].text, i);
  }
};

/// What a reward says of an image for a prompt.
struct ImageScore {
  double score = 0.0;      ///< NaN where the image could not be scored
  double deviation = 0.0;  ///< of an ensemble's heads; 0 of a single head
};
/// [prompt][place in the prompt's images]; an empty row is not scored yet.
using ScoreTable = std::vector<std::vector<ImageScore>>;

}  // namespace imagerank::votes
