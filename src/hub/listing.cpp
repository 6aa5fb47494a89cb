#include "hub/listing.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "core/fail.h"
#include "hub/blob_hash.h"

namespace imagerank::hub {
namespace {

constexpr int kMostPages = 100000;

const nlohmann::json* member(const nlohmann::json& object, const char* name) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(name);
  return found == object.end() ? nullptr : &*found;
}

std::string text_of(const nlohmann::json& object, const char* name) {
  const nlohmann::json* const value = member(object, name);
  return value != nullptr && value->is_string() ? value->get<std::string>() : std::string();
}

std::optional<std::uint64_t> size_of(const nlohmann::json& object, const char* name) {
  const nlohmann::json* const value = member(object, name);
  return value != nullptr && value->is_number_unsigned() ? std::optional(value->get<std::uint64_t>()) : std::nullopt;
}

std::optional<std::uint64_t> number_of(const std::string& text) {
  std::uint64_t value = 0;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || status != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// W/"abc" and "abc" as abc.
std::string unquoted(std::string etag) {
  if (etag.starts_with("W/")) etag.erase(0, 2);
  std::erase(etag, '"');
  return etag;
}

/// Builds a listing from what one hub says, and checks all of it.
class Lister {
 public:
  Lister(HttpClient& client, RetryGate& gate, const HubSettings& settings, const Repository& repository,
         const std::vector<std::string>& patterns)
      : client_(client),
        gate_(gate),
        settings_(settings),
        repository_(repository),
        patterns_(patterns),
        what_(fmt::format("{} at '{}'", repository.title(), repository.revision)),
        api_(fmt::format("{}/api/{}", settings.endpoint, repository.api_path())) {}

  Listing list() {
    const nlohmann::json info = get_json(fmt::format("{}/revision/{}", api_, url_encoded(repository_.revision, false)));
    listing_.commit = text_of(info, "sha");
    if (!is_commit(listing_.commit)) fail_shape("the commit as 'sha', 40 hex digits");
    if (!add_tree()) add_siblings();
    std::ranges::sort(listing_.files, {}, &RemoteFile::path);
    return std::move(listing_);
  }

 private:
  [[noreturn]] void fail_shape(const char* expected) const {
    fail(ErrorCode::kCorruptData, "{}: expected {} in the answer of {}, found something else", what_, expected,
         shown_url(settings_.endpoint));
  }

  HttpAnswer get(const std::string& url, bool head = false) {
    HttpRequest request;
    request.url = url;
    request.head = head;
    return get_patiently(client_, gate_, request, settings_.retries);
  }

  nlohmann::json parse(const HttpAnswer& answer) const {
    nlohmann::json value = nlohmann::json::parse(answer.body, nullptr, false);
    if (value.is_discarded()) fail_shape("JSON");
    return value;
  }

  nlohmann::json get_json(const std::string& url) {
    const HttpAnswer answer = get(url);
    if (!answer.ok()) fail_answer(settings_, repository_, what_, answer);
    return parse(answer);
  }

  /// @return false if this hub has no tree of files.
  bool add_tree() {
    std::string url = fmt::format("{}/tree/{}?recursive=true&expand=false", api_, listing_.commit);
    for (int page = 0; !url.empty(); ++page) {
      const HttpAnswer answer = get(url);
      const bool unknown =
          answer.problem.empty() && (answer.status == 404 || answer.status == 405 || answer.status == 501);
      if (page == 0 && unknown) return false;
      if (!answer.ok()) fail_answer(settings_, repository_, what_, answer);
      if (page == kMostPages) fail_shape("an end of the pages");
      const nlohmann::json entries = parse(answer);
      if (!entries.is_array()) fail_shape("a list of files");
      for (const nlohmann::json& entry : entries) {
        if (text_of(entry, "type") == "directory") continue;
        const nlohmann::json* const lfs = member(entry, "lfs");
        const bool large = lfs != nullptr && lfs->is_object();
        add(text_of(entry, "path"), size_of(large ? *lfs : entry, "size"), text_of(large ? *lfs : entry, "oid"));
      }
      url = next_link(answer.header("link"));
      if (url.starts_with('/')) url = settings_.endpoint + url;
    }
    return true;
  }

  void add_siblings() {
    const nlohmann::json info = get_json(fmt::format("{}/revision/{}?blobs=true", api_, listing_.commit));
    const nlohmann::json* const siblings = member(info, "siblings");
    if (siblings == nullptr || !siblings->is_array()) fail_shape("'siblings', a list of files");
    for (const nlohmann::json& entry : *siblings) {
      const nlohmann::json* const lfs = member(entry, "lfs");
      const bool large = lfs != nullptr && lfs->is_object();
      add(text_of(entry, "rfilename"), size_of(large ? *lfs : entry, "size"),
          large ? text_of(*lfs, "sha256") : text_of(entry, "blobId"));
    }
  }

  /// Every name is checked, wanted or not: a hub that sends one bad name is not to be trusted with the others.
  void add(const std::string& path, std::optional<std::uint64_t> size, std::string etag) {
    if (!is_safe_file_name(path)) {
      fail(ErrorCode::kRefused, "{}: expected file names that stay inside a folder, found {}", what_,
           nlohmann::json(path).dump());
    }
    if (etag.starts_with("sha256:")) etag.erase(0, 7);
    if (!is_wanted(path, patterns_) || !seen_.insert(path).second) return;
    if (!size || etag.empty()) return add_by_headers(path);
    add_checked({path, *size, etag});
  }

  void add_by_headers(const std::string& path) {
    const HttpAnswer answer = get(file_url(settings_, repository_, listing_.commit, path), true);
    const bool redirect = answer.status >= 300 && answer.status < 400;
    if (!answer.problem.empty() || answer.status >= 400)
      fail_answer(settings_, repository_, fmt::format("{} of {}", path, what_), answer);
    const auto linked = number_of(answer.header("x-linked-size"));
    const auto size = linked || redirect ? linked : number_of(answer.header("content-length"));
    const std::string etag = answer.header("x-linked-etag");
    if (!size) fail_shape("a file's size (X-Linked-Size or Content-Length)");
    add_checked({path, *size, unquoted(etag.empty() && !redirect ? answer.header("etag") : etag)});
  }

  void add_checked(RemoteFile file) {
    // The checksum becomes a file name.
    if (!is_checksum(file.etag)) fail_shape("a SHA-256 or a git SHA-1 of each file");
    listing_.files.push_back(std::move(file));
  }

  HttpClient& client_;
  RetryGate& gate_;
  const HubSettings& settings_;
  const Repository& repository_;
  const std::vector<std::string>& patterns_;
  std::string what_;
  std::string api_;
  Listing listing_;
  std::set<std::string> seen_;
};

}  // namespace

Listing list_repository(HttpClient& client, RetryGate& gate, const HubSettings& settings, const Repository& repository,
                        const std::vector<std::string>& patterns) {
  return Lister(client, gate, settings, repository, patterns).list();
}

std::string file_url(const HubSettings& settings, const Repository& repository, const std::string& commit,
                     const std::string& path) {
  return fmt::format("{}/{}/resolve/{}/{}", settings.endpoint, repository.page(), commit, url_encoded(path, true));
}

std::string next_link(const std::string& header) {
  for (std::size_t at = 0; (at = header.find('<', at)) != std::string::npos;) {
    const std::size_t end = header.find('>', at);
    if (end == std::string::npos) return "";
    const std::string target = header.substr(at + 1, end - at - 1);
    const std::size_t next = header.find('<', end);
    const std::string parameters = header.substr(end, next == std::string::npos ? next : next - end);
    if (parameters.find("rel=\"next\"") != std::string::npos || parameters.find("rel=next") != std::string::npos)
      return target;
    at = end;
  }
  return "";
}

}  // namespace imagerank::hub
