#include "fetch/plan.h"

#include <algorithm>
#include <atomic>
#include <future>
#include <vector>

#include "core/fail.h"
#include "core/hash.h"
#include "fetch/tables.h"
#include "workspace/keys.h"

namespace imagerank::fetch {
namespace {

/// "http_5*" matches "http_503".
bool matches(std::string_view pattern, std::string_view reason) {
  return pattern.ends_with('*') ? reason.starts_with(pattern.substr(0, pattern.size() - 1)) : pattern == reason;
}

std::string table_of(const AtomicFile& list) {
  return fmt::format("read_parquet({})", workspace::sql_literal(list.temporary_path().string()));
}

bool is_intact(const workspace::Workspace& workspace, const workspace::Image& row, bool recheck) {
  const auto path = workspace.resolve(row);
  if (row.status != "ok" || row.path.empty() || !has_file(path)) return false;
  return !recheck || row.sha256.empty() || sha256_hex(load_file(path)) == row.sha256;
}

std::vector<char> find_intact(const workspace::Workspace& workspace, const std::vector<workspace::Image>& rows,
                              bool recheck, const RunContext& context) {
  std::vector<char> intact(rows.size());
  std::atomic<std::size_t> next = 0;
  std::vector<std::future<void>> workers;
  for (int i = 0; i < context.thread_count(); ++i) {
    workers.push_back(std::async(std::launch::async, [&] {
      for (std::size_t row = next++; row < rows.size(); row = next++) {
        context.check_stop();
        intact[row] = is_intact(workspace, rows[row], recheck) ? 1 : 0;
      }
    }));
  }
  for (auto& worker : workers) worker.get();
  return intact;
}

}  // namespace

void for_each_row(const workspace::Workspace& workspace, bool recheck, const RunContext& context,
                  const std::function<void(const workspace::Image& row, bool there)>& visit) {
  workspace::Database reader(1, workspace.root(), kTableMemory);
  workspace.attach(reader, "images");
  std::vector<workspace::Image> rows;
  reader.for_each_chunk("SELECT image_uid, url, path, sha256, status FROM images", [&](const workspace::Table& table) {
    rows.resize(table.row_count);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      rows[i].image_uid = table.columns[0].text[i];
      rows[i].url = table.columns[1].text[i];
      rows[i].path = table.columns[2].text[i];
      rows[i].sha256 = table.columns[3].text[i];
      rows[i].status = table.columns[4].text[i];
    }
    const std::vector<char> intact = find_intact(workspace, rows, recheck, context);
    for (std::size_t i = 0; i < rows.size(); ++i) visit(rows[i], intact[i] != 0);
  });
}

Plan::Plan(const workspace::Workspace& workspace, const FetchSettings& settings, const RunContext& context,
           const PlanEvents& events)
    : workspace_(workspace),
      settings_(settings),
      context_(context),
      wanted_list_(workspace.root() / "wanted"),
      local_list_(workspace.root() / "local") {
  workspace::Database database(1, workspace.root(), kTableMemory);
  judge_rows(database, events);
  workspace.attach_or_empty(database, "validators");
  database.copy_parquet("SELECT image_uid, path FROM local", local_list_);
  // One row stands for a URL; a file that is missing somewhere must come whole. Grouped by numbers, which spill to disk
  // where texts would have to stay in memory.
  database.execute(R"(
    CREATE TABLE stands AS
    SELECT min(has_file::BIGINT << 48 | rowid) AS first, count(*) AS copies FROM wanted GROUP BY md5_number(url))");
  database.copy_parquet(R"(
    SELECT image_uid, url, copies, CASE WHEN has_file = 1 THEN coalesce(etag, '') ELSE '' END AS etag,
           CASE WHEN has_file = 1 THEN coalesce(last_modified, '') ELSE '' END AS last_modified, has_file
    FROM wanted JOIN stands ON wanted.rowid = first & ((1::BIGINT << 48) - 1) LEFT JOIN validators USING (url)
    ORDER BY hash(url))",
                        wanted_list_);
  files_ = database.query_integer("SELECT count(*) FROM local");
  urls_ = database.query_integer("SELECT count(*) FROM " + table_of(wanted_list_));
  same_url_ = database.query_integer("SELECT count(*) FROM wanted") - urls_;
}

void Plan::judge_rows(workspace::Database& database, const PlanEvents& events) {
  database.execute("CREATE TABLE wanted (image_uid VARCHAR, url VARCHAR, has_file INTEGER)");
  database.execute("CREATE TABLE local (image_uid VARCHAR, path VARCHAR)");
  workspace::Database::Appender wanted(database, "wanted");
  workspace::Database::Appender local(database, "local");
  for_each_row(workspace_, settings_.recheck, context_, [&](const workspace::Image& row, bool there) {
    judge(row, there, events, wanted, local);
    ++total_;
  });
  wanted.close();
  local.close();
}

void Plan::judge(const workspace::Image& row, bool there, const PlanEvents& events,
                 workspace::Database::Appender& wanted, workspace::Database::Appender& local) {
  const FetchExample example{row.image_uid, row.url, ""};
  const auto fail_row = [&](const std::string& reason, std::string detail) {
    events.failed({row.image_uid, row.url, std::move(detail)}, reason, row.status == reason);
  };
  if (there && (!settings_.refresh || row.url.empty())) return events.skipped();
  const bool failed_before = !row.status.empty() && row.status != "ok";
  if (failed_before && !row.url.empty() && !retries(row.status)) return events.not_retried(example, row.status);
  if (!row.path.empty() && row.status != "ok" && has_file(workspace_.resolve(row))) {
    local.append(row.image_uid);
    local.append(row.path);
    local.end_row();
    return;
  }
  if (row.url.empty()) {
    return row.path.empty() ? fail_row("no_url", "expected a url or a path, found neither")
                            : fail_row("missing", workspace_.resolve(row).string());
  }
  if (!workspace::is_safe_uid(row.image_uid))
    return fail_row("unsafe_uid", fmt::format("image uid '{}': not usable as a file name", row.image_uid));
  wanted.append(row.image_uid);
  wanted.append(row.url);
  wanted.append(std::int32_t{there ? 1 : 0});
  wanted.end_row();
}

bool Plan::retries(const std::string& status) const {
  if (status == "refused_address" && settings_.network.allow_local) return true;
  if (status == "noai" && !settings_.network.respect_noai) return true;
  if (!settings_.retry_failed) return false;
  if (settings_.retry_reasons.empty()) return true;
  return std::ranges::any_of(settings_.retry_reasons,
                             [&](const std::string& pattern) { return matches(pattern, status); });
}

void Plan::for_each_file(const std::function<void(LocalFile&&)>& visit) {
  workspace::Database database(1);
  database.for_each_chunk("SELECT image_uid, path FROM " + table_of(local_list_), [&](const workspace::Table& rows) {
    context_.check_stop();
    for (std::size_t i = 0; i < rows.row_count; ++i)
      visit({rows.columns[0].text[i], rows.columns[1].text[i], false, ""});
  });
}

void Plan::for_each_url(const std::function<void(const WantedSource&)>& fetch) {
  workspace::Database database(1);
  workspace::Database::Cursor cursor(database, "SELECT * FROM " + table_of(wanted_list_));
  workspace::Table rows;
  std::size_t next = 0;
  fetch([&](Wanted& wanted) {
    if (next >= rows.row_count) {
      if (!cursor.next(rows)) return false;
      next = 0;
    }
    wanted.image_uid = rows.columns[0].text[next];
    wanted.url = rows.columns[1].text[next];
    wanted.copies = rows.columns[2].integer[next];
    wanted.etag = rows.columns[3].text[next];
    wanted.last_modified = rows.columns[4].text[next];
    wanted.has_file = rows.columns[5].integer[next] != 0;
    ++next;
    return true;
  });
}

}  // namespace imagerank::fetch
