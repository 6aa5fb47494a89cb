#include "hub_cache/repository.h"

#include <algorithm>

#include "core/fail.h"

namespace imagerank::hub_cache {
namespace {

/// Between a folder name's parts.
constexpr std::string_view kDivider = "--";

std::string_view prefix_of(RepositoryKind kind) { return kind == RepositoryKind::kDataset ? "datasets--" : "models--"; }

bool is_word(char c) noexcept {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '-' || c == '.';
}

bool is_id_part(std::string_view part) noexcept {
  return !part.empty() && part.size() <= 96 && part.front() != '.' && part.front() != '-' &&
         std::ranges::all_of(part, is_word) && part.find("..") == std::string_view::npos &&
         part.find("--") == std::string_view::npos;
}

}  // namespace

bool is_repository_id(std::string_view text) noexcept {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return is_id_part(text);
  return is_id_part(text.substr(0, slash)) && is_id_part(text.substr(slash + 1));
}

void Repository::validate() const {
  if (!is_repository_id(id)) fail(ErrorCode::kInvalidArgument, "'{}': expected a hub id such as ORG/NAME", id);
  if (!is_safe_file_name(revision))
    fail(ErrorCode::kInvalidArgument, "'{}': expected a branch, a tag or a commit as the revision", revision);
}

std::string Repository::title() const {
  return fmt::format("{} {}", kind == RepositoryKind::kDataset ? "dataset" : "model", id);
}

std::string Repository::folder_name() const {
  std::string name(prefix_of(kind));
  for (const char c : id) name += c == '/' ? std::string("--") : std::string(1, c);
  return name;
}

std::string Repository::page() const { return kind == RepositoryKind::kDataset ? fmt::format("datasets/{}", id) : id; }

std::string Repository::api_path() const {
  return fmt::format("{}/{}", kind == RepositoryKind::kDataset ? "datasets" : "models", id);
}

std::optional<Repository> parse_folder_name(std::string_view name) {
  for (const RepositoryKind kind : {RepositoryKind::kModel, RepositoryKind::kDataset}) {
    const std::string_view prefix = prefix_of(kind);
    if (!name.starts_with(prefix)) continue;
    const std::string_view rest = name.substr(prefix.size());
    const std::size_t divider = std::min(rest.find(kDivider), rest.size());
    Repository repository{kind, std::string(rest.substr(0, divider))};
    if (divider < rest.size()) repository.id += fmt::format("/{}", rest.substr(divider + kDivider.size()));
    return is_repository_id(repository.id) ? std::optional(std::move(repository)) : std::nullopt;
  }
  return std::nullopt;
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

}  // namespace imagerank::hub_cache
