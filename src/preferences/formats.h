#pragma once

#include <filesystem>

#include "preferences/import.h"

namespace imagerank::preferences {

// The readers of the table of formats: each stages one file's rows. @throws Error; the caller adds the file's name
// where a message lacks it.

/// PickaPic-rankings and PickaPic-images, which one a file is, its columns say. Source: the Hugging Face datasets
/// yuvalkirstain/PickaPic-rankings and -images.
void read_pickapic_v0(Incoming& incoming, const std::filesystem::path& file, const ImportOptions& options);
/// pickapic_v1 and pickapic_v2, with or without bytes. Source: the datasets of these names by yuvalkirstain.
void read_pickapic(Incoming& incoming, const std::filesystem::path& file, const ImportOptions& options);
/// HPDv2's train.json (and HPDv1's preference.json, of the same kind) and test.json. Source: ymhao/HPDv2.
void read_hpdv2(Incoming& incoming, const std::filesystem::path& file, const ImportOptions& options);
/// HPDv3's all.json, train.json, test.json. Source: MizzenAI/HPDv3.
void read_hpdv3(Incoming& incoming, const std::filesystem::path& file, const ImportOptions& options);
/// ImageReward's test.json: a list of images and their ranks. Source: the ImageReward repository, data/test.json.
void read_imagereward(Incoming& incoming, const std::filesystem::path& file, const ImportOptions& options);
/// ImageRewardDB's metadata: a row an image, a row a prompt (_group), or a row a pair (_pair).
/// Source: THUDM/ImageRewardDB.
void read_imagerewarddb(Incoming& incoming, const std::filesystem::path& file, const ImportOptions& options);
/// RichHF-18K: TFRecord of scores for images of Pick-a-Pic v1. Source: google-research-datasets/richhf-18k.
void read_richhf(Incoming& incoming, const std::filesystem::path& file, const ImportOptions& options);
/// URLs, one a line, with a prompt after a tab; or a table with a column url.
void read_urls(Incoming& incoming, const std::filesystem::path& file, const ImportOptions& options);
/// Any table, by a column map: rankings, chosen and rejected, ratings or images, as its columns say.
void read_csv(Incoming& incoming, const std::filesystem::path& file, const ImportOptions& options);
void read_jsonl(Incoming& incoming, const std::filesystem::path& file, const ImportOptions& options);
void read_parquet(Incoming& incoming, const std::filesystem::path& file, const ImportOptions& options);

/// Where relative paths in a file start: options.images or the file's own folder, absolute, as an SQL literal that ends
/// in '/'.
[[nodiscard]] std::string image_base(const std::filesystem::path& file, const ImportOptions& options);

}  // namespace imagerank::preferences
