#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

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

/// What a reward says of an image for a prompt.
struct ScoredPrompt {
  std::string image_uid;
  std::string prompt;
  double score = 0.0;
};

/// Which pairs DPO is given, and which image of each it prefers.
struct DpoSettings {
  double margin = 0.0;  ///< least difference: of the scores, or of the chances that either is preferred (0..1)
  /// A reward's, if it chooses in place of people: the image with the higher score.
  std::optional<std::span<const ScoredPrompt>> scores = std::nullopt;
};

/// What fine-tuning by weights is given.
struct WeightSettings {
  std::string reward;                              ///< its name, for the card
  double beta = 1.0;                               ///< of exp(beta reward) / Z
  std::optional<double> threshold = std::nullopt;  ///< of the sparse weight; without one the 90th percentile
  std::filesystem::path pretrain = {};  ///< CSV with columns image and prompt: what keeps the model as it was; or ""
  double pretrain_weight = 0.5;         ///< of each of those
  bool copy = false;                    ///< copies of the image files instead of links
  std::string report = {};              ///< a report.json as text, for the card; or ""
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

/// pairs, the preferred image first. As JSON Lines: prompt, chosen, rejected (absolute paths), chosen_uid,
/// rejected_uid, p (the chance that chosen is preferred), weight, split, ranking_id; with scores also chosen_score,
/// rejected_score. Where `out` ends in .parquet the columns of Pick-a-Pic, which diffusion-DPO reads, with the image
/// files' bytes: jpg_0 (chosen), jpg_1, label_0 (1), label_1 (0), caption, are_different, has_label, ranking_id, and
/// the columns above. Left out: "tie", "no_score", "below_margin", "missing_image" (with allow_missing the path is null
/// instead, JSON Lines only).
ExportCounts export_dpo(const workspace::Workspace& workspace, const ExportSettings& settings, const DpoSettings& dpo,
                        const std::filesystem::path& out, const RunContext& context);

/// points as a folder that fine-tuning with weights reads: images/ (links or copies), metadata.jsonl as ImageFolder of
/// diffusers and datasets reads it (file_name, text, and the columns below), the same rows as weights.parquet,
/// meta_cap.json as kohya's scripts read it, and README.md, a card. Columns: image_uid, source ("model", "pretrain"),
/// reward, weight_exp = exp(beta reward) / Z of mean 1, weight_sparse (reward >= threshold), weight_mix (the reward, or
/// the pre-training weight). Left out: "no_score", "missing_image", "missing_pretrain_image".
/// Source of the weights: Lee et al. 2023 (arXiv 2302.12192); Black et al. 2023 (arXiv 2305.13301).
ExportCounts export_weights(const workspace::Workspace& workspace, const ExportSettings& settings,
                            const WeightSettings& weights, std::span<const ScoredPrompt> scores,
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
