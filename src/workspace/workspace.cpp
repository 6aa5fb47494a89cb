#include "workspace/workspace.h"

#include <algorithm>
#include <system_error>

#include "core/atomic_file.h"
#include "core/fail.h"
#include "core/hash.h"
#include "workspace/keys.h"
#include "workspace/schema.h"

namespace imagerank::workspace {
namespace {

/// Writes rows through an in-memory table of the schema, keeping their order.
template <typename Row, typename Append>
void write_table(const Workspace& workspace, const std::string& name, const std::vector<Row>& rows, Append append) {
  Database database;
  database.execute(fmt::format("CREATE TABLE rows ({})", column_definitions(table_schema(name))));
  Database::Appender appender(database, "rows");
  for (const Row& row : rows) {
    append(appender, row);
    appender.end_row();
  }
  appender.close();
  database.write_parquet("SELECT * FROM rows", workspace.table_path(name));
}

Table load_table(const Workspace& workspace, const std::string& name) {
  Database database;
  workspace.attach(database, name);
  return database.query(fmt::format("SELECT * FROM {} ORDER BY {}", name, table_schema(name).key));
}

std::vector<Image> images_of(const Table& table) {
  std::vector<Image> rows(table.row_count);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    rows[i].image_uid = table.column("image_uid").text[i];
    rows[i].url = table.column("url").text[i];
    rows[i].path = table.column("path").text[i];
    rows[i].model = table.column("model").text[i];
    rows[i].prompt = table.column("prompt").text[i];
    rows[i].width = static_cast<std::int32_t>(table.column("width").integer[i]);
    rows[i].height = static_cast<std::int32_t>(table.column("height").integer[i]);
    rows[i].sha256 = table.column("sha256").text[i];
    rows[i].status = table.column("status").text[i];
  }
  return rows;
}

}  // namespace

Workspace Workspace::open(const std::filesystem::path& root) {
  std::error_code error;
  if (!std::filesystem::is_directory(root, error)) {
    fail(ErrorCode::kNotFound, "{}: expected a workspace folder, found {}; `import` or `simulate` makes one",
         root.string(), std::filesystem::exists(root, error) ? "a file" : "nothing");
  }
  remove_stale_temporaries(root);
  return Workspace(root);
}

Workspace Workspace::create(const std::filesystem::path& root) {
  std::error_code error;
  std::filesystem::create_directories(root, error);
  if (error) fail(ErrorCode::kIo, "{}: cannot create the workspace folder: {}", root.string(), error.message());
  return open(root);
}

std::filesystem::path Workspace::table_path(const std::string& name) const { return root_ / (name + ".parquet"); }

bool Workspace::has_table(const std::string& name) const { return std::filesystem::exists(table_path(name)); }

void Workspace::attach(Database& database, const std::string& name) const {
  const TableSchema& schema = table_schema(name);
  const std::filesystem::path path = table_path(name);
  if (!std::filesystem::exists(path)) {
    fail(ErrorCode::kNotFound, "{}: no {}.parquet; run `imagerank {} --data {}` first", root_.string(), name,
         schema.made_by, root_.string());
  }
  const std::string from = fmt::format("read_parquet({})", sql_literal(path.string()));
  std::vector<std::pair<std::string, std::string>> found;
  try {
    found = database.describe(from);
  } catch (const Error& error) {
    throw Error(ErrorCode::kCorruptData,
                fmt::format("{}: expected a Parquet table, found: {}", path.string(), error.what()));
  }
  for (const ColumnSchema& column : schema.columns) {
    const auto at = std::ranges::find_if(found, [&](const auto& entry) { return entry.first == column.name; });
    if (at == found.end())
      fail(ErrorCode::kCorruptData, "{}: expected a column '{}', found none", path.string(), column.name);
    if (at->second != column.type) {
      fail(ErrorCode::kCorruptData, "{}: column '{}': expected {}, found {}", path.string(), column.name, column.type,
           at->second);
    }
  }
  database.execute(fmt::format("CREATE OR REPLACE VIEW {} AS SELECT {} FROM {}", name, column_names(schema), from));
}

void Workspace::attach_or_empty(Database& database, const std::string& name) const {
  if (has_table(name)) return attach(database, name);
  database.execute(fmt::format("CREATE OR REPLACE TABLE {} ({})", name, column_definitions(table_schema(name))));
}

std::filesystem::path Workspace::image_path(const std::string& uid, const std::string& extension) {
  if (!is_safe_uid(uid)) fail(ErrorCode::kInvalidArgument, "image uid '{}': not usable as a file name", uid);
  return std::filesystem::path("images") / sha256_hex(uid).substr(0, 2) / (uid + extension);
}

std::filesystem::path Workspace::resolve(const Image& image) const { return root_ / image.path; }

std::filesystem::path Workspace::embeddings_dir(const std::string& encoder) const {
  return root_ / "embeddings" / encoder;
}

std::vector<std::string> Workspace::vector_encoders() const {
  std::vector<std::string> names;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(root_ / "embeddings", ignored)) {
    const bool scores = std::filesystem::exists(entry.path() / "pair.parquet", ignored);
    if (entry.is_directory(ignored) && !scores) names.push_back(entry.path().filename().string());
  }
  std::ranges::sort(names);
  return names;
}

std::filesystem::path Workspace::reward_dir(const std::string& name) const { return root_ / "rewards" / name; }

std::filesystem::path Workspace::report_dir(const std::string& name) const { return root_ / "reports" / name; }

std::vector<Ranking> Workspace::load_rankings() const {
  const Table table = load_table(*this, "rankings");
  std::vector<Ranking> rows(table.row_count);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    Ranking& row = rows[i];
    row.ranking_id = table.column("ranking_id").text[i];
    row.dataset = table.column("dataset").text[i];
    row.official_split = table.column("official_split").text[i];
    row.created_at = table.column("created_at").text[i];
    row.user_id = table.column("user_id").text[i];
    row.prompt = table.column("prompt").text[i];
    row.image_uids = table.column("image_uids").text_list[i];
    if (!table.column("best_image_uid").null[i]) row.best_image_uid = table.column("best_image_uid").text[i];
    for (const std::int64_t rank : table.column("ranks").integer_list[i])
      row.ranks.push_back(static_cast<std::int32_t>(rank));
    row.weight = table.column("weight").real[i];
  }
  return rows;
}

std::vector<Image> Workspace::load_images() const { return images_of(load_table(*this, "images")); }

std::vector<Image> Workspace::find_images() const { return has_table("images") ? load_images() : std::vector<Image>(); }

std::vector<Point> Workspace::load_points() const {
  const Table table = load_table(*this, "points");
  std::vector<Point> rows(table.row_count);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    rows[i] = {table.column("image_uid").text[i], table.column("prompt").text[i],
               static_cast<std::int32_t>(table.column("label").integer[i]), table.column("split").text[i]};
  }
  return rows;
}

std::vector<Pair> Workspace::load_pairs() const {
  const Table table = load_table(*this, "pairs");
  std::vector<Pair> rows(table.row_count);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    rows[i] = {table.column("ranking_id").text[i], table.column("user_id").text[i], table.column("prompt").text[i],
               table.column("image_a").text[i],    table.column("image_b").text[i], table.column("p_a").real[i],
               table.column("weight").real[i],     table.column("split").text[i]};
  }
  return rows;
}

std::vector<Truth> Workspace::find_truth() const {
  if (!has_table("truth")) return {};
  const Table table = load_table(*this, "truth");
  std::vector<Truth> rows(table.row_count);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    rows[i] = {table.column("image_uid").text[i], table.column("prompt").text[i], table.column("utility").real[i]};
  }
  return rows;
}

void Workspace::write_rankings(const std::vector<Ranking>& rows) const {
  write_table(*this, "rankings", rows, [](Database::Appender& appender, const Ranking& row) {
    appender.append(row.ranking_id);
    appender.append(row.dataset);
    appender.append(row.official_split);
    appender.append(row.created_at);
    appender.append(row.user_id);
    appender.append(row.prompt);
    appender.append(row.image_uids);
    if (row.best_image_uid) {
      appender.append(*row.best_image_uid);
    } else {
      appender.append_null();
    }
    if (row.ranks.empty()) {
      appender.append_null();
    } else {
      appender.append(row.ranks);
    }
    appender.append(row.weight);
  });
}

void Workspace::write_images(const std::vector<Image>& rows) const {
  write_table(*this, "images", rows, [](Database::Appender& appender, const Image& row) {
    appender.append(row.image_uid);
    appender.append(row.url);
    appender.append(row.path);
    appender.append(row.model);
    appender.append(row.prompt);
    appender.append(row.width);
    appender.append(row.height);
    appender.append(row.sha256);
    appender.append(row.status);
  });
}

void Workspace::write_truth(const std::vector<Truth>& rows) const {
  write_table(*this, "truth", rows, [](Database::Appender& appender, const Truth& row) {
    appender.append(row.image_uid);
    appender.append(row.prompt);
    appender.append(row.utility);
  });
}

}  // namespace imagerank::workspace
