#include <array>
#include <cmath>
#include <cstring>
#include <vector>

#include "core/atomic_file.h"
#include "core/fail.h"
#include "core/half.h"
#include "core/npy.h"
#include "core/tar.h"
#include "exports/export.h"
#include "exports/rows.h"

namespace imagerank::exports {
namespace {

std::filesystem::path existing(const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error))
    fail(ErrorCode::kNotFound, "{}: expected vectors, found none; `imagerank encode` makes them", path.string());
  return path;
}

/// One side of the embedding cache: its vectors, and its keys as a view `name` (row, key).
class Vectors {
 public:
  Vectors(workspace::Database& database, const std::filesystem::path& folder, const std::string& side)
      : array_(existing(folder / (side + ".npy"))) {
    const std::filesystem::path keys = existing(folder / (side + ".parquet"));
    database.execute(
        fmt::format("CREATE TABLE {0}_key AS SELECT CAST(row AS BIGINT) AS {0}_row, key FROM read_parquet({1})", side,
                    workspace::sql_literal(keys.string())));
    const auto most = database.query_integer(fmt::format("SELECT max({0}_row) + 1 FROM {0}_key", side));
    const auto least = database.query_integer(fmt::format("SELECT min({0}_row) FROM {0}_key", side));
    const auto& shape = array_.shape();
    if (array_.type() != NpyType::kFloat16 || shape.size() != 2 || least < 0 ||
        shape[0] < static_cast<std::size_t>(most)) {
      fail(ErrorCode::kCorruptData, "{}: expected float16 [{} or more, D]; `imagerank encode` makes it again",
           (folder / (side + ".npy")).string(), most);
    }
  }
  [[nodiscard]] std::size_t dim() const { return array_.shape()[1]; }

  /// Appends a row of length 1 to `out` as float16.
  void append_unit(std::int64_t row, std::vector<std::uint16_t>& out) const {
    std::vector<std::uint16_t> half(dim());
    std::memcpy(half.data(), array_.bytes().data() + static_cast<std::size_t>(row) * dim() * sizeof(std::uint16_t),
                dim() * sizeof(std::uint16_t));
    double squares = 0.0;
    for (const std::uint16_t value : half)
      squares += static_cast<double>(float_from_half(value)) * float_from_half(value);
    const float scale = squares > 0.0 ? static_cast<float>(1.0 / std::sqrt(squares)) : 1.0F;
    for (const std::uint16_t value : half) out.push_back(half_from_float(float_from_half(value) * scale));
  }

 private:
  NpyFile array_;
};

/// The (image, prompt) of the table, each once, in the order in which they come.
std::string couples(const std::string& table) {
  const std::string listed =
      table == "points"
          ? "SELECT image_uid, prompt, split, row_number() OVER () AS number FROM source"
          : "SELECT unnest(image_uids) AS image_uid, prompt, official_split AS split, number FROM (SELECT "
            "*, row_number() OVER () AS number FROM source)";
  return fmt::format(
      "CREATE TABLE couple AS SELECT image_uid, prompt, arg_min(split, number) AS split, min(number) AS number FROM "
      "({}) GROUP BY image_uid, prompt",
      listed);
}

void write_vectors(workspace::Database& database, const Vectors& vectors, const std::string& column, std::int64_t count,
                   const std::filesystem::path& path, const RunContext& context) {
  AtomicFile file(path);
  const std::array shape = {static_cast<std::size_t>(count), vectors.dim()};
  file.write(npy_header(NpyType::kFloat16, shape));
  std::uint64_t done = 0;
  database.for_each_chunk(fmt::format("SELECT {} FROM chosen ORDER BY place", column),
                          [&](const workspace::Table& rows) {
                            context.check_stop();
                            std::vector<std::uint16_t> values;
                            values.reserve(rows.row_count * vectors.dim());
                            for (const std::int64_t row : rows.columns[0].integer) vectors.append_unit(row, values);
                            file.write(std::as_bytes(std::span(values)));
                            done += rows.row_count;
                            context.report({"export vectors", done, static_cast<std::uint64_t>(count), column});
                          });
  file.commit();
}

}  // namespace

ExportCounts export_clip_retrieval(const workspace::Workspace& workspace, const std::string& encoder,
                                   const ExportSettings& settings, const std::filesystem::path& out,
                                   const RunContext& context) {
  if (settings.table != "points" && settings.table != "rankings") {
    fail(ErrorCode::kInvalidArgument, "--table: clip-retrieval expects points or rankings, found '{}'", settings.table);
  }
  AtomicFolder folder(out, settings.overwrite);
  Rows rows(workspace, settings, context);
  rows.find_images();
  workspace::Database& database = rows.database();
  const std::filesystem::path cache = workspace.embeddings_dir(encoder);
  const Vectors image(database, cache, "image");
  const Vectors text(database, cache, "text");
  if (image.dim() != text.dim())
    fail(ErrorCode::kCorruptData, "{}: expected vectors of one width, found {} for images, {} for texts",
         cache.string(), image.dim(), text.dim());
  database.execute(couples(settings.table));
  database.execute(
      "CREATE TABLE chosen AS SELECT *, row_number() OVER (ORDER BY number, image_uid, prompt) - 1 AS place FROM "
      "(SELECT "
      "couple.image_uid, prompt, split, number, image_row, text_row FROM couple LEFT JOIN image_key ON image_key.key = "
      "couple.image_uid LEFT JOIN text_key ON text_key.key = prompt) WHERE image_row IS NOT NULL AND text_row IS NOT "
      "NULL");
  ExportCounts counts;
  counts.files = 3;
  counts.rows = database.query_integer("SELECT count(*) FROM chosen");
  const auto skip = [&](const char* reason, const char* condition) {
    const auto count = database.query_integer(fmt::format("SELECT count(*) FROM couple WHERE {}", condition));
    if (count != 0) counts.skipped[reason] = count;
  };
  skip("no_image_vector", "image_uid NOT IN (SELECT key FROM image_key)");
  skip("no_text_vector", "prompt NOT IN (SELECT key FROM text_key) AND image_uid IN (SELECT key FROM image_key)");
  require_rows(counts, settings);
  write_vectors(database, image, "image_row", counts.rows, folder.path() / "img_emb" / "img_emb_0.npy", context);
  write_vectors(database, text, "text_row", counts.rows, folder.path() / "text_emb" / "text_emb_0.npy", context);
  std::filesystem::create_directory(folder.path() / "metadata");
  database.write_parquet(
      "SELECT coalesce(path, '') AS image_path, prompt AS caption, chosen.image_uid AS image_uid, coalesce(url, '') AS "
      "url, coalesce(width, 0) AS width, coalesce(height, 0) AS height, split FROM chosen LEFT JOIN present USING "
      "(image_uid) ORDER BY place",
      folder.path() / "metadata" / "metadata_0.parquet");
  database.for_each_chunk("SELECT path FROM chosen JOIN present USING (image_uid) WHERE path LIKE '%.tar#%'",
                          [&](const workspace::Table& members) {
                            for (const std::string& path : members.columns[0].text) {
                              if (parse_tar_part(path)) ++counts.in_shards;
                            }
                          });
  folder.commit();
  return counts;
}

}  // namespace imagerank::exports
