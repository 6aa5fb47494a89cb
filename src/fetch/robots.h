#pragma once

#include <string>
#include <string_view>

namespace imagerank::fetch {

/// One line of an answer's headers.
struct Header {
  std::string name;        ///< lower case; "" for the empty line at the end and for what is no header
  std::string_view value;  ///< without white space around it
};

/// @param line  with or without its line end.
[[nodiscard]] Header parse_header(std::string_view line);

/// Whether a value of X-Robots-Tag forbids use for AI: "noai" or "noimageai", for everyone or for "imagerank".
/// "otherbot: noai" speaks to another. Source: DeviantArt's proposal of 2022, as img2dataset reads it.
[[nodiscard]] bool forbids_ai(std::string_view x_robots_tag);

}  // namespace imagerank::fetch
