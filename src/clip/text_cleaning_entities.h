#pragma once

#include <cstdint>
#include <span>

namespace imagerank::clip {

/// A named character reference, without "&" and ";".
struct HtmlEntity {
  const char* name;
  std::int32_t code_point;
};

/// HTML 4.01's 252 and "apos", sorted by name.
[[nodiscard]] std::span<const HtmlEntity> html_entities() noexcept;

}  // namespace imagerank::clip
