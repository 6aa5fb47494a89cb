#include "images/inspect.h"

#include <fmt/format.h>

#include "images/header.h"

namespace imagerank::images {

Inspection inspect_image(std::span<const std::byte> bytes) {
  Inspection found;
  if (bytes.empty()) {
    found.reason = "empty";
    found.detail = "expected an image, found 0 bytes";
    return found;
  }
  found.format = sniff_format(bytes);
  if (found.format == ImageFormat::kUnknown) {
    found.reason = "not_an_image";
    found.detail = fmt::format("expected JPEG, PNG, WebP or GIF, found {} bytes of something else", bytes.size());
    return found;
  }
  if (!reaches_its_end(bytes, found.format)) {
    found.reason = "truncated";
    found.detail = fmt::format("expected a whole {} file, found its first {} bytes",
                               file_extension(found.format).substr(1), bytes.size());
    return found;
  }
  if (const auto size = read_dimensions(bytes, found.format)) {
    found.width = size->width;
    found.height = size->height;
  }
  return found;
}

}  // namespace imagerank::images
