#pragma once

#include <string_view>

namespace imagerank::evaluation {

/// What web/ builds, as it stands in every page (cmake/ImagerankWeb.cmake).
[[nodiscard]] std::string_view page_script() noexcept;
[[nodiscard]] std::string_view page_style() noexcept;

}  // namespace imagerank::evaluation
