#include "preferences/embedded_images.h"

#include <fcntl.h>
#include <unistd.h>

#include <map>
#include <unordered_set>
#include <utility>

#include "core/atomic_file.h"
#include "core/fail.h"
#include "core/hash.h"
#include "images/inspect.h"

namespace imagerank::preferences {
namespace {

/// The workspace's path of an image, or empty if its uid is no safe file name; such rows are counted when staged.
std::filesystem::path safe_path(const std::string& uid, images::ImageFormat format) {
  try {
    return workspace::Workspace::image_path(uid, std::string(images::file_extension(format)));
  } catch (const Error&) {
    return {};
  }
}

/// What an import that was killed left half-written.
void remove_leftovers(const std::filesystem::path& images) {
  std::error_code error;
  for (const auto& folder : std::filesystem::directory_iterator(images, error)) {
    if (folder.is_directory(error)) remove_stale_temporaries(folder.path());
  }
}

/// All files at once, before the table that says they are there.
void flush(const std::filesystem::path& folder) {
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return;  // no image was written
  const int result = ::syncfs(descriptor);
  ::close(descriptor);
  if (result != 0) fail(ErrorCode::kIo, "{}: cannot flush the images", folder.string());
}

/// DuckDB reads several row groups at once otherwise, and each may be hundreds of megabytes.
class OneThread {
 public:
  explicit OneThread(workspace::Database& database) : database_(database) {
    before_ = database_.query_integer("SELECT current_setting('threads')");
    database_.execute("SET threads = 1");
  }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;
  ~OneThread() {
    try {
      database_.execute(fmt::format("SET threads = {}", before_));
    } catch (const Error&) {
      return;  // slower, no worse
    }
  }

 private:
  workspace::Database& database_;
  std::int64_t before_ = 1;
};

}  // namespace

void make_embedded_table(Incoming& incoming) {
  incoming.database().execute(
      "CREATE TABLE IF NOT EXISTS embedded (image_uid VARCHAR, path VARCHAR, width INTEGER, height INTEGER, sha256 "
      "VARCHAR)");
}

void write_embedded_images(Incoming& incoming, const std::string& rows, const std::string& uid,
                           const std::string& bytes) {
  make_embedded_table(incoming);
  workspace::Database& database = incoming.database();
  incoming.workspace().attach_or_empty(database, "images");
  const std::filesystem::path folder = incoming.workspace().root() / "images";
  remove_leftovers(folder);
  const OneThread one_thread(database);
  std::unordered_set<std::string> seen;
  std::map<std::string, std::int64_t> skipped;
  std::vector<workspace::Image> written;
  const auto write = [&](const std::string& image_uid, const std::string& body) {
    const images::Inspection image = images::inspect_image(std::as_bytes(std::span(body)));
    if (!image.ok()) {
      ++skipped["embedded_" + image.reason];
      return;
    }
    const auto path = safe_path(image_uid, image.format);
    if (path.empty() || !seen.insert(image_uid).second) return;
    write_file_atomically(incoming.workspace().root() / path, body, false);
    workspace::Image& row = written.emplace_back();
    row.image_uid = image_uid;
    row.path = path.string();
    row.sha256 = sha256_hex(body);
    row.width = image.width;
    row.height = image.height;
  };
  database.for_each_chunk(
      fmt::format("SELECT uid, body FROM (SELECT {} AS uid, {} AS body FROM {}) WHERE uid <> '' AND body IS NOT NULL "
                  "AND uid NOT IN (SELECT image_uid FROM embedded) "
                  "AND uid NOT IN (SELECT image_uid FROM images WHERE status = 'ok')",
                  uid, bytes, rows),
      [&](const workspace::Table& chunk) {
        incoming.context().check_stop();
        for (std::size_t i = 0; i < chunk.row_count; ++i) {
          if (!seen.contains(chunk.columns[0].text[i])) write(chunk.columns[0].text[i], chunk.columns[1].text[i]);
        }
      });
  if (!written.empty()) flush(folder);
  for (const auto& [reason, count] : skipped) incoming.skip(reason, count);
  workspace::Database::Appender appender(database, "embedded");
  for (const workspace::Image& image : written) {
    appender.append(image.image_uid);
    appender.append(image.path);
    appender.append(image.width);
    appender.append(image.height);
    appender.append(image.sha256);
    appender.end_row();
  }
  appender.close();
}

}  // namespace imagerank::preferences
