#include "core/fail.h"
#include "preferences/embedded_images.h"
#include "preferences/formats.h"
#include "preferences/source.h"

namespace imagerank::preferences {
namespace {

/// "validation_unique-00000-of-00001.parquet" -> 'validation_unique'; '' for a name that says nothing.
std::string split_of(const Source& source, const std::filesystem::path& file) {
  if (source.has("split")) return source.text("split");
  return fmt::format(
      R"(regexp_extract({}, '(?:^|[^A-Za-z])(train|validation_unique|test_unique|validation|test)(?:[^A-Za-z]|$)', 1))",
      workspace::sql_literal(file.filename().string()));
}

/// 1, 0 or 0.5 each; without labels best_image_uid says.
std::string best_of(const Source& source) {
  if (source.has("label_0") && source.has("label_1")) {
    return fmt::format(
        "CASE WHEN {0} IS NULL OR {1} IS NULL THEN '' WHEN {0} > {1} THEN {2} WHEN {1} > {0} THEN {3} END",
        source.real("label_0"), source.real("label_1"), source.text("image_0_uid"), source.text("image_1_uid"));
  }
  const std::string best = source.text("best_image_uid");
  return fmt::format("CASE WHEN {0} IS NULL THEN '' WHEN {0} NOT IN ('tie', 'none') THEN {0} ELSE NULL END", best);
}

void read_rankings(Incoming& incoming, const Source& source, const std::filesystem::path& file,
                   const ImportOptions& options) {
  const std::string labelled = fmt::format("coalesce({}, true)", source.truth("has_label", "true"));
  const std::string different = fmt::format("coalesce({}, true)", source.truth("are_different", "true"));
  workspace::Database& database = incoming.database();
  incoming.skip("no_label",
                database.query_integer(fmt::format("SELECT count(*) FROM {} WHERE NOT {}", source.from(), labelled)));
  incoming.skip("images_not_different",
                database.query_integer(
                    fmt::format("SELECT count(*) FROM {} WHERE {} AND NOT {}", source.from(), labelled, different)));
  const std::string weight = source.has("num_example_per_prompt")
                                 ? fmt::format("1.0 / nullif({}, 0)", source.real("num_example_per_prompt"))
                                 : "1.0";
  // A list of four gave several rows of one ranking_id: the two images are part of the key.
  incoming.add_rankings(fmt::format(R"(
    SELECT CASE WHEN id <> '' THEN id || '-' || left(md5(least(a, b) || ' ' || greatest(a, b)), 8) END, {0},
           split, created_at, user_id, prompt, [a, b], best, NULL, weight
    FROM (SELECT {1} AS best, {2} AS id, {3} AS split, {4} AS created_at, {5} AS user_id, {6} AS prompt, {7} AS a, {8} AS b,
                 coalesce({9}, 1.0) AS weight FROM {10} WHERE {11} AND {12}))",
                                    workspace::sql_literal(options.dataset.empty() ? "pickapic" : options.dataset),
                                    best_of(source), source.id("ranking_id"), split_of(source, file),
                                    source.text("created_at"), source.id("user_id"), source.text("caption"),
                                    source.text("image_0_uid"), source.text("image_1_uid"), weight, source.from(),
                                    labelled, different));
}

void read_images(Incoming& incoming, const Source& source, const std::string& base) {
  make_embedded_table(incoming);
  std::string sides;
  for (const std::string side : {"0", "1"}) {
    const std::string uid = source.text("image_" + side + "_uid");
    const std::string jpg = "jpg_" + side;
    if (source.has(jpg)) {
      if (source.type_of(jpg) != "BLOB")
        fail(ErrorCode::kCorruptData, "column '{}': expected bytes (BLOB), found {}", jpg, source.type_of(jpg));
      write_embedded_images(incoming, source.from(), uid, jpg);
    }
    const std::string path = source.text("image_" + side + "_path");
    sides +=
        fmt::format("{}SELECT {} AS uid, {} AS url, {} AS path, {} AS model, {} AS prompt FROM {}",
                    sides.empty() ? "" : " UNION ALL ", uid, source.text("image_" + side + "_url"),
                    fmt::format("CASE WHEN {0} = '' OR starts_with({0}, '/') THEN {0} ELSE {1} || {0} END", path, base),
                    source.text("model_" + side), source.text("caption"), source.from());
  }
  incoming.add_images(fmt::format(R"(
    SELECT uid, url, coalesce(e.path, i.path), model, prompt, coalesce(width, 0), coalesce(height, 0),
           coalesce(sha256, ''), CASE WHEN sha256 IS NOT NULL THEN 'ok' ELSE '' END
    FROM (SELECT uid, coalesce(max(url), '') AS url, coalesce(max(path), '') AS path, coalesce(max(model), '') AS model,
                 coalesce(min(prompt), '') AS prompt
          FROM ({}) GROUP BY uid) i LEFT JOIN embedded e ON e.image_uid = uid)",
                                  sides));
}

}  // namespace

void read_pickapic(Incoming& incoming, const std::filesystem::path& file, const ImportOptions& options) {
  const Source source(incoming, file);
  source.require("pairs", {"ranking_id", "caption", "image_0_uid", "image_1_uid"});
  if (!source.has("label_0") || !source.has("label_1")) source.require("pairs", {"best_image_uid"});
  source.ignore_others(incoming, {"are_different", "best_image_uid",   "caption",      "created_at",
                                  "has_label",     "image_0_uid",      "image_0_url",  "image_0_path",
                                  "image_1_uid",   "image_1_url",      "image_1_path", "jpg_0",
                                  "jpg_1",         "label_0",          "label_1",      "model_0",
                                  "model_1",       "ranking_id",       "user_id",      "num_example_per_prompt",
                                  "split",         "__index_level_0__"});
  read_rankings(incoming, source, file, options);
  read_images(incoming, source, image_base(file, options));
}

}  // namespace imagerank::preferences
