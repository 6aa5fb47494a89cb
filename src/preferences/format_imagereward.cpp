#include <array>

#include "core/fail.h"
#include "preferences/embedded_images.h"
#include "preferences/formats.h"
#include "preferences/source.h"
#include "preferences/sql_rules.h"

namespace imagerank::preferences {
namespace {

using workspace::sql_literal;

constexpr std::string_view kUidPrefix = "imagereward";

/// What one file of ImageRewardDB is read with.
struct Context {
  Incoming& incoming;
  const Source& source;
  std::string dataset;  ///< SQL literal
  std::string base;     ///< SQL literal of the folder that paths start at, with a '/'
  std::string split;    ///< SQL literal
};

/// Images from `paths`: a select of p (path as written) and prompt.
void add_images(Incoming& incoming, const std::string& paths, const std::string& base) {
  make_embedded_table(incoming);
  incoming.add_images(fmt::format(R"(
    SELECT uid, '', coalesce(e.path, {0} || p), '', prompt, coalesce(width, 0), coalesce(height, 0), coalesce(sha256, ''),
           CASE WHEN sha256 IS NOT NULL THEN 'ok' ELSE '' END
    FROM (SELECT {1} AS uid, p, min(prompt) AS prompt FROM ({2}) WHERE p <> '' GROUP BY p) i
    LEFT JOIN embedded e ON e.image_uid = uid)",
                                  base, uid_of_path("p", kUidPrefix), paths));
}

/// The path of an image: image_path, or the `path` of a struct that holds it with its bytes, which are written.
std::string path_of(const Context& context, const std::string& column) {
  const std::string type = context.source.type_of(column);
  if (!type.starts_with("STRUCT") || type.ends_with("[]")) return context.source.text(column);
  if (type.find("\"path\" VARCHAR") == std::string::npos && type.find("path VARCHAR") == std::string::npos)
    fail(ErrorCode::kCorruptData, "column '{}': expected a path, or bytes and path, found {}", column, type);
  const std::string path = fmt::format("\"{}\".path", column);
  if (type.find("bytes") != std::string::npos && type.find("BLOB") != std::string::npos)
    write_embedded_images(context.incoming, context.source.from(), uid_of_path(path, kUidPrefix),
                          fmt::format("\"{}\".bytes", column));
  return path;
}

/// Rankings from a select of id, prompt, paths, ranks (DOUBLE[]).
void add_rankings(Incoming& incoming, const std::string& rows, const std::string& dataset, const std::string& split) {
  incoming.add_rankings(fmt::format(
      "SELECT id, {0}, {1}, '', '', prompt, uids, {2}, dense, 1.0 FROM (SELECT id, prompt, list_transform(paths, x -> "
      "{3}) "
      "AS uids, {4} AS dense FROM ({5}))",
      dataset, split, best_by_ranks("uids", "dense"), uid_of_path("x", kUidPrefix), dense_ranks("ranks"), rows));
}

constexpr std::array<std::string_view, 3> kAspects = {"overall_rating", "image_text_alignment_rating",
                                                      "fidelity_rating"};

/// One row an image: `rank` orders the images of a prompt_id, the ratings are ratings.
void read_per_image(const Context& context) {
  const Source& source = context.source;
  source.require("images", {"prompt_id", "prompt", "rank"});
  const std::string path = path_of(context, source.has("image_path") ? "image_path" : "image");
  add_rankings(
      context.incoming,
      fmt::format("SELECT id, min(prompt) AS prompt, list(p ORDER BY rank, p) AS paths, list(rank ORDER BY rank, "
                  "p) AS ranks FROM (SELECT {} AS id, {} AS prompt, {} AS p, {} AS rank FROM {}) GROUP BY id",
                  source.id("prompt_id"), source.text("prompt"), path, source.real("rank"), source.from()),
      context.dataset, context.split);
  add_images(context.incoming,
             fmt::format("SELECT {} AS p, {} AS prompt FROM {}", path, source.text("prompt"), source.from()),
             context.base);
  for (const std::string_view aspect : kAspects) {
    if (!source.has(aspect)) continue;
    const std::string name(aspect.substr(0, aspect.size() - std::string_view("_rating").size()));
    context.incoming.add_ratings(fmt::format("SELECT {}, {}, '', {}, {} FROM {}", uid_of_path(path, kUidPrefix),
                                             source.text("prompt"), sql_literal(name), source.real(aspect),
                                             source.from()));
  }
}

/// One row a pair, the better image first.
void read_pairs(const Context& context) {
  const Source& source = context.source;
  source.require("pairs", {"prompt", "img_better", "img_worse"});
  const std::string better = path_of(context, "img_better");
  const std::string worse = path_of(context, "img_worse");
  const std::string rows = fmt::format("SELECT {} AS id, {} AS prompt, {} AS better, {} AS worse FROM {}",
                                       source.id("prompt_id"), source.text("prompt"), better, worse, source.from());
  add_rankings(context.incoming,
               fmt::format("SELECT concat_ws('-', nullif(id, ''), left(md5(concat_ws(chr(31), prompt, better, worse)), "
                           "16)) AS id, prompt, [better, worse] AS paths, [1.0, 2.0] AS ranks FROM ({})",
                           rows),
               context.dataset, context.split);
  add_images(context.incoming,
             fmt::format("SELECT better AS p, prompt FROM ({0}) UNION ALL SELECT worse, prompt FROM ({0})", rows),
             context.base);
}

/// Lists of images and ranks, a row a prompt: test.json, and ImageRewardDB's _group tables.
void read_lists(const Context& context, std::string_view id, std::string_view images, std::string_view ranks) {
  const Source& source = context.source;
  source.require("rankings", {id, "prompt", images, ranks});
  const std::string rows =
      fmt::format("SELECT {} AS id, {} AS prompt, {} AS paths, {} AS ranks FROM {}", source.id(id),
                  source.text("prompt"), source.text_list(images), source.real_list(ranks), source.from());
  add_rankings(context.incoming, rows, context.dataset, context.split);
  add_images(context.incoming, fmt::format("SELECT unnest(paths) AS p, prompt FROM ({})", rows), context.base);
  for (const std::string_view aspect : kAspects) {
    if (!source.has(aspect)) continue;
    const std::string name(aspect.substr(0, aspect.size() - std::string_view("_rating").size()));
    context.incoming.add_ratings(fmt::format(
        "SELECT {}, prompt, '', {}, score FROM (SELECT unnest({}) AS p, unnest({}) AS score, {} AS prompt FROM {})",
        uid_of_path("p", kUidPrefix), sql_literal(name), source.text_list(images), source.real_list(aspect),
        source.text("prompt"), source.from()));
  }
}

std::string split_literal(const std::filesystem::path& file) {
  const std::string name = file.filename().string();
  for (const std::string_view split : {"train", "validation", "test"}) {
    if (name.find(split) != std::string::npos) return sql_literal(split);
  }
  return "''";
}

}  // namespace

void read_imagereward(Incoming& incoming, const std::filesystem::path& file, const ImportOptions& options) {
  static const std::array kFields = {JsonField{"id"}, JsonField{"prompt"}, JsonField{"generations", true},
                                     JsonField{"ranking", true}};
  const Source source(incoming, file, kFields);
  source.ignore_others(incoming, {"id", "prompt", "generations", "ranking"});
  read_lists({incoming, source, sql_literal(options.dataset.empty() ? "imagereward" : options.dataset),
              image_base(file, options), split_literal(file)},
             "id", "generations", "ranking");
}

void read_imagerewarddb(Incoming& incoming, const std::filesystem::path& file, const ImportOptions& options) {
  static const std::array kFields = {JsonField{"image_path"},      JsonField{"prompt_id"},
                                     JsonField{"prompt"},          JsonField{"rank"},
                                     JsonField{"overall_rating"},  JsonField{"image_text_alignment_rating"},
                                     JsonField{"fidelity_rating"}, JsonField{"img_better"},
                                     JsonField{"img_worse"}};
  const Source source(incoming, file, kFields);
  source.ignore_others(incoming, {"image_path", "image", "prompt_id", "prompt", "rank", "overall_rating",
                                  "image_text_alignment_rating", "fidelity_rating", "img_better", "img_worse"});
  const Context context{incoming, source, sql_literal(options.dataset.empty() ? "imagerewarddb" : options.dataset),
                        image_base(file, options), split_literal(file)};
  if (source.has("img_better") || source.has("img_worse")) return read_pairs(context);
  if (!source.has("image_path") && !source.has("image"))
    fail(ErrorCode::kCorruptData,
         "expected images (image_path, prompt_id, prompt, rank) or pairs (prompt, img_better, img_worse), found "
         "columns {}",
         source.column_list());
  const std::string images = source.has("image_path") ? "image_path" : "image";
  if (source.type_of(images).ends_with("[]")) return read_lists(context, "prompt_id", images, "rank");
  read_per_image(context);
}

}  // namespace imagerank::preferences
