#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "core/progress.h"
#include "workspace/workspace.h"

namespace imagerank::preferences {

struct ImportCounts {
  std::int64_t rankings = 0;  ///< in the workspace afterwards
  std::int64_t images = 0;    ///< in the workspace afterwards
  std::int64_t ties = 0;      ///< rankings without a best image, in the workspace afterwards
  std::int64_t added_rankings = 0;
  std::int64_t added_images = 0;
  std::map<std::string, std::int64_t> skipped;  ///< rows of the files left out, by reason
  std::vector<std::string> ignored_columns;     ///< columns of the files that are not kept
};

/// Imports PickaPic-rankings and PickaPic-images (version 0) Parquet files: which one a file is, its columns say.
/// Source: the Hugging Face datasets yuvalkirstain/PickaPic-rankings and -images.
/// Rankings: four image uids and best_image_uid, 'none' for a tie. Images: image_uid with url, path or both;
/// `generator` or `model_id` is kept as model. Images named only by rankings get a row without a URL. Rows are keyed by
/// dataset and ranking id, or by uid; what is there already stays, so that a second import changes nothing. Both tables
/// appear together, or neither.
/// @throws Error kNotFound, kCorruptData (naming the file, the column expected and those found), kInvalidArgument.
ImportCounts import_pickapic_v0(const workspace::Workspace& workspace, const std::vector<std::filesystem::path>& files,
                                const RunContext& context);

}  // namespace imagerank::preferences
