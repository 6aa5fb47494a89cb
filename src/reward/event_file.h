#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

namespace imagerank::reward {

/// A TensorBoard event file, <folder>/events.out.tfevents.imagerank: one scalar summary for each number of an epoch.
/// It starts with the epochs there are already, whole and at once, so that a resumed run leaves neither gaps nor
/// doubles; later ones are appended. Format: TFRecord of tensorflow.Event (tensorflow/core/util/event.proto).
class EventFile {
 public:
  /// @param history  a record's "epochs". @throws Error kIo, kResourceLimit.
  EventFile(const std::filesystem::path& folder, const nlohmann::json& history);
  /// @param epoch  {"epoch", "loss", "lr", "validation": {...}, ...}; what is no number is left out.
  void add_epoch(const nlohmann::json& epoch);

  [[nodiscard]] static std::filesystem::path path_in(const std::filesystem::path& folder);

 private:
  std::filesystem::path path_;
};

}  // namespace imagerank::reward
