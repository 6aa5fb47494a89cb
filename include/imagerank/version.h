#pragma once

namespace imagerank {

/// "0.1.0"
[[nodiscard]] const char* version() noexcept;

}  // namespace imagerank
