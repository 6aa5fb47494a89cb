#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "blip/cross_encoder.h"
#include "clip/encoder.h"
#include "core/item_failure.h"
#include "core/progress.h"
#include "embeddings/embedding_cache.h"
#include "encoding/image_pipeline.h"
#include "workspace/workspace.h"

namespace imagerank::embeddings {

struct EncodeOptions {
  std::size_t batch = 0;  ///< images a tower call, 1..4096; 0: what suits the encoder
};

/// What is said here of vectors is said of a cross-encoder's scores too.
struct EncodeCounts {
  std::size_t images = 0;           ///< images with a vector afterwards
  std::size_t texts = 0;            ///< prompts with a vector afterwards
  std::size_t pairs = 0;            ///< images and prompts with a score afterwards; 0 of vectors
  std::size_t cached = 0;           ///< images and prompts that had one, or got one from another process meanwhile
  std::size_t copied = 0;           ///< images whose content had one under another uid
  std::size_t encoded = 0;          ///< images that went through the tower
  std::size_t texts_truncated = 0;  ///< of the prompts encoded now, those longer than the context
  std::size_t damaged = 0;          ///< records of killed runs that were torn, and dropped
  std::vector<ItemFailure> failed;
  double seconds = 0.0;
  double images_per_s = 0.0;  ///< of `encoded`, files to vectors; 0 if there were none
};

/// Every image content, prompt and perturbed prompt of the workspace once, into embeddings/<encoder.name()>. Each
/// vector is on disk before the next is taken up: a kill costs those in the tower (a group of images a thread, or 256
/// prompts). A stop merges and throws. Several processes may do this at once: each begins elsewhere and leaves out what
/// another has done.
/// @throws Error kNotFound (no rankings, no images), kInvalidArgument, kCorruptData (a cache that does not fit the
/// encoder), kCancelled, kResourceLimit, kIo.
EncodeCounts encode_workspace(const workspace::Workspace& workspace, const clip::Encoder& encoder,
                              const EncodeOptions& options, const RunContext& context);

/// A cross-encoder's score of every image for each prompt that a ranking or a rating asks about, into
/// embeddings/<encoder.name()>; each content and prompt once, each image looked at once. Otherwise as encode_workspace.
EncodeCounts score_workspace(const workspace::Workspace& workspace, const blip::CrossEncoder& encoder,
                             const RunContext& context);

/// The cache of a cross-encoder's scores: its side, and an image's and a prompt's key in it.
[[nodiscard]] EmbeddingCache open_scores(const std::filesystem::path& folder);
[[nodiscard]] std::string score_key(std::string_view image_uid, std::string_view prompt);

/// Opens a side of the cache, lets `fill` add to it and merges, after a stop too; counts what was damaged.
/// @param dim  numbers a row. @throws Error kCorruptData if the cache has rows of another size.
void fill_cache(EmbeddingCache cache, const std::filesystem::path& place, std::size_t dim, EncodeCounts& counts,
                const std::function<void(EmbeddingCache&)>& fill);

/// The part of encode_workspace that is images: those of `images` that `cache` lacks; adds to `counts`.
void encode_images(const workspace::Workspace& workspace, const std::vector<workspace::Image>& images,
                   const encoding::Tower& tower, EmbeddingCache& cache, const RunContext& context,
                   EncodeCounts& counts);

}  // namespace imagerank::embeddings
