#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "clip/models.h"
#include "core/progress.h"
#include "onnx/graph.h"
#include "reward/reward.h"

namespace imagerank::onnx {

/// What becomes graphs, and what they say of themselves.
struct Source {
  clip::ModelInfo model;
  std::string encoder;                   ///< clip::encoder_name() of it
  std::optional<reward::Reward> reward;  ///< on that encoder
  std::string reward_name;               ///< as it is known, with `reward`
  std::string text_prefix = {};          ///< stands before every text, as a published scorer has it
  clip::TextCleaning text_cleaning = clip::TextCleaning::kHuggingFace;
};

/// A folder of one graph a part: vision.onnx (pixels -> image_embedding), text.onnx (tokens -> text_embedding) and,
/// with a reward, head.onnx (image_embedding, text_embedding -> score). A reward that reads no text has none in its
/// graphs. @param folder  is there. @return the files.
/// @throws Error kCorruptData, kUnavailable (a mixture, a head without a graph), kIo, kResourceLimit, kCancelled.
[[nodiscard]] std::vector<std::filesystem::path> write_parts(const Source& source, const std::filesystem::path& folder,
                                                             const RunContext& context,
                                                             const WriteOptions& options = {});

/// All of it as one graph: pixels [images, 3, S, S] and tokens [texts, T] -> image_embedding [images, E],
/// text_embedding [texts, E] and, with a reward, score [images], where texts is 1 or images. Without tokens for a
/// reward that reads no text.
[[nodiscard]] std::vector<std::filesystem::path> write_whole(const Source& source, const std::filesystem::path& path,
                                                             const RunContext& context,
                                                             const WriteOptions& options = {});

}  // namespace imagerank::onnx
