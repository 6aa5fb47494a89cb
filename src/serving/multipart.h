#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace imagerank::serving {

/// One part of a form.
struct FormPart {
  std::string name;
  std::string_view content;  ///< of the body that was parsed
};

/// A media type and its boundary, of a Content-Type header.
struct MediaType {
  std::string type;      ///< lower case: "multipart/form-data"
  std::string boundary;  ///< "" if there is none
};
[[nodiscard]] MediaType parse_media_type(std::string_view header);

/// The parts of a multipart/form-data body, whole and closed. Source: RFC 7578, RFC 2046.
/// @throws Error kCorruptData: cut short, no boundary, a part without a name, more than `max_parts`.
[[nodiscard]] std::vector<FormPart> parse_form(std::string_view body, const std::string& boundary,
                                               std::size_t max_parts);

}  // namespace imagerank::serving
