#include "preferences/import.h"

#include <algorithm>
#include <array>

#include "core/fail.h"
#include "preferences/formats.h"
#include "workspace/file_patterns.h"
#include "workspace/schema.h"

namespace imagerank::preferences {
namespace {

constexpr std::array kFormats = {
    Format{"pickapic-v0", "PickaPic-rankings and PickaPic-images: Parquet or CSV", read_pickapic_v0},
    Format{"pickapic", "Pick-a-Pic v1 and v2, with images or without: Parquet or CSV", read_pickapic},
    Format{"hpdv2", "HPDv2 (and HPDv1): train.json, test.json", read_hpdv2},
    Format{"hpdv3", "HPDv3: all.json, train.json, test.json", read_hpdv3},
    Format{"imagereward", "ImageReward's test.json", read_imagereward},
    Format{"imagerewarddb", "ImageRewardDB's metadata: Parquet or JSON; a row an image, prompt or pair",
           read_imagerewarddb},
    Format{"richhf", "RichHF-18K: TFRecord of scores for images of Pick-a-Pic v1", read_richhf},
    Format{"urls", "URLs: one a line (a prompt after a tab), or a table with a column url", read_urls},
    Format{"csv", "any CSV table, by --columns", read_csv},
    Format{"jsonl", "any JSON Lines or JSON list, by --columns", read_jsonl},
    Format{"parquet", "any Parquet table, by --columns", read_parquet},
};

}  // namespace

std::string image_base(const std::filesystem::path& file, const ImportOptions& options) {
  const auto folder = options.images.empty() ? std::filesystem::absolute(file).parent_path()
                                             : std::filesystem::absolute(options.images);
  std::string text = folder.lexically_normal().string();
  if (!text.ends_with('/')) text += '/';
  return workspace::sql_literal(text);
}

std::span<const Format> formats() noexcept { return kFormats; }

const Format& format_of(std::string_view name) {
  std::string names;
  for (const Format& format : kFormats) {
    if (format.name == name) return format;
    names += fmt::format("{}{}", names.empty() ? "" : ", ", format.name);
  }
  fail(ErrorCode::kInvalidArgument, "FORMAT: expected one of {}, votes, found '{}'", names, name);
}

ImportCounts import_files(const workspace::Workspace& workspace, const Format& format,
                          const std::vector<std::filesystem::path>& files, const ImportOptions& options,
                          const RunContext& context) {
  if (files.empty()) fail(ErrorCode::kInvalidArgument, "expected at least one file");
  if (!options.columns.empty() && !format.takes_columns())
    fail(ErrorCode::kInvalidArgument, "--columns: expected csv, jsonl or parquet, found {}", format.name);
  Incoming incoming(workspace, context);
  const auto expanded = workspace::expand_patterns(files, "*.parquet");
  for (std::size_t i = 0; i < expanded.size(); ++i) {
    context.check_stop();
    if (expanded.size() > 1) context.report({"read files", i, expanded.size(), expanded[i].filename().string()});
    try {
      format.read(incoming, expanded[i], options);
    } catch (const Error& error) {
      const std::string message = error.what();
      if (error.code() == ErrorCode::kCancelled || message.find(expanded[i].string()) != std::string::npos) throw;
      throw Error(error.code(), fmt::format("{}: {}", expanded[i].string(), message));
    }
  }
  context.check_stop();
  return incoming.finish();
}

ImportCounts import_rankings(const workspace::Workspace& workspace, std::span<const workspace::Ranking> rankings,
                             const std::map<std::string, std::int64_t>& skipped, const RunContext& context) {
  Incoming incoming(workspace, context);
  incoming.database().execute(
      fmt::format("CREATE TABLE given_ranking ({})", column_definitions(workspace::table_schema("rankings"))));
  workspace::Database::Appender rows(incoming.database(), "given_ranking");
  for (const workspace::Ranking& ranking : rankings) {
    for (const std::string* const text : {&ranking.ranking_id, &ranking.dataset, &ranking.official_split,
                                          &ranking.created_at, &ranking.user_id, &ranking.prompt}) {
      rows.append(*text);
    }
    rows.append(std::span<const std::string>(ranking.image_uids));
    if (ranking.best_image_uid) {
      rows.append(*ranking.best_image_uid);
    } else {
      rows.append_null();
    }
    rows.append_null();  // ranks
    rows.append(ranking.weight);
    rows.end_row();
  }
  rows.close();
  incoming.add_rankings("SELECT * FROM given_ranking");
  for (const auto& [reason, count] : skipped) incoming.skip(reason, count);
  context.check_stop();
  return incoming.finish();
}

}  // namespace imagerank::preferences
