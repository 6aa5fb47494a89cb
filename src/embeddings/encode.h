#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "clip/encoder.h"
#include "core/item_failure.h"
#include "core/progress.h"
#include "workspace/workspace.h"

namespace imagerank::embeddings {

struct EncodeOptions {
  std::size_t batch = 32;  ///< images a tower call, 1..4096
  double checkpoint_interval_s = 15.0;
};

struct EncodeCounts {
  std::size_t images = 0;           ///< images with a vector afterwards
  std::size_t texts = 0;            ///< prompts with a vector afterwards
  std::size_t cached = 0;           ///< images and prompts that had one before
  std::size_t texts_truncated = 0;  ///< of the prompts encoded now, those longer than the context
  std::vector<ItemFailure> failed;
  double seconds = 0.0;
  double images_per_s = 0.0;  ///< of the images encoded now, files to vectors; 0 if there were none
};

/// Every unique image, prompt and perturbed prompt of the workspace once, into embeddings/<encoder.name()>. Decoding
/// overlaps the tower. Vectors are reused as long as the image's content is the same. A stop or crash keeps what the
/// last checkpoint wrote.
/// @throws Error kNotFound (no rankings, no images), kInvalidArgument, kCancelled, kIo.
EncodeCounts encode_workspace(const workspace::Workspace& workspace, const clip::Encoder& encoder,
                              const EncodeOptions& options, const RunContext& context);

}  // namespace imagerank::embeddings
