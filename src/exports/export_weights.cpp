#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <system_error>
#include <unordered_map>
#include <vector>

#include "core/atomic_file.h"
#include "core/fail.h"
#include "core/tar.h"
#include "exports/export.h"
#include "exports/model_card.h"
#include "exports/rows.h"

namespace imagerank::exports {
namespace {

namespace fs = std::filesystem;

struct WeightedRow {
  std::string image_uid;  ///< "" for pre-training
  std::string prompt;
  std::string path;       ///< absolute
  std::string file_name;  ///< in the folder
  bool pretrain = false;
  double reward = 0.0;  ///< NaN for pre-training
  double weight_exp = 0.0, weight_sparse = 0.0, weight_mix = 0.0;
};

std::vector<WeightedRow> load_rows(Rows& rows, std::span<const ScoredPrompt> scores, bool allow_missing,
                                   const RunContext& context, ExportCounts& counts) {
  rows.find_images();
  workspace::Database& database = rows.database();
  add_scores(database, scores);
  database.execute(fmt::format(
      "CREATE TABLE joined AS SELECT number, image_uid, prompt, path, score, CASE WHEN score IS NULL THEN 'no_score' "
      "WHEN {}path IS NULL THEN 'missing_image' ELSE '' END AS reason FROM (SELECT row_number() OVER () AS number, "
      "image_uid, prompt FROM source) LEFT JOIN scored USING (image_uid, prompt) LEFT JOIN present USING (image_uid)",
      allow_missing ? "false AND " : ""));
  for (const char* reason : {"no_score", "missing_image"}) {
    const auto count = database.query_integer(fmt::format("SELECT count(*) FROM joined WHERE reason = '{}'", reason));
    if (count != 0) counts.skipped[reason] = count;
  }
  std::vector<WeightedRow> result;
  database.for_each_chunk("SELECT image_uid, prompt, path, score FROM joined WHERE reason = '' ORDER BY number",
                          [&](const workspace::Table& chunk) {
                            context.check_stop();
                            for (std::size_t i = 0; i < chunk.row_count; ++i) {
                              WeightedRow row;
                              row.image_uid = chunk.columns[0].text[i];
                              row.prompt = chunk.columns[1].text[i];
                              row.path = chunk.columns[2].text[i];
                              row.reward = chunk.columns[3].real[i];
                              result.push_back(std::move(row));
                            }
                          });
  return result;
}

/// @return the threshold that was used.
double set_weights(std::vector<WeightedRow>& rows, const WeightSettings& settings) {
  std::vector<double> sorted;
  for (const WeightedRow& row : rows) sorted.push_back(row.reward);
  std::ranges::sort(sorted);
  const auto at = static_cast<std::size_t>(0.9 * static_cast<double>(sorted.size() - 1));
  const double threshold = settings.threshold.value_or(sorted[at]);
  // The largest exponent taken off first, so that nothing overflows; Z takes it back.
  const double largest = settings.beta * (settings.beta > 0.0 ? sorted.back() : sorted.front());
  double sum = 0.0;
  for (const WeightedRow& row : rows) sum += std::exp(settings.beta * row.reward - largest);
  const double mean = sum / static_cast<double>(rows.size());
  for (WeightedRow& row : rows) {
    row.weight_exp = std::exp(settings.beta * row.reward - largest) / mean;
    row.weight_sparse = row.reward >= threshold ? 1.0 : 0.0;
    row.weight_mix = row.reward;
  }
  return threshold;
}

void add_pretraining(const WeightSettings& settings, std::vector<WeightedRow>& rows, ExportCounts& counts) {
  if (settings.pretrain.empty()) return;
  if (!has_file(settings.pretrain)) {
    fail(ErrorCode::kNotFound, "--pretrain {}: expected a CSV file, found none", settings.pretrain.string());
  }
  workspace::Database database(1);
  const std::string from = fmt::format("read_csv({}, header = true, all_varchar = true)",
                                       workspace::sql_literal(settings.pretrain.string()));
  std::vector<std::string> columns;
  for (const auto& [name, type] : database.describe(from)) columns.push_back(name);
  for (const char* name : {"image", "prompt"}) {
    if (std::ranges::find(columns, name) != columns.end()) continue;
    fail(ErrorCode::kCorruptData, "{}: expected columns image and prompt, found {}", settings.pretrain.string(),
         fmt::join(columns, ", "));
  }
  const workspace::Table table = database.query("SELECT image, prompt FROM " + from);
  for (std::size_t i = 0; i < table.row_count; ++i) {
    WeightedRow row;
    const fs::path image = settings.pretrain.parent_path() / table.columns[0].text[i];
    row.path = fs::absolute(image).lexically_normal().string();
    row.prompt = table.columns[1].text[i];
    row.pretrain = true;
    row.reward = std::nan("");
    row.weight_exp = row.weight_mix = settings.pretrain_weight;
    row.weight_sparse = settings.pretrain_weight;
    if (has_file(row.path)) {
      rows.push_back(std::move(row));
    } else {
      ++counts.skipped["missing_pretrain_image"];
    }
  }
}

/// The image files, each once: links, or copies where asked for and of members of tar archives.
void place_images(const fs::path& folder, bool copy, const RunContext& context, std::vector<WeightedRow>& rows) {
  std::error_code error;
  fs::create_directories(folder / "images", error);
  std::unordered_map<std::string, std::string> placed;
  for (WeightedRow& row : rows) {
    if (row.path.empty()) continue;
    const auto [at, added] = placed.try_emplace(row.path);
    if (added) {
      context.check_stop();
      at->second = fmt::format("images/{:08}{}", placed.size() - 1, fs::path(row.path).extension().string());
      const bool in_archive = parse_tar_part(row.path).has_value();
      if (copy || in_archive) {
        write_file_atomically(folder / at->second, load_file(row.path), /*durable=*/false);
      } else {
        fs::create_symlink(row.path, folder / at->second, error);
        if (error) fail(ErrorCode::kIo, "{}: cannot link: {}", (folder / at->second).string(), error.message());
      }
      context.report({"export", placed.size(), rows.size(), "images"});
    }
    row.file_name = at->second;
  }
}

void append_number(std::string& line, const char* name, double value) {
  line += fmt::format(",\"{}\":", name);
  line += std::isfinite(value) ? fmt::format("{}", value) : "null";
}

void append_field(std::string& line, const char* name, const std::string& value) {
  line += fmt::format(",\"{}\":", name);
  append_json_text(line, value);
}

void write_metadata(const fs::path& folder, const std::vector<WeightedRow>& rows) {
  AtomicFile file(folder / "metadata.jsonl");
  for (const WeightedRow& row : rows) {
    std::string line = "{\"file_name\":";
    append_json_text(line, row.file_name);
    append_field(line, "text", row.prompt);
    append_field(line, "image_uid", row.image_uid);
    append_field(line, "source", row.pretrain ? "pretrain" : "model");
    append_number(line, "reward", row.reward);
    append_number(line, "weight_exp", row.weight_exp);
    append_number(line, "weight_sparse", row.weight_sparse);
    append_number(line, "weight_mix", row.weight_mix);
    file.write(line + "}\n");
  }
  file.commit();
}

void write_table(const fs::path& folder, const std::vector<WeightedRow>& rows) {
  workspace::Database database(1);
  database.execute(
      "CREATE TABLE weights (file_name VARCHAR, text VARCHAR, image_uid VARCHAR, source VARCHAR, reward DOUBLE, "
      "weight_exp DOUBLE, weight_sparse DOUBLE, weight_mix DOUBLE)");
  workspace::Database::Appender appender(database, "weights");
  for (const WeightedRow& row : rows) {
    appender.append(row.file_name);
    appender.append(row.prompt);
    if (row.image_uid.empty()) {
      appender.append_null();
    } else {
      appender.append(row.image_uid);
    }
    appender.append(std::string_view(row.pretrain ? "pretrain" : "model"));
    if (row.pretrain) {
      appender.append_null();
    } else {
      appender.append(row.reward);
    }
    for (const double weight : {row.weight_exp, row.weight_sparse, row.weight_mix}) appender.append(weight);
    appender.end_row();
  }
  appender.close();
  database.write_parquet("SELECT * FROM weights", folder / "weights.parquet");
}

/// {path of the image: {"caption"}}, of an image with several prompts the last. @param final  where the folder will be.
void write_kohya(const fs::path& folder, const fs::path& final, const std::vector<WeightedRow>& rows) {
  nlohmann::ordered_json images = nlohmann::ordered_json::object();
  for (const WeightedRow& row : rows) {
    if (row.file_name.empty()) continue;
    images[(final / row.file_name).string()] = {{"caption", row.prompt}};
  }
  write_file_atomically(folder / "meta_cap.json",
                        images.dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
}

}  // namespace

ExportCounts export_weights(const workspace::Workspace& workspace, const ExportSettings& settings,
                            const WeightSettings& weights, std::span<const ScoredPrompt> scores, const fs::path& out,
                            const RunContext& context) {
  if (settings.table != "points")
    fail(ErrorCode::kInvalidArgument, "--table: weights expects points, found '{}'", settings.table);
  Rows source(workspace, settings, context);
  ExportCounts counts;
  std::vector<WeightedRow> rows = load_rows(source, scores, settings.allow_missing, context, counts);
  counts.rows = static_cast<std::int64_t>(rows.size());
  require_rows(counts, settings);
  const double threshold = set_weights(rows, weights);
  add_pretraining(weights, rows, counts);
  counts.rows = static_cast<std::int64_t>(rows.size());
  AtomicFolder folder(out, settings.overwrite);
  place_images(folder.path(), weights.copy, context, rows);
  write_metadata(folder.path(), rows);
  write_table(folder.path(), rows);
  write_kohya(folder.path(), fs::absolute(out).lexically_normal(), rows);
  write_file_atomically(folder.path() / "README.md", weights_card(weights, threshold, counts));
  folder.commit();
  counts.files = 4;
  return counts;
}

}  // namespace imagerank::exports
