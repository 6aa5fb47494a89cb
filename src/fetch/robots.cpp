#include "fetch/robots.h"

#include <algorithm>

namespace imagerank::fetch {
namespace {

constexpr std::string_view kAgent = "imagerank";

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

std::string lower(std::string_view text) {
  std::string result(text);
  std::ranges::transform(result, result.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return result;
}

}  // namespace

Header parse_header(std::string_view line) {
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return {};
  return {lower(trimmed(line.substr(0, colon))), trimmed(line.substr(colon + 1))};
}

bool forbids_ai(std::string_view x_robots_tag) {
  const std::string text = lower(x_robots_tag);
  std::string_view rest = text;
  bool speaks_to_us = true;
  while (!rest.empty()) {
    const std::size_t comma = std::min(rest.find(','), rest.size());
    std::string_view directive = rest.substr(0, comma);
    rest.remove_prefix(std::min(comma + 1, rest.size()));
    // "agent: directive, directive" speaks to that agent up to the next one; "unavailable_after: date" is no agent.
    if (const std::size_t colon = directive.find(':'); colon != std::string_view::npos) {
      const std::string_view name = trimmed(directive.substr(0, colon));
      if (name != "unavailable_after") speaks_to_us = name == kAgent;
      directive = directive.substr(colon + 1);
    }
    const std::string_view word = trimmed(directive);
    if (speaks_to_us && (word == "noai" || word == "noimageai")) return true;
  }
  return false;
}

}  // namespace imagerank::fetch
