#pragma once

#include <filesystem>

#include "preferences/import.h"

namespace imagerank::preferences {

// The readers of the table of formats: each stages one file's rows. @throws Error; the caller adds the file's name
// where a message lacks it.

/// PickaPic-rankings and PickaPic-images, which one a file is, its columns say. Source: the Hugging Face datasets
/// yuvalkirstain/PickaPic-rankings and -images.
void read_pickapic_v0(Incoming& incoming, const std::filesystem::path& file, const ImportOptions& options);

}  // namespace imagerank::preferences
