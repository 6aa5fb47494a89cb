#include "cli/candidates.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <system_error>
#include <utility>

#include "cli/scored_items.h"
#include "core/atomic_file.h"
#include "core/fail.h"
#include "scoring/csv_table.h"

namespace imagerank::cli {
namespace {

namespace fs = std::filesystem;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// Past the digits at `at`, leading zeros left out of `number`.
std::string_view take_number(std::string_view text, std::size_t& at) {
  while (at < text.size() && text[at] == '0') ++at;
  const std::size_t begin = at;
  while (at < text.size() && is_digit(text[at])) ++at;
  return text.substr(begin, at - begin);
}

std::vector<fs::path> list_folders(const fs::path& place) {
  std::vector<fs::path> folders;
  for (const auto& entry : fs::directory_iterator(place)) {
    if (entry.is_directory() && !entry.path().filename().string().starts_with('.')) folders.push_back(entry.path());
  }
  std::ranges::sort(folders, natural_less, [](const fs::path& path) { return path.filename().string(); });
  return folders;
}

std::vector<std::string> read_lines(const fs::path& path) {
  std::vector<std::string> lines;
  const std::string text = load_file(path);
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    std::string line = text.substr(at, end - at);
    if (line.ends_with('\r')) line.pop_back();
    lines.push_back(std::move(line));
    at = end + 1;
  }
  return lines;
}

/// A prompt and the folder it is for, where the file says so.
struct NamedPrompt {
  std::string prompt;
  std::optional<std::string> folder;
};

std::vector<NamedPrompt> read_jsonl(const fs::path& path) {
  std::vector<NamedPrompt> prompts;
  const std::vector<std::string> lines = read_lines(path);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (lines[i].empty()) continue;
    const auto object = nlohmann::json::parse(lines[i], nullptr, /*allow_exceptions=*/false);
    const bool good = object.is_object() && object.contains("prompt") && object["prompt"].is_string() &&
                      (!object.contains("folder") || object["folder"].is_string());
    if (!good) {
      fail(ErrorCode::kCorruptData, R"({}: line {}: expected {{"prompt": text, "folder": text}}, found {})",
           path.string(), i + 1, lines[i].substr(0, 60));
    }
    NamedPrompt prompt{object["prompt"], std::nullopt};
    if (object.contains("folder")) prompt.folder = object["folder"];
    prompts.push_back(std::move(prompt));
  }
  return prompts;
}

std::vector<NamedPrompt> read_csv(const fs::path& path) {
  const scoring::CsvTable table = scoring::parse_csv(load_file(path), path.string());
  const auto prompt = table.find({"prompt"}), folder = table.find({"folder"});
  if (!prompt) {
    fail(ErrorCode::kCorruptData, "{}: expected columns prompt and folder, found {}", path.string(),
         fmt::join(table.columns, ", "));
  }
  std::vector<NamedPrompt> prompts;
  for (const auto& row : table.rows) {
    prompts.push_back({row[*prompt], folder ? std::optional(row[*folder]) : std::nullopt});
  }
  return prompts;
}

std::vector<NamedPrompt> read_prompts(const fs::path& path) {
  if (path.extension() == ".jsonl") return read_jsonl(path);
  if (path.extension() == ".csv") return read_csv(path);
  if (path.extension() != ".txt") {
    fail(ErrorCode::kInvalidArgument, "{}: expected prompts as .jsonl, .csv or .txt", path.string());
  }
  std::vector<NamedPrompt> prompts;
  for (std::string& line : read_lines(path)) prompts.push_back({std::move(line), std::nullopt});
  return prompts;
}

std::optional<fs::path> find_prompts(const fs::path& place) {
  for (const char* name : {"prompts.jsonl", "prompts.csv", "prompts.txt"}) {
    if (fs::exists(place / name)) return place / name;
  }
  return std::nullopt;
}

/// The prompts of folders, in their order.
std::vector<std::string> match(const std::vector<NamedPrompt>& prompts, const std::vector<fs::path>& folders,
                               const fs::path& file) {
  std::vector<std::string> matched;
  const bool named =
      !prompts.empty() && std::ranges::all_of(prompts, [](const auto& p) { return p.folder.has_value(); });
  if (!named) {
    if (prompts.size() != folders.size()) {
      fail(ErrorCode::kCorruptData, "{}: expected a prompt for each of {} folders, found {}", file.string(),
           folders.size(), prompts.size());
    }
    for (const NamedPrompt& prompt : prompts) matched.push_back(prompt.prompt);
    return matched;
  }
  std::map<std::string, std::string> by_folder;
  for (const NamedPrompt& prompt : prompts) by_folder[*prompt.folder] = prompt.prompt;
  for (const fs::path& folder : folders) {
    const auto found = by_folder.find(folder.filename().string());
    if (found == by_folder.end()) {
      fail(ErrorCode::kCorruptData, "{}: expected a prompt for folder '{}', found none", file.string(),
           folder.filename().string());
    }
    matched.push_back(found->second);
  }
  return matched;
}

std::vector<CandidateGroup> load_table(const fs::path& path) {
  const scoring::CsvTable table = scoring::parse_csv(load_file(path), path.string());
  const auto image = table.find({"image"}), prompt = table.find({"prompt"});
  if (!image || !prompt) {
    fail(ErrorCode::kCorruptData, "{}: expected columns image and prompt, found {}", path.string(),
         fmt::join(table.columns, ", "));
  }
  std::vector<CandidateGroup> groups;
  std::map<std::string, std::size_t> places;
  for (const auto& row : table.rows) {
    const auto [place, added] = places.emplace(row[*prompt], groups.size());
    if (added) groups.push_back({fmt::format("{:04}", groups.size()), row[*prompt], {}});
    groups[place->second].images.push_back(resolve_image(row[*image], path.parent_path()));
  }
  return groups;
}

}  // namespace

bool natural_less(std::string_view a, std::string_view b) {
  std::size_t i = 0, k = 0;
  while (i < a.size() && k < b.size()) {
    if (is_digit(a[i]) && is_digit(b[k])) {
      const std::string_view left = take_number(a, i), right = take_number(b, k);
      if (left.size() != right.size()) return left.size() < right.size();
      if (left != right) return left < right;
    } else if (a[i] != b[k]) {
      return a[i] < b[k];
    } else {
      ++i;
      ++k;
    }
  }
  const std::size_t left = a.size() - i, right = b.size() - k;
  return left != right ? left < right : a < b;
}

std::vector<fs::path> list_images(const fs::path& folder) {
  constexpr std::array kEndings = {".png", ".jpg", ".jpeg", ".webp", ".gif"};
  std::vector<fs::path> images;
  for (const auto& entry : fs::directory_iterator(folder)) {
    std::string ending = entry.path().extension().string();
    std::ranges::transform(ending, ending.begin(), [](unsigned char c) { return std::tolower(c); });
    if (!entry.is_directory() && std::ranges::find(kEndings, ending) != kEndings.end()) images.push_back(entry.path());
  }
  std::ranges::sort(images, natural_less, [](const fs::path& path) { return path.filename().string(); });
  return images;
}

std::vector<CandidateGroup> load_candidates(const fs::path& place, const fs::path& prompts, std::size_t& empty) {
  empty = 0;
  if (!fs::exists(place))
    fail(ErrorCode::kNotFound, "{}: expected a folder or a CSV file, found nothing", place.string());
  if (!fs::is_directory(place)) return load_table(place);
  const std::vector<fs::path> folders = list_folders(place);
  if (folders.empty()) {
    fail(ErrorCode::kNotFound, "{}: expected a folder of images for each prompt, found no folders", place.string());
  }
  const auto file = prompts.empty() ? find_prompts(place) : std::optional(prompts);
  std::vector<std::string> texts;
  if (file) {
    texts = match(read_prompts(*file), folders, *file);
  } else {
    for (const fs::path& folder : folders) {
      if (!fs::exists(folder / "prompt.txt")) {
        fail(
            ErrorCode::kNotFound,
            "{}: expected prompts.jsonl, prompts.csv or prompts.txt in it, or prompt.txt in each folder, found none in "
            "'{}'",
            place.string(), folder.filename().string());
      }
      const std::vector<std::string> lines = read_lines(folder / "prompt.txt");
      texts.push_back(fmt::format("{}", fmt::join(lines, " ")));
    }
  }
  std::vector<CandidateGroup> groups;
  for (std::size_t i = 0; i < folders.size(); ++i) {
    CandidateGroup group{folders[i].filename().string(), texts[i], list_images(folders[i])};
    if (group.images.empty()) {
      ++empty;
    } else {
      groups.push_back(std::move(group));
    }
  }
  if (groups.empty()) fail(ErrorCode::kNotFound, "{}: expected images in its folders, found none", place.string());
  return groups;
}

}  // namespace imagerank::cli
