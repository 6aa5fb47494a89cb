#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "images/decode.h"

namespace imagerank::images {

/// What the bytes of a file say of themselves.
struct Inspection {
  std::string reason;                          ///< "" an image; else "empty", "not_an_image" or "truncated"
  std::string detail;                          ///< one line for a person, "" for an image
  ImageFormat format = ImageFormat::kUnknown;  ///< by the bytes, whatever the file or the server calls it
  std::int32_t width = 0;                      ///< as the header says, 0 if it does not
  std::int32_t height = 0;

  [[nodiscard]] bool ok() const noexcept { return reason.empty(); }
};

/// Whether bytes are one whole JPEG, PNG, WebP or GIF file, by header and trailer: cheap, nothing is decoded.
/// Thread-safe.
[[nodiscard]] Inspection inspect_image(std::span<const std::byte> bytes);

}  // namespace imagerank::images
