#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "hub/repository.h"
#include "support/http_server.h"

namespace imagerank::test {

/// One request as the hub saw it.
struct HubRequest {
  std::string method;
  std::string path;           ///< query included
  std::string range;          ///< of the Range header, "" if there was none
  std::string authorization;  ///< of the Authorization header
  std::string host;           ///< where it was to go, if this server is asked as a proxy
};

struct HubFile {
  std::string content;
  bool lfs = true;
};

/// What lower-case hex digits the hub gives a content: SHA-256, or git's SHA-1 of it as a blob.
[[nodiscard]] std::string hub_etag(const HubFile& file);

/// A server of Hugging Face's URL scheme with one repository: revision, tree (in pages) and resolve, with Range. What
/// it is to do wrong, a hook says. Members may be changed before the first request only.
class HubServer {
 public:
  explicit HubServer(std::string id, hub::RepositoryKind kind = hub::RepositoryKind::kDataset);

  std::string commit = "0123456789abcdef0123456789abcdef01234567";
  std::map<std::string, HubFile> files;
  std::vector<std::string> branches = {"main"};
  std::size_t page_size = 1000;
  bool has_tree = true;
  bool blobs_have_sizes = true;  ///< in ?blobs=true
  std::string token;             ///< "": open to all
  std::string content_host;      ///< files are redirected to <content_host>/cdn/<path>; "": answered directly
  /// What to answer instead; nullopt: as the scheme has it. `normal` is what that would be.
  std::function<std::optional<HttpResponse>(const HubRequest& request, const HttpResponse& normal)> hook;

  [[nodiscard]] std::string endpoint() const { return server_.url(""); }
  /// The scheme's answer, for a server that stands in for several.
  [[nodiscard]] HttpResponse respond(const HubRequest& request) const { return answer(request); }
  [[nodiscard]] std::vector<HubRequest> requests();
  /// Those for files: /resolve/ and /cdn/.
  [[nodiscard]] std::vector<HubRequest> file_requests();

 private:
  HttpResponse answer(const HubRequest& request) const;
  HttpResponse answer_api(const std::string& rest, const std::string& query) const;
  HttpResponse answer_tree(std::size_t start) const;
  HttpResponse answer_file(const HubRequest& request, const std::string& name, bool resolve) const;

  hub::Repository repository_;
  std::mutex mutex_;
  std::vector<HubRequest> requests_;
  HttpServer server_;  // the last: its threads use the others
};

}  // namespace imagerank::test
