#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/progress.h"
#include "simulation/quality.h"
#include "simulation/scene.h"
#include "workspace/workspace.h"

namespace imagerank::simulation {

/// Everything that decides a picture's bytes.
struct Picture {
  std::string uid;
  std::string model;   ///< the made-up generator
  std::string prompt;  ///< what it was made from
  Scene scene;
  Quality quality;
  std::int32_t size = 128;  ///< width and height in pixels
  bool png = false;         ///< otherwise JPEG
  std::uint64_t seed = 0;   ///< of textures and noise
};

/// What a random stream is for: streams of different purposes never meet.
enum class Purpose : std::uint64_t { kUid = 1, kTexture, kCaption, kUsers, kSession };
/// The `index`-th stream of a purpose.
[[nodiscard]] Random stream(std::uint64_t seed, Purpose purpose, std::uint64_t index) noexcept;
/// 8-4-4-4-12 hex digits in the form of a random UUID.
[[nodiscard]] std::string make_uid(std::uint64_t seed, std::uint64_t index);

/// The picture as a whole PNG or JPEG file. Same picture, same bytes. Thread-safe.
[[nodiscard]] std::string render(const Picture& picture);

/// Renders on context.thread_count() threads and stores under the workspace's images folder. A file that already
/// holds the same bytes is left alone, so a cut-off run can be repeated.
/// @return rows for the images table, in the order of `pictures`, status "ok".
/// @throws Error kCancelled when asked to stop, kIo, kResourceLimit.
[[nodiscard]] std::vector<workspace::Image> store_pictures(const workspace::Workspace& workspace,
                                                           const std::vector<Picture>& pictures,
                                                           const RunContext& context);

}  // namespace imagerank::simulation
