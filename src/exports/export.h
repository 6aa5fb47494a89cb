#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

#include "core/progress.h"
#include "workspace/workspace.h"

namespace imagerank::exports {

struct ExportCounts {
  std::int64_t rows = 0;                        ///< lines, samples or vectors written
  std::int64_t files = 0;                       ///< files written
  std::map<std::string, std::int64_t> skipped;  ///< rows of the table left out, by reason
  std::int64_t in_shards = 0;                   ///< rows that name an image inside a tar shard (TarPart in core/tar.h)
};

/// Rows of one split only ("train", "validation", "test"; of rankings the official split); empty: all.
struct ExportSettings {
  std::string table;
  std::string split;
  bool allow_missing = false;       ///< keep rows whose image has no file
  bool overwrite = false;           ///< replace a folder that is there and not empty
  std::int64_t shard_size = 10000;  ///< samples a WebDataset shard, 1..1000000000
};

/// All below: `out` appears whole or not at all. @throws Error kNotFound (the table, naming the command that makes it;
/// or no row that could be exported), kInvalidArgument (a table or option that does not fit), kCorruptData, kIo,
/// kResourceLimit, kCancelled.

/// Any table of the workspace as CSV with a header line. Of points: image_uid, prompt, label, as the seed's scripts
/// read them; lists become JSON texts.
ExportCounts export_csv(const workspace::Workspace& workspace, const ExportSettings& settings,
                        const std::filesystem::path& out, const RunContext& context);

/// Any table of the workspace as Parquet, all columns.
ExportCounts export_parquet(const workspace::Workspace& workspace, const ExportSettings& settings,
                            const std::filesystem::path& out, const RunContext& context);

/// pairs as JSON Lines, the preferred image first: prompt, chosen, rejected (absolute paths), chosen_uid, rejected_uid,
/// p (the chance that chosen is preferred, above 0.5), weight, split, ranking_id. Left out: "tie", "missing_image"
/// (with allow_missing the path is null instead).
ExportCounts export_dpo(const workspace::Workspace& workspace, const ExportSettings& settings,
                        const std::filesystem::path& out, const RunContext& context);

/// points or rankings as a folder of tar shards 00000.tar, 00001.tar, ...: of a point <key>.<ext>, <key>.txt (the
/// prompt), <key>.json (the row); of a ranking its images are <key>.0.<ext>, <key>.1.<ext>, ... Keys count up from
/// 000000000. Left out: "missing_image", "unreadable_image".
/// Format: POSIX ustar; https://github.com/webdataset/webdataset
ExportCounts export_webdataset(const workspace::Workspace& workspace, const ExportSettings& settings,
                               const std::filesystem::path& out, const RunContext& context);

/// The vectors of points or rankings as clip-retrieval lays them out: img_emb/img_emb_0.npy and
/// text_emb/text_emb_0.npy, float16 [N, D], each row of length 1, and metadata/metadata_0.parquet (image_path, caption,
/// image_uid, url, width, height, split), row by row the same (image, prompt), each once. Left out: "no_image_vector",
/// "no_text_vector". @param encoder  a folder below embeddings/.
/// Source of the layout: https://github.com/rom1504/clip-retrieval
ExportCounts export_clip_retrieval(const workspace::Workspace& workspace, const std::string& encoder,
                                   const ExportSettings& settings, const std::filesystem::path& out,
                                   const RunContext& context);

}  // namespace imagerank::exports
