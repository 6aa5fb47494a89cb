#include "workspace/schema.h"

#include <array>

#include "core/fail.h"

namespace imagerank::workspace {
namespace {

constexpr std::array kRankings = {
    ColumnSchema{"ranking_id", "VARCHAR"},     ColumnSchema{"dataset", "VARCHAR"},
    ColumnSchema{"official_split", "VARCHAR"}, ColumnSchema{"created_at", "VARCHAR"},
    ColumnSchema{"user_id", "VARCHAR"},        ColumnSchema{"prompt", "VARCHAR"},
    ColumnSchema{"image_uids", "VARCHAR[]"},   ColumnSchema{"best_image_uid", "VARCHAR"},
    ColumnSchema{"ranks", "INTEGER[]"},        ColumnSchema{"weight", "DOUBLE"},
};
constexpr std::array kImages = {
    ColumnSchema{"image_uid", "VARCHAR"}, ColumnSchema{"url", "VARCHAR"},    ColumnSchema{"path", "VARCHAR"},
    ColumnSchema{"model", "VARCHAR"},     ColumnSchema{"prompt", "VARCHAR"}, ColumnSchema{"width", "INTEGER"},
    ColumnSchema{"height", "INTEGER"},    ColumnSchema{"sha256", "VARCHAR"}, ColumnSchema{"status", "VARCHAR"},
};
constexpr std::array kPoints = {
    ColumnSchema{"image_uid", "VARCHAR"},
    ColumnSchema{"prompt", "VARCHAR"},
    ColumnSchema{"label", "INTEGER"},
    ColumnSchema{"split", "VARCHAR"},
};
constexpr std::array kPairs = {
    ColumnSchema{"ranking_id", "VARCHAR"}, ColumnSchema{"user_id", "VARCHAR"}, ColumnSchema{"prompt", "VARCHAR"},
    ColumnSchema{"image_a", "VARCHAR"},    ColumnSchema{"image_b", "VARCHAR"}, ColumnSchema{"p_a", "DOUBLE"},
    ColumnSchema{"weight", "DOUBLE"},      ColumnSchema{"split", "VARCHAR"},
};
constexpr std::array kTruth = {
    ColumnSchema{"image_uid", "VARCHAR"},
    ColumnSchema{"prompt", "VARCHAR"},
    ColumnSchema{"utility", "DOUBLE"},
};
constexpr std::array kRatings = {
    ColumnSchema{"image_uid", "VARCHAR"}, ColumnSchema{"prompt", "VARCHAR"}, ColumnSchema{"user_id", "VARCHAR"},
    ColumnSchema{"aspect", "VARCHAR"},    ColumnSchema{"score", "DOUBLE"},
};
constexpr std::array kPerturbed = {
    ColumnSchema{"prompt", "VARCHAR"},
    ColumnSchema{"perturbed_prompt", "VARCHAR"},
    ColumnSchema{"mode", "VARCHAR"},
    ColumnSchema{"what_changed", "VARCHAR"},
};
constexpr std::array kFingerprints = {
    ColumnSchema{"image_uid", "VARCHAR"},
    ColumnSchema{"sha256", "VARCHAR"},
    ColumnSchema{"method", "VARCHAR"},
    ColumnSchema{"perceptual_hash", "BIGINT"},
};
constexpr std::array kValidators = {
    ColumnSchema{"url", "VARCHAR"},
    ColumnSchema{"etag", "VARCHAR"},
    ColumnSchema{"last_modified", "VARCHAR"},
};
constexpr std::array kTables = {
    TableSchema{"rankings", "import", kRankings, "dataset, ranking_id"},
    TableSchema{"images", "import", kImages, "image_uid"},
    TableSchema{"ratings", "import", kRatings, "image_uid, prompt, user_id, aspect"},
    TableSchema{"perturbed", "perturb", kPerturbed, "prompt, mode, perturbed_prompt"},
    TableSchema{"points", "label", kPoints, "prompt, image_uid"},
    TableSchema{"pairs", "label", kPairs, "ranking_id, image_a, image_b, prompt, user_id"},
    TableSchema{"validators", "fetch", kValidators, "url"},
    TableSchema{"fingerprints", "duplicates --perceptual", kFingerprints, "image_uid"},
    TableSchema{"truth", "simulate", kTruth, "prompt, image_uid"},
};

}  // namespace

const TableSchema& table_schema(std::string_view name) {
  for (const TableSchema& schema : kTables) {
    if (schema.name == name) return schema;
  }
  fail(ErrorCode::kInvalidArgument, "a workspace has no table '{}'", name);
}

std::string column_definitions(const TableSchema& schema) {
  std::string text;
  for (const ColumnSchema& column : schema.columns)
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", column.name, column.type);
  return text;
}

std::string column_names(const TableSchema& schema) {
  std::string text;
  for (const ColumnSchema& column : schema.columns) text += fmt::format("{}{}", text.empty() ? "" : ", ", column.name);
  return text;
}

}  // namespace imagerank::workspace
