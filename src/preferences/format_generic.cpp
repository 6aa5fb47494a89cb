#include <algorithm>
#include <array>

#include "core/fail.h"
#include "preferences/formats.h"
#include "preferences/source.h"
#include "preferences/sql_rules.h"

namespace imagerank::preferences {
namespace {

using workspace::sql_literal;

constexpr int kMaxImageColumns = 64;
constexpr std::array<std::string_view, 17> kTargets = {
    "ranking_id", "user_id",  "created_at", "prompt", "split", "weight", "image_uids", "best", "ranks",
    "chosen",     "rejected", "image_uid",  "url",    "path",  "model",  "aspect",     "score"};

/// "image_7" -> 7; 0 for other names.
int image_number(std::string_view target) {
  if (!target.starts_with("image_") || target.size() < 7 || target.size() > 8) return 0;
  int number = 0;
  for (const char c : target.substr(6)) {
    if (c < '0' || c > '9') return 0;
    number = number * 10 + (c - '0');
  }
  return number <= kMaxImageColumns ? number : 0;
}

/// The columns of one file by what they are for.
class Columns {
 public:
  Columns(Incoming& incoming, const std::filesystem::path& file, const ImportOptions& options)
      : map_(options.columns), source_(incoming, file, fields()) {
    for (const auto& [target, name] : map_) {
      if (std::ranges::find(kTargets, target) == kTargets.end() && image_number(target) == 0)
        fail(ErrorCode::kInvalidArgument, "--columns: expected a target among {}, image_1 .. image_{}, found '{}'",
             fmt::join(kTargets, ", "), kMaxImageColumns, target);
      if (!source_.has(name))
        fail(ErrorCode::kCorruptData, "expected a column '{}' (for {}), found {}", name, target, source_.column_list());
    }
    for (int i = 1; i <= kMaxImageColumns; ++i) {
      if (has(fmt::format("image_{}", i))) images_.push_back(fmt::format("image_{}", i));
    }
    for (const auto& [name, type] : source_.columns()) {
      if (!is_used(name)) incoming.ignore_column(name);
    }
  }

  [[nodiscard]] const Source& source() const { return source_; }
  /// The file's name of a target: as the map says, or the target's own.
  [[nodiscard]] std::string name(const std::string& target) const {
    const auto at = map_.find(target);
    return at == map_.end() ? target : at->second;
  }
  [[nodiscard]] bool has(const std::string& target) const { return source_.has(name(target)); }
  [[nodiscard]] std::string text(const std::string& target) const { return source_.text(name(target)); }
  [[nodiscard]] std::string id(const std::string& target) const { return source_.id(name(target)); }
  [[nodiscard]] const std::vector<std::string>& images() const { return images_; }

 private:
  [[nodiscard]] std::vector<JsonField> fields() const {
    std::vector<JsonField> fields;
    const auto add = [&](const std::string& target) {
      const std::string column = name(target);
      const auto same = [&](const JsonField& field) { return field.name == column; };
      if (std::ranges::none_of(fields, same)) fields.push_back({column, target == "image_uids" || target == "ranks"});
    };
    for (const auto& [target, column] : map_) add(target);
    for (const std::string_view target : kTargets) add(std::string(target));
    for (int i = 1; i <= kMaxImageColumns; ++i) add(fmt::format("image_{}", i));
    return fields;
  }
  [[nodiscard]] bool is_used(const std::string& column) const {
    for (const std::string_view target : kTargets) {
      if (name(std::string(target)) == column) return true;
    }
    return std::ranges::any_of(images_, [&](const auto& target) { return name(target) == column; });
  }

  std::map<std::string, std::string> map_;
  Source source_;
  std::vector<std::string> images_;
};

/// A value that names an image: a uid, a URL, or a relative path, which has a '/'.
std::string uid_of_value(const std::string& value, const std::string& dataset) {
  return fmt::format("CASE WHEN {} THEN {} WHEN contains({}, '/') THEN {} ELSE {} END", is_url(value),
                     uid_of_url(value), value, uid_of_path(value, dataset), value);
}

/// Image rows for those values of a select of (value, prompt) that are URLs or paths.
void add_named_images(Incoming& incoming, const std::string& values, const std::string& dataset,
                      const std::string& base) {
  incoming.add_images(fmt::format(R"(
    SELECT {0}, CASE WHEN {1} THEN value ELSE '' END, CASE WHEN {1} THEN '' ELSE {2} || value END, '', prompt, 0, 0, '', ''
    FROM (SELECT value, coalesce(min(prompt), '') AS prompt FROM ({3}) WHERE contains(value, '/') GROUP BY value))",
                                  uid_of_value("value", dataset), is_url("value"), base, values));
}

/// SQL for the list of values that name a ranking's images.
std::string values_of(const Columns& columns) {
  if (columns.has("chosen")) return fmt::format("[{}, {}]", columns.text("chosen"), columns.text("rejected"));
  if (columns.has("image_uids")) return columns.source().text_list(columns.name("image_uids"));
  std::vector<std::string> texts;
  for (const std::string& target : columns.images()) texts.push_back(columns.text(target));
  return fmt::format("list_filter([{}], x -> x <> '')", fmt::join(texts, ", "));
}

void read_rankings(Incoming& incoming, const Columns& columns, const std::string& dataset, const std::string& base) {
  const Source& source = columns.source();
  const bool pair = columns.has("chosen");
  const std::string ranks = columns.has("ranks") ? dense_ranks(source.real_list(columns.name("ranks"))) : "NULL";
  std::string best;
  if (pair) {
    best = "uids[1]";
  } else if (columns.has("best")) {
    best = fmt::format("CASE WHEN best IS NULL THEN '' WHEN lower(best) NOT IN ('none', 'tie') THEN {} END",
                       uid_of_value("best", dataset));
  } else {
    best = fmt::format("CASE WHEN ranks IS NULL THEN '' ELSE {} END", best_by_ranks("uids", "ranks"));
  }
  const std::string rows =
      fmt::format(R"(
    SELECT {} AS id, {} AS split, {} AS created_at, {} AS user_id, {} AS prompt, {} AS uid_values, {} AS best,
           CAST({} AS INTEGER[]) AS ranks, {} AS weight FROM {})",
                  columns.id("ranking_id"), columns.text("split"), columns.text("created_at"), columns.id("user_id"),
                  columns.text("prompt"), values_of(columns), columns.text("best"), ranks,
                  source.weight(columns.name("weight")), source.from());
  // Rows without ids get one from their content; equal rows are several acts, so they are numbered.
  const std::string id =
      columns.has("ranking_id") ? "id" : "left(content, 20) || '-' || row_number() OVER (PARTITION BY content)";
  incoming.add_rankings(fmt::format(R"(
    SELECT {0}, {1}, split, created_at, user_id, prompt, uids, {2}, ranks, weight
    FROM (SELECT *, list_transform(uid_values, x -> {3}) AS uids,
                 md5(concat_ws(chr(31), created_at, user_id, prompt, uid_values, best, ranks, weight)) AS content
          FROM ({4})))",
                                    id, sql_literal(dataset), best, uid_of_value("x", dataset), rows));
  add_named_images(incoming, fmt::format("SELECT unnest(uid_values) AS value, prompt FROM ({})", rows), dataset, base);
}

/// The uid of a row that is about one image.
std::string row_uid(const Columns& columns, const std::string& dataset) {
  if (columns.has("image_uid")) return uid_of_value(columns.text("image_uid"), dataset);
  if (columns.has("url")) return uid_of_url(columns.text("url"));
  return uid_of_path(columns.text("path"), dataset);
}

void read_images(Incoming& incoming, const Columns& columns, const std::string& dataset, const std::string& base) {
  const std::string path = columns.text("path");
  incoming.add_images(
      fmt::format("SELECT {}, {}, CASE WHEN {} = '' OR starts_with({}, '/') THEN {} ELSE {} || {} END, {}, {}, 0, 0, "
                  "'', '' FROM {}",
                  row_uid(columns, dataset), columns.text("url"), path, path, path, base, path, columns.text("model"),
                  columns.text("prompt"), columns.source().from()));
}

void read_ratings(Incoming& incoming, const Columns& columns, const std::string& dataset) {
  const std::string aspect =
      columns.has("aspect") ? fmt::format("coalesce(nullif({}, ''), 'overall')", columns.text("aspect")) : "'overall'";
  incoming.add_ratings(fmt::format("SELECT {}, {}, {}, {}, {} FROM {}", row_uid(columns, dataset),
                                   columns.text("prompt"), columns.id("user_id"), aspect,
                                   columns.source().real(columns.name("score")), columns.source().from()));
}

void read_table(Incoming& incoming, const std::filesystem::path& file, const ImportOptions& options,
                const std::string& format) {
  const Columns columns(incoming, file, options);
  const std::string dataset = options.dataset.empty() ? format : options.dataset;
  const std::string base = image_base(file, options);
  const auto missing = [&](std::string_view kind, std::string_view expected) {
    fail(ErrorCode::kCorruptData, "{}: expected a column {}, found {}; --columns {}=NAME says which it is", kind,
         expected, columns.source().column_list(), expected.substr(0, expected.find(' ')));
  };
  const bool list = columns.has("image_uids") || !columns.images().empty();
  const bool one = columns.has("image_uid") || columns.has("url") || columns.has("path");
  if (columns.has("chosen") || columns.has("rejected")) {
    if (!columns.has("chosen")) missing("pairs", "chosen");
    if (!columns.has("rejected")) missing("pairs", "rejected");
    if (!columns.has("prompt")) missing("pairs", "prompt");
    read_rankings(incoming, columns, dataset, base);
  } else if (list || columns.has("best") || columns.has("ranks")) {
    if (!list) missing("rankings", "image_uids or image_1, image_2");
    if (!columns.has("best") && !columns.has("ranks")) missing("rankings", "best or ranks");
    if (!columns.has("prompt")) missing("rankings", "prompt");
    read_rankings(incoming, columns, dataset, base);
  } else if (columns.has("score") || columns.has("aspect")) {
    if (!one) missing("ratings", "image_uid or url or path");
    if (!columns.has("score")) missing("ratings", "score");
    read_ratings(incoming, columns, dataset);
    if (columns.has("url") || columns.has("path")) read_images(incoming, columns, dataset, base);
  } else if (columns.has("url") || columns.has("path")) {
    read_images(incoming, columns, dataset, base);
  } else {
    fail(ErrorCode::kCorruptData,
         "expected rankings (prompt, image_uids or image_1 .. , best or ranks), pairs (prompt, chosen, rejected), "
         "ratings "
         "(image_uid, score) or images (url or path), found columns {}; --columns target=NAME,... says which is which",
         columns.source().column_list());
  }
}

}  // namespace

void read_csv(Incoming& incoming, const std::filesystem::path& file, const ImportOptions& options) {
  read_table(incoming, file, options, "csv");
}

void read_jsonl(Incoming& incoming, const std::filesystem::path& file, const ImportOptions& options) {
  read_table(incoming, file, options, "jsonl");
}

void read_parquet(Incoming& incoming, const std::filesystem::path& file, const ImportOptions& options) {
  read_table(incoming, file, options, "parquet");
}

}  // namespace imagerank::preferences
