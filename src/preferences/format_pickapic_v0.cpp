#include "core/fail.h"
#include "preferences/formats.h"
#include "preferences/source.h"

namespace imagerank::preferences {
namespace {

std::string dataset_of(const ImportOptions& options) {
  return workspace::sql_literal(options.dataset.empty() ? "pickapic-v0" : options.dataset);
}

void read_rankings(Incoming& incoming, const Source& source, const ImportOptions& options) {
  source.require("rankings", {"ranking_id", "image_1_uid", "image_2_uid", "image_3_uid", "image_4_uid",
                              "best_image_uid", "prompt"});
  source.ignore_others(incoming, {"ranking_id", "image_1_uid", "image_2_uid", "image_3_uid", "image_4_uid",
                                  "best_image_uid", "created_at", "user_id", "prompt"});
  // Lambdas are slow, and nearly every row has four images.
  incoming.add_rankings(
      fmt::format(R"(
    SELECT id, {0}, '', created_at, user_id, prompt,
           CASE WHEN a <> '' AND b <> '' AND c <> '' AND d <> '' THEN [a, b, c, d]
                ELSE list_filter([a, b, c, d], x -> x <> '') END,
           CASE WHEN best IS NULL THEN '' WHEN best <> 'none' THEN best END, NULL, 1.0
    FROM (SELECT {1} AS id, {2} AS created_at, {3} AS user_id, {4} AS prompt, {5} AS a, {6} AS b, {7} AS c, {8} AS d,
                 {9} AS best
          FROM {10}))",
                  dataset_of(options), source.id("ranking_id"), source.text("created_at"), source.id("user_id"),
                  source.text("prompt"), source.text("image_1_uid"), source.text("image_2_uid"),
                  source.text("image_3_uid"), source.text("image_4_uid"), source.text("best_image_uid"), source.from()),
      true);
}

void read_images(Incoming& incoming, const Source& source) {
  source.ignore_others(incoming,
                       {"image_uid", "url", "path", "generator", "model", "model_id", "prompt", "width", "height"});
  const std::string model = source.has("generator") ? "generator" : source.has("model") ? "model" : "model_id";
  incoming.add_images(fmt::format("SELECT {}, {}, {}, {}, {}, {}, {}, '', '' FROM {}", source.text("image_uid"),
                                  source.text("url"), source.text("path"), source.text(model), source.text("prompt"),
                                  source.integer("width"), source.integer("height"), source.from()));
}

}  // namespace

void read_pickapic_v0(Incoming& incoming, const std::filesystem::path& file, const ImportOptions& options) {
  const Source source(incoming, file);
  if (source.has("best_image_uid") || source.has("image_1_uid")) {
    read_rankings(incoming, source, options);
  } else if (source.has("image_uid") && (source.has("url") || source.has("path"))) {
    read_images(incoming, source);
  } else {
    fail(ErrorCode::kCorruptData,
         "{}: expected rankings (ranking_id, image_1_uid .. image_4_uid, best_image_uid, prompt) or images "
         "(image_uid, url or path), found columns {}",
         file.string(), source.column_list());
  }
}

}  // namespace imagerank::preferences
