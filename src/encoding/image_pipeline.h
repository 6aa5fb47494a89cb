#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "blip/cross_encoder.h"
#include "clip/encoder.h"
#include "core/item_failure.h"
#include "core/progress.h"
#include "images/preprocess.h"

namespace imagerank::encoding {

/// A vision tower as the pipeline sees it, or a cross-encoder, which gives an image a number for each of its prompts.
struct Tower {
  images::PreprocessOptions preprocessing;
  std::size_t dim = 0;    ///< numbers a vector
  std::size_t group = 1;  ///< images a call
  /// float32 [n, 3, S, S] to [n, dim]; called from several threads at once. What it throws ends the run.
  /// @param images  [n], their places in the list.
  std::function<void(std::span<const std::size_t> images, std::span<const float> pixels, std::span<float> vectors)>
      embed;
  /// Numbers of image `index`, in the place of dim; empty: all have dim.
  std::function<std::size_t(std::size_t index)> dim_of = {};
};

/// An encoder's vision tower; the encoder outlives it. @param group  images a call; 0: what suits the encoder.
[[nodiscard]] Tower vision_tower(const clip::Encoder& encoder, std::size_t group = 0);

/// Scores of each image with its own prompts, one image a call; the encoder outlives it.
/// @param prompts  of image `index`, which outlive the run; called from threads of the pipeline.
[[nodiscard]] Tower cross_tower(const blip::CrossEncoder& encoder,
                                std::function<std::vector<const blip::CrossPrompt*>(std::size_t index)> prompts);

/// One image: a file, or the bytes of one, which outlive the run.
struct ImageSource {
  std::string item;  ///< what an ItemFailure calls it
  std::variant<std::filesystem::path, std::span<const std::byte>> file;
};

/// What became of one image: a vector, a failure, or neither where it was skipped.
struct ImageResult {
  std::size_t index = 0;
  std::span<const float> vector;  ///< [dim], or [dim_of(index)]; valid during the call
  std::string sha256;             ///< of the file's bytes; "" unless asked for and read
  std::optional<ItemFailure> failure;
};

/// The images of a run and what is asked of them. The functions are called from threads of the pipeline.
struct ImageList {
  std::size_t count = 0;
  /// Image `index`, asked for just before it is read; nullopt skips it.
  std::function<std::optional<ImageSource>(std::size_t index)> source;
  bool hash = false;
  /// With `hash`: whether this content needs no vector; empty: none is known.
  std::function<bool(std::size_t index, const std::string& sha256)> known;
  /// Results in the order of the list. Otherwise group by group as they are done, and no more groups than workers are
  /// begun and not delivered: that is what a killed run loses.
  bool in_order = true;
};

/// Reads, decodes, preprocesses and encodes images, all at the same time: two threads read files, each of
/// context.thread_count() workers takes a group (tower.group neighbours of the list, fewer if it is too short for one
/// each), prepares it and calls the tower, and `sink` gets each result on the calling thread. Holds at most four groups
/// a worker, and files of 256 MiB and two groups more, however long the list is.
/// A file that cannot be read or decoded is a failed result. Once a stop is requested no group is begun; those in the
/// tower are delivered before kCancelled is thrown.
/// @throws Error kCancelled; what `source`, `known`, the tower or `sink` throws.
void encode_images(const Tower& tower, const ImageList& images, const RunContext& context,
                   const std::function<void(ImageResult&&)>& sink);

}  // namespace imagerank::encoding
