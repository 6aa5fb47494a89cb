#include "fetch/shard_source.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "core/fail.h"
#include "core/mapped_file.h"
#include "core/tar.h"
#include "fetch/tables.h"
#include "images/inspect.h"
#include "workspace/file_patterns.h"

namespace imagerank::fetch {
namespace {

using nlohmann::json;
using workspace::Database;

enum class Claim : std::int32_t { kUid = 0, kName = 1, kUrl = 2 };

/// "a/b/000.0.jpg" is of sample "a/b/000".
std::string_view key_of(std::string_view name) {
  const std::size_t slash = name.rfind('/');
  return name.substr(0, name.find('.', slash == std::string_view::npos ? 0 : slash));
}

std::string_view file_name(std::string_view name) { return name.substr(name.rfind('/') + 1); }

/// With the dot, in lower case; "" if there is none.
std::string extension_of(std::string_view name) {
  const std::string_view file = file_name(name);
  const std::size_t dot = file.rfind('.');
  std::string extension(dot == std::string_view::npos ? "" : file.substr(dot));
  std::ranges::transform(extension, extension.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return extension;
}

bool is_image_extension(std::string_view extension) {
  constexpr std::array<std::string_view, 5> kKnown = {".jpg", ".jpeg", ".png", ".webp", ".gif"};
  return std::ranges::find(kKnown, extension) != kKnown.end();
}

std::string text_of(const json& object, const char* key) {
  const auto at = object.find(key);
  return at != object.end() && at->is_string() ? at->get<std::string>() : std::string();
}

/// Other bytes become U+FFFD: what no table can hold.
std::string as_utf8(std::string_view text) {
  return json::parse(json(text).dump(-1, ' ', false, json::error_handler_t::replace)).get<std::string>();
}

/// A member's name for people: one line that leaves a terminal as it is.
std::string shown(std::string_view name) {
  std::string text = as_utf8(name);
  std::ranges::replace_if(text, [](unsigned char c) { return c < 0x20 || c == 0x7F; }, '?');
  return text;
}

/// As rows name it: relative where the shard is in the workspace.
std::filesystem::path place_of(const std::filesystem::path& shard, const std::filesystem::path& root) {
  const auto absolute = std::filesystem::absolute(shard).lexically_normal();
  const auto relative = absolute.lexically_relative(std::filesystem::absolute(root).lexically_normal());
  return relative.empty() || *relative.begin() == ".." ? absolute : relative;
}

}  // namespace

/// Fills tables sample (place, path, sha256, url) and claim (place, kind, text), an image a place.
class ShardSource::Reader {
 public:
  Reader(Database& database, const RunContext& context, ShardCounts& counts)
      : context_(context), counts_(counts), samples_(database, "sample"), claims_(database, "claim") {}

  void read(const std::filesystem::path& shard, const std::filesystem::path& place) {
    const MappedFile file(shard);
    bytes_ = file.bytes();
    place_ = place;
    TarReader reader(bytes_, shard.string());
    std::string key;
    while (const auto member = next(reader)) {
      context_.check_stop();
      if (key_of(member->name) != key) {
        end_sample();
        key = key_of(member->name);
      }
      const std::string extension = extension_of(member->name);
      if (extension == ".json") {
        json_ = parse(*member);
      } else if (is_image_extension(extension) ||
                 images::sniff_format(bytes_of(*member)) != images::ImageFormat::kUnknown) {
        images_.push_back(*member);
      }
    }
    end_sample();
    ++counts_.files;
  }

  void close() {
    samples_.close();
    claims_.close();
  }

 private:
  std::optional<TarMember> next(TarReader& reader) {
    try {
      return reader.next();
    } catch (const Error& error) {
      counts_.trouble.push_back({place_.string(), "broken_archive", error.what()});
      return std::nullopt;
    }
  }

  [[nodiscard]] std::span<const std::byte> bytes_of(const TarMember& member) const {
    return bytes_.subspan(member.offset, member.size);
  }

  [[nodiscard]] json parse(const TarMember& member) const {
    constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 20;
    if (member.size > kMostBytes) return {};
    const auto bytes = bytes_of(member);
    json object = json::parse(reinterpret_cast<const char*>(bytes.data()),
                              reinterpret_cast<const char*>(bytes.data()) + bytes.size(), nullptr, false);
    return object.is_object() ? object : json();
  }

  void end_sample() {
    if (!json_.is_object()) json_ = json::object();
    for (const TarMember& image : images_) add(image);
    images_.clear();
    json_ = json();
  }

  void add(const TarMember& image) {
    ++counts_.images;
    const images::Inspection found = images::inspect_image(bytes_of(image));
    if (!found.ok()) {
      ++counts_.broken[found.reason];
      counts_.examples.try_emplace(found.reason, FetchExample{"", shown(image.name), found.detail});
      return;
    }
    const bool alone = images_.size() == 1;
    const std::string uid = alone ? text_of(json_, "image_uid") : listed_uid(image.name);
    samples_.append(place_count_);
    samples_.append(tar_part_path(place_, image, images::file_extension(found.format)));
    samples_.append(shown(image.name));
    samples_.append(alone && !uid.empty() ? text_of(json_, "sha256")
                                          : "");  // others' may be of an image before resizing
    samples_.append(alone ? text_of(json_, "url") : "");
    samples_.end_row();
    claim(Claim::kUid, uid);
    const std::string_view name = file_name(image.name);
    claim(Claim::kName, as_utf8(name.substr(0, name.rfind('.'))));
    if (alone) {
      claim(Claim::kUid, text_of(json_, "uid"));
      claim(Claim::kName, text_of(json_, "key"));
      claim(Claim::kUrl, text_of(json_, "url"));
    }
    ++place_count_;
  }

  /// `image_uids` of <key>.<number>.<ext>, as `export --to webdataset --table rankings` names them.
  [[nodiscard]] std::string listed_uid(std::string_view name) const {
    const auto list = json_.find("image_uids");
    std::string_view number = name.substr(key_of(name).size());
    if (list == json_.end() || !list->is_array() || number.empty()) return {};
    number.remove_prefix(1);
    std::size_t index = 0;
    const auto [end, status] = std::from_chars(number.data(), number.data() + number.size(), index);
    if (status != std::errc() || end == number.data() + number.size() || *end != '.' || index >= list->size())
      return {};
    const json& uid = (*list)[index];
    return uid.is_string() ? uid.get<std::string>() : std::string();
  }

  void claim(Claim kind, std::string_view text) {
    if (text.empty()) return;
    claims_.append(place_count_);
    claims_.append(static_cast<std::int32_t>(kind));
    claims_.append(text);
    claims_.end_row();
  }

  const RunContext& context_;
  ShardCounts& counts_;
  Database::Appender samples_;
  Database::Appender claims_;
  std::span<const std::byte> bytes_;
  std::filesystem::path place_;
  std::int64_t place_count_ = 0;
  std::vector<TarMember> images_;  ///< of the sample that is being read
  json json_;                      ///< of the same
};

ShardSource::ShardSource(const workspace::Workspace& workspace, const FetchSettings& settings,
                         const RunContext& context)
    : workspace_(workspace),
      settings_(settings),
      context_(context),
      shards_(workspace::expand_patterns(settings.from_shards, "*.tar")),
      database_(1, workspace.root(), kTableMemory) {
  for (const auto& shard : shards_) {
    if (shard.extension() != ".tar")
      fail(ErrorCode::kInvalidArgument, "{}: expected a file named .tar, not compressed", shard.string());
  }
}

void ShardSource::load_rows(FetchCounts& counts) {
  database_.execute("CREATE TABLE listed (image_uid VARCHAR, url VARCHAR, there INTEGER)");
  Database::Appender rows(database_, "listed");
  for_each_row(workspace_, settings_.recheck, context_, [&](const workspace::Image& image, bool there) {
    rows.append(image.image_uid);
    rows.append(image.url);
    rows.append(std::int32_t{there ? 1 : 0});
    rows.end_row();
    ++counts.total;
    counts.skipped += there ? 1 : 0;
  });
  rows.close();
}

void ShardSource::match(FetchCounts& counts) {
  load_rows(counts);
  database_.execute("CREATE TABLE sample (place BIGINT, path VARCHAR, name VARCHAR, sha256 VARCHAR, url VARCHAR)");
  database_.execute("CREATE TABLE claim (place BIGINT, kind INTEGER, text VARCHAR)");
  Reader reader(database_, context_, counts.shards);
  for (const auto& shard : shards_) {
    reader.read(shard, place_of(shard, workspace_.root()));
    context_.report({"read shards", static_cast<std::uint64_t>(counts.shards.files), shards_.size(), ""});
  }
  reader.close();
  // Joined by numbers, which spill to disk where texts would have to stay in memory.
  database_.execute(R"(
    CREATE TABLE met AS
    WITH looks_for AS (
      SELECT rowid AS row_id, url, there, md5_number(image_uid) AS number, false AS by_url FROM listed
      UNION ALL
      SELECT rowid, url, there, md5_number(url), true FROM listed WHERE url <> '')
    SELECT row_id, there, place, kind
    FROM (SELECT place, kind, md5_number(text) AS number, kind = 2 AS by_url FROM claim)
    JOIN looks_for USING (number, by_url) JOIN sample USING (place)
    WHERE kind <> 1 OR sample.url = '' OR looks_for.url = '' OR sample.url = looks_for.url)");
  database_.execute(R"(
    CREATE TABLE chosen AS
    SELECT row_id, min(kind::BIGINT << 48 | place) & ((1::BIGINT << 48) - 1) AS place
    FROM met WHERE there = 0 GROUP BY row_id)");
  ShardCounts& shards = counts.shards;
  const auto total = database_.query_integer("SELECT count(*) FROM sample");
  shards.unmatched = database_.query_integer("SELECT count(*) FROM sample ANTI JOIN met USING (place)");
  shards.unused = total - shards.unmatched - database_.query_integer("SELECT count(DISTINCT place) FROM chosen");
  const auto first =
      database_.query("SELECT name, path FROM sample ANTI JOIN met USING (place) ORDER BY place LIMIT 1");
  if (first.row_count != 0) {
    shards.examples["unmatched"] = {"", first.columns[1].text[0], first.columns[0].text[0]};
  }
}

std::int64_t ShardSource::files() { return database_.query_integer("SELECT count(*) FROM chosen"); }

void ShardSource::for_each_file(const std::function<void(LocalFile&&)>& visit) {
  database_.for_each_chunk(
      "SELECT image_uid, path, sha256 FROM chosen JOIN listed ON listed.rowid = row_id JOIN sample "
      "USING (place) ORDER BY place",
      [&](const workspace::Table& table) {
        context_.check_stop();
        for (std::size_t i = 0; i < table.row_count; ++i) {
          visit({table.columns[0].text[i], table.columns[1].text[i], true, table.columns[2].text[i]});
        }
      });
}

void ShardSource::count_rest(FetchCounts& counts) {
  workspace_.attach(database_, "images");
  const auto failed = database_.query(R"(
    SELECT status, count(*), min(image_uid) FROM images
    WHERE status NOT IN ('', 'ok') AND md5_number(image_uid) IN (SELECT md5_number(image_uid) FROM listed WHERE there = 0)
    GROUP BY status)");
  counts.left = counts.total - counts.skipped - counts.ok;
  for (std::size_t i = 0; i < failed.row_count; ++i) {
    const std::string& status = failed.columns[0].text[i];
    const std::int64_t count = failed.columns[1].integer[i];
    counts.failed[status] = count;
    counts.not_retried += count;
    counts.left -= count;
    counts.examples[status] = {failed.columns[2].text[i], "", "failed in an earlier run, and not in the shards"};
  }
}

}  // namespace imagerank::fetch
