#include "hub/repository.h"

#include <fnmatch.h>

#include <algorithm>

#include "core/fail.h"

namespace imagerank::hub {
namespace {

bool is_word(char c) noexcept {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '-' || c == '.';
}

bool is_id_part(std::string_view part) noexcept {
  return !part.empty() && part.size() <= 96 && part.front() != '.' && part.front() != '-' &&
         std::ranges::all_of(part, is_word) && part.find("..") == std::string_view::npos &&
         part.find("--") == std::string_view::npos;
}

}  // namespace

void Repository::validate() const {
  const std::size_t slash = id.find('/');
  const bool good = slash == std::string::npos ? is_id_part(id)
                                               : is_id_part(std::string_view(id).substr(0, slash)) &&
                                                     is_id_part(std::string_view(id).substr(slash + 1));
  if (!good) fail(ErrorCode::kInvalidArgument, "'{}': expected a hub id such as ORG/NAME", id);
  if (!is_safe_file_name(revision))
    fail(ErrorCode::kInvalidArgument, "'{}': expected a branch, a tag or a commit as the revision", revision);
}

std::string Repository::title() const {
  return fmt::format("{} {}", kind == RepositoryKind::kDataset ? "dataset" : "model", id);
}

std::string Repository::folder_name() const {
  std::string name = kind == RepositoryKind::kDataset ? "datasets--" : "models--";
  for (const char c : id) name += c == '/' ? std::string("--") : std::string(1, c);
  return name;
}

std::string Repository::page() const { return kind == RepositoryKind::kDataset ? fmt::format("datasets/{}", id) : id; }

std::string Repository::api_path() const {
  return fmt::format("{}/{}", kind == RepositoryKind::kDataset ? "datasets" : "models", id);
}

bool is_safe_file_name(std::string_view name) noexcept {
  if (name.empty() || name.size() > 4000) return false;
  if (std::ranges::any_of(name,
                          [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == '\\' || c == '\x7f'; }))
    return false;
  for (std::size_t start = 0; start <= name.size();) {
    const std::size_t end = std::min(name.find('/', start), name.size());
    const std::string_view part = name.substr(start, end - start);
    if (part.empty() || part == "." || part == ".." || part.size() > 255) return false;
    start = end + 1;
  }
  return true;
}

bool is_commit(std::string_view text) noexcept {
  return text.size() == 40 &&
         std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool is_wanted(const std::string& path, const std::vector<std::string>& patterns) {
  if (patterns.empty()) return true;
  return std::ranges::any_of(patterns, [&](const std::string& pattern) {
    const std::string whole = pattern.ends_with('/') ? fmt::format("{}*", pattern) : pattern;
    return ::fnmatch(whole.c_str(), path.c_str(), FNM_NOESCAPE) == 0;
  });
}

std::string url_encoded(std::string_view text, bool keep_slashes) {
  std::string encoded;
  for (const char c : text) {
    if (is_word(c) || c == '~' || (c == '/' && keep_slashes)) {
      encoded += c;
    } else {
      encoded += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return encoded;
}

}  // namespace imagerank::hub
