#include "serving/multipart.h"

#include <algorithm>
#include <cctype>
#include <optional>

#include "core/fail.h"

namespace imagerank::serving {
namespace {

std::string lower(std::string_view text) {
  std::string result(text);
  std::ranges::transform(result, result.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return result;
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

/// The value of a header's parameter, `name=value` or `name="value"`; a quoted one may hold what separates others.
std::optional<std::string> find_parameter(std::string_view header, std::string_view name) {
  std::size_t at = header.find(';');
  while (at != std::string_view::npos) {
    std::string_view rest = trim(header.substr(at + 1));
    const std::size_t equals = rest.find_first_of("=;");
    if (equals == std::string_view::npos || rest[equals] == ';') {
      at = header.find(';', at + 1);
      continue;
    }
    const bool wanted = lower(trim(rest.substr(0, equals))) == name;
    rest = trim(rest.substr(equals + 1));
    std::string value;
    std::size_t end = 0;
    if (rest.starts_with('"')) {
      for (end = 1; end < rest.size() && rest[end] != '"'; ++end) {
        if (rest[end] == '\\' && end + 1 < rest.size()) ++end;
        value += rest[end];
      }
      if (end >= rest.size()) return std::nullopt;
    } else {
      end = std::min(rest.find(';'), rest.size());
      value = trim(rest.substr(0, end));
    }
    if (wanted) return value;
    at = header.find(';', static_cast<std::size_t>(rest.data() - header.data()) + end);
  }
  return std::nullopt;
}

/// The name in a part's Content-Disposition. @param headers  lines that end in CRLF.
std::optional<std::string> name_of_part(std::string_view headers) {
  while (!headers.empty()) {
    const std::size_t end = std::min(headers.find("\r\n"), headers.size());
    const std::string_view line = headers.substr(0, end);
    headers.remove_prefix(std::min(end + 2, headers.size()));
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos || lower(trim(line.substr(0, colon))) != "content-disposition") continue;
    return find_parameter(line.substr(colon + 1), "name");
  }
  return std::nullopt;
}

}  // namespace

MediaType parse_media_type(std::string_view header) {
  return {lower(trim(header.substr(0, header.find(';')))), find_parameter(header, "boundary").value_or("")};
}

std::vector<FormPart> parse_form(std::string_view body, const std::string& boundary, std::size_t max_parts) {
  constexpr std::size_t kLongestBoundary = 70;
  if (boundary.empty() || boundary.size() > kLongestBoundary) {
    fail(ErrorCode::kCorruptData, "form: expected a boundary of 1 to {} characters in Content-Type, found {}",
         kLongestBoundary, boundary.size());
  }
  const std::string opening = "--" + boundary;
  const std::string closing = "\r\n" + opening;
  if (!body.starts_with(opening)) fail(ErrorCode::kCorruptData, "form: expected the boundary first, found other bytes");
  std::vector<FormPart> parts;
  std::string_view rest = body.substr(opening.size());
  for (;;) {
    if (rest.starts_with("--")) return parts;
    if (!rest.starts_with("\r\n")) {
      fail(ErrorCode::kCorruptData, "form: expected a line's end or -- after the boundary, part {}", parts.size());
    }
    if (parts.size() == max_parts) fail(ErrorCode::kResourceLimit, "form: expected at most {} parts", max_parts);
    const std::size_t blank = rest.find("\r\n\r\n");
    const std::size_t end = blank == std::string_view::npos ? blank : rest.find(closing, blank + 2);
    if (end == std::string_view::npos) {
      fail(ErrorCode::kCorruptData, "form: part {}: expected the closing boundary, found the body's end", parts.size());
    }
    std::optional<std::string> name = name_of_part(rest.substr(2, blank - 2));
    if (!name) fail(ErrorCode::kCorruptData, "form: part {}: expected Content-Disposition with a name", parts.size());
    const std::size_t begin = std::min(blank + 4, end);
    parts.push_back({std::move(*name), rest.substr(begin, end - begin)});
    rest.remove_prefix(end + closing.size());
  }
}

}  // namespace imagerank::serving
