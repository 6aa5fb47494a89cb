#include "cli/bench_inputs.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>

#include "cli/candidates.h"
#include "cli/scored_items.h"
#include "core/atomic_file.h"
#include "core/fail.h"
#include "scoring/csv_table.h"

namespace imagerank::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

const std::vector<std::string_view> kPromptNames = {"prompt", "Prompt", "Prompts", "text", "caption"};

/// A grouping, and what files call it.
struct GroupingNames {
  const char* name;
  std::array<std::string_view, 2> columns;
};
constexpr std::array kGroupings = {
    GroupingNames{"style", {"style", "Style"}}, GroupingNames{"group", {"group", "Group"}},
    GroupingNames{"category", {"category", "Category"}}, GroupingNames{"challenge", {"challenge", "Challenge"}}};

/// Adds prompts with their groups.
class Builder {
 public:
  explicit Builder(std::vector<std::string> groupings) {
    for (std::string& name : groupings) result_.groupings.push_back({std::move(name), {}, {}});
  }
  /// @param groups  one for each grouping.
  void add(const std::string& prompt, const std::vector<std::string>& groups) {
    result_.prompts.push_back(prompt);
    for (std::size_t i = 0; i < groups.size(); ++i) {
      evaluation::Grouping& grouping = result_.groupings[i];
      const auto found = std::ranges::find(grouping.groups, groups[i]);
      grouping.of_prompt.push_back(static_cast<std::uint32_t>(found - grouping.groups.begin()));
      if (found == grouping.groups.end()) grouping.groups.push_back(groups[i]);
    }
  }
  BenchPrompts take(const fs::path& place) {
    if (result_.prompts.empty()) {
      fail(ErrorCode::kCorruptData, "{}: expected prompts, found none", place.string());
    }
    return std::move(result_);
  }

 private:
  BenchPrompts result_;
};

ordered_json parse_json(const fs::path& path) {
  ordered_json document = ordered_json::parse(load_file(path), nullptr, /*allow_exceptions=*/false);
  if (document.is_discarded()) fail(ErrorCode::kCorruptData, "{}: expected JSON, found something else", path.string());
  return document;
}

/// A list of prompts, all of one style.
void add_list(const ordered_json& list, const std::string& style, const fs::path& path, Builder& builder) {
  for (const ordered_json& prompt : list) {
    if (!prompt.is_string()) {
      fail(ErrorCode::kCorruptData, "{}: expected a list of prompts, found {} in it", path.string(),
           prompt.dump(-1, ' ', true, ordered_json::error_handler_t::replace).substr(0, 60));
    }
    builder.add(prompt.get<std::string>(), {style});
  }
}

BenchPrompts load_styles(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == ".json") files.push_back(entry.path());
  }
  std::ranges::sort(files);
  if (files.empty()) {
    fail(ErrorCode::kNotFound, "{}: expected lists of prompts, a .json file a style, found none", folder.string());
  }
  Builder builder({"style"});
  for (const fs::path& file : files) {
    const ordered_json list = parse_json(file);
    if (!list.is_array()) fail(ErrorCode::kCorruptData, "{}: expected a list of prompts", file.string());
    add_list(list, file.stem().string(), file, builder);
  }
  return builder.take(folder);
}

BenchPrompts load_json(const fs::path& path) {
  const ordered_json document = parse_json(path);
  Builder builder({"style"});
  if (document.is_array()) {
    add_list(document, path.stem().string(), path, builder);
  } else if (document.is_object()) {
    for (const auto& [style, list] : document.items()) {
      if (!list.is_array()) fail(ErrorCode::kCorruptData, "{}: '{}': expected a list of prompts", path.string(), style);
      add_list(list, style, path, builder);
    }
  }
  return builder.take(path);
}

/// Rows of a table: which columns are prompts and groups.
BenchPrompts load_table(const fs::path& path, char separator) {
  const scoring::CsvTable table = scoring::parse_csv(load_file(path), path.string(), separator);
  const auto prompt = table.find(kPromptNames);
  if (!prompt) {
    fail(ErrorCode::kCorruptData, "{}: expected a column {}, found {}", path.string(), fmt::join(kPromptNames, ", "),
         fmt::join(table.columns, ", "));
  }
  std::vector<std::string> names;
  std::vector<std::size_t> columns;
  for (const GroupingNames& grouping : kGroupings) {
    if (const auto column = table.find({grouping.columns[0], grouping.columns[1]})) {
      names.emplace_back(grouping.name);
      columns.push_back(*column);
    }
  }
  Builder builder(names);
  for (const auto& row : table.rows) {
    std::vector<std::string> groups;
    for (const std::size_t column : columns) groups.push_back(row[column]);
    builder.add(row[*prompt], groups);
  }
  return builder.take(path);
}

/// Lines of JSON as the same table.
BenchPrompts load_jsonl(const fs::path& path) {
  std::vector<ordered_json> rows;
  const std::string text = load_file(path);
  for (std::size_t at = 0, line = 1; at < text.size(); ++line) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string part = text.substr(at, end - at);
    at = end + 1;
    if (part.find_first_not_of(" \t\r") == std::string::npos) continue;
    rows.push_back(ordered_json::parse(part, nullptr, /*allow_exceptions=*/false));
    if (!rows.back().is_object()) {
      fail(ErrorCode::kCorruptData, "{}: line {}: expected a JSON object, found {}", path.string(), line,
           part.substr(0, 60));
    }
  }
  const auto text_at = [](const ordered_json& row, auto names) -> std::optional<std::string> {
    for (const std::string_view name : names) {
      const auto found = row.find(std::string(name));
      if (found != row.end() && found->is_string()) return found->template get<std::string>();
    }
    return std::nullopt;
  };
  std::vector<std::string> names;
  std::vector<GroupingNames> used;
  for (const GroupingNames& grouping : kGroupings) {
    if (rows.empty() || !text_at(rows.front(), grouping.columns)) continue;
    names.emplace_back(grouping.name);
    used.push_back(grouping);
  }
  Builder builder(names);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto prompt = text_at(rows[i], kPromptNames);
    std::vector<std::string> groups;
    for (const GroupingNames& grouping : used) groups.push_back(text_at(rows[i], grouping.columns).value_or("other"));
    if (!prompt) {
      fail(ErrorCode::kCorruptData, "{}: row {}: expected a field {}, found none", path.string(), i + 1,
           fmt::join(kPromptNames, ", "));
    }
    builder.add(*prompt, groups);
  }
  return builder.take(path);
}

BenchPrompts load_lines(const fs::path& path) {
  Builder builder({});
  const std::string text = load_file(path);
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    std::string line = text.substr(at, end - at);
    if (line.ends_with('\r')) line.pop_back();
    builder.add(line, {});
    at = end + 1;
  }
  return builder.take(path);
}

/// The number that a file's name begins with.
std::optional<std::size_t> number_of(const fs::path& path) {
  const std::string stem = path.stem().string();
  std::size_t number = 0;
  const auto [end, error] = std::from_chars(stem.data(), stem.data() + stem.size(), number);
  return error == std::errc() && end != stem.data() ? std::optional(number) : std::nullopt;
}

/// Images of one folder for the prompts of `numbers`, by place.
void add_folder(const fs::path& folder, const std::vector<std::size_t>& numbers, std::size_t generator,
                BenchImages& result) {
  for (const fs::path& image : list_images(folder)) {
    const auto number = number_of(image);
    if (!number) {
      ++result.left_out["without a number"];
    } else if (*number >= numbers.size()) {
      ++result.left_out["beyond the last prompt"];
    } else {
      result.images.push_back({generator, numbers[*number], image});
    }
  }
}

void count_missing(const BenchPrompts& prompts, BenchImages& result) {
  result.missing.assign(result.generators.size(), 0);
  std::set<std::pair<std::size_t, std::size_t>> there;
  for (const BenchImage& image : result.images) there.emplace(image.generator, image.prompt);
  for (std::size_t generator = 0; generator < result.generators.size(); ++generator) {
    for (std::size_t prompt = 0; prompt < prompts.prompts.size(); ++prompt) {
      result.missing[generator] += there.contains({generator, prompt}) ? 0 : 1;
    }
    if (result.missing[generator] == prompts.prompts.size()) {
      fail(ErrorCode::kNotFound, "generator {}: expected images for {} prompts, found none",
           result.generators[generator], prompts.prompts.size());
    }
  }
}

}  // namespace

BenchPrompts load_bench_prompts(const fs::path& place) {
  std::error_code ignored;
  if (fs::is_directory(place, ignored)) return load_styles(place);
  const std::string ending = place.extension().string();
  if (ending == ".json") return load_json(place);
  if (ending == ".jsonl") return load_jsonl(place);
  if (ending == ".csv") return load_table(place, ',');
  if (ending == ".tsv") return load_table(place, '\t');
  if (ending == ".txt") return load_lines(place);
  fail(ErrorCode::kInvalidArgument,
       "--prompts: expected a folder of .json lists, or .json, .jsonl, .csv, .tsv or .txt, found '{}'", place.string());
}

GeneratorFolder parse_generator(const std::string& text) {
  const std::size_t equals = text.find('=');
  GeneratorFolder generator{equals == std::string::npos ? "" : text.substr(0, equals),
                            equals == std::string::npos ? text : text.substr(equals + 1)};
  std::error_code ignored;
  if (!fs::is_directory(generator.folder, ignored)) {
    fail(ErrorCode::kNotFound, "--generator {}: expected a folder of images, found none", text);
  }
  if (generator.name.empty()) generator.name = fs::canonical(generator.folder).filename().string();
  return generator;
}

BenchImages find_bench_images(const BenchPrompts& prompts, const std::vector<GeneratorFolder>& folders) {
  BenchImages result;
  std::vector<std::size_t> all(prompts.prompts.size());
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = i;
  for (const GeneratorFolder& generator : folders) {
    const std::size_t index = result.generators.size();
    result.generators.push_back(generator.name);
    bool by_group = false;
    if (!prompts.groupings.empty()) {
      const evaluation::Grouping& grouping = prompts.groupings.front();
      for (std::uint32_t group = 0; group < grouping.groups.size(); ++group) {
        const std::string& name = grouping.groups[group];
        const bool plain = !name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos;
        if (!plain || !fs::is_directory(generator.folder / name)) continue;
        std::vector<std::size_t> numbers;
        for (const std::size_t prompt : all) {
          if (grouping.of_prompt[prompt] == group) numbers.push_back(prompt);
        }
        add_folder(generator.folder / name, numbers, index, result);
        by_group = true;
      }
    }
    if (!by_group) add_folder(generator.folder, all, index, result);
  }
  count_missing(prompts, result);
  return result;
}

BenchImages read_bench_manifest(const BenchPrompts& prompts, const fs::path& manifest) {
  const scoring::CsvTable table = scoring::parse_csv(load_file(manifest), manifest.string());
  const auto generator = table.find({"generator"}), image = table.find({"image"}), prompt = table.find({"prompt"});
  if (!generator || !image || !prompt) {
    fail(ErrorCode::kCorruptData, "{}: expected columns generator, image and prompt, found {}", manifest.string(),
         fmt::join(table.columns, ", "));
  }
  std::unordered_map<std::string, std::size_t> known;
  for (std::size_t i = 0; i < prompts.prompts.size(); ++i) known.emplace(prompts.prompts[i], i);
  BenchImages result;
  for (const auto& row : table.rows) {
    const auto found = known.find(row[*prompt]);
    if (found == known.end()) {
      ++result.left_out["with a prompt that is not the benchmark's"];
      continue;
    }
    const auto at = std::ranges::find(result.generators, row[*generator]);
    const auto index = static_cast<std::size_t>(at - result.generators.begin());
    if (at == result.generators.end()) result.generators.push_back(row[*generator]);
    result.images.push_back({index, found->second, resolve_image(row[*image], manifest.parent_path())});
  }
  if (result.images.empty()) {
    fail(ErrorCode::kCorruptData, "{}: expected rows with the benchmark's prompts, found none", manifest.string());
  }
  count_missing(prompts, result);
  return result;
}

}  // namespace imagerank::cli
