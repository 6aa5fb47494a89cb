#include "support/hub_server.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "hub/blob_hash.h"

namespace imagerank::test {
namespace {

HttpResponse status(int code, const std::string& body = "") {
  HttpResponse response;
  response.status = code;
  response.body = body;
  return response;
}

std::string decoded(const std::string& text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size()) {
      plain += static_cast<char>(std::stoi(text.substr(i + 1, 2), nullptr, 16));
      i += 2;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

}  // namespace

std::string hub_etag(const HubFile& file) {
  Digest hash = hub::blob_digest(std::string(file.lfs ? 64 : 40, '0'), file.content.size());
  hash.update(std::as_bytes(std::span(file.content)));
  return hash.hex_digest();
}

HubServer::HubServer(std::string id, hub::RepositoryKind kind)
    : repository_{kind, std::move(id)}, server_([this](const HttpRequest& raw) {
        HubRequest request{raw.method, raw.path, raw.header("range"), raw.header("authorization"), ""};
        if (request.path.starts_with("http://")) {  // as a proxy is asked
          request.host = request.path.substr(7, request.path.find('/', 7) - 7);
          request.path.erase(0, 7 + request.host.size());
        }
        {
          const std::lock_guard lock(mutex_);
          requests_.push_back(request);
        }
        HttpResponse normal = answer(request);
        if (hook) {
          if (auto other = hook(request, normal)) return std::move(*other);
        }
        return normal;
      }) {}

std::vector<HubRequest> HubServer::requests() {
  const std::lock_guard lock(mutex_);
  return requests_;
}

std::vector<HubRequest> HubServer::file_requests() {
  std::vector<HubRequest> found = requests();
  std::erase_if(found, [](const HubRequest& request) {
    return request.path.find("/resolve/") == std::string::npos && request.path.find("/cdn/") == std::string::npos;
  });
  return found;
}

HttpResponse HubServer::answer(const HubRequest& request) const {
  const std::string path = request.path.substr(0, request.path.find('?'));
  const std::string query = path.size() == request.path.size() ? "" : request.path.substr(path.size() + 1);
  if (path.starts_with("/cdn/")) return answer_file(request, decoded(path.substr(5)), false);
  if (!token.empty() && request.authorization != fmt::format("Bearer {}", token)) return status(401, "{}");
  const std::string api = fmt::format("/api/{}/", repository_.api_path());
  const std::string resolve = fmt::format("/{}/resolve/{}/", repository_.page(), commit);
  if (path.starts_with(api)) return answer_api(path.substr(api.size()), query);
  if (path.starts_with(resolve)) return answer_file(request, decoded(path.substr(resolve.size())), true);
  return status(404);
}

HttpResponse HubServer::answer_api(const std::string& rest, const std::string& query) const {
  const bool known = std::ranges::any_of(
      branches, [&](const std::string& branch) { return rest == fmt::format("revision/{}", branch); });
  if (known || rest == fmt::format("revision/{}", commit)) {
    nlohmann::json siblings = nlohmann::json::array();
    for (const auto& [name, file] : files) {
      nlohmann::json entry = {{"rfilename", name}};
      if (query == "blobs=true" && blobs_have_sizes) {
        entry["size"] = file.content.size();
        entry["blobId"] = hub_etag({file.content, false});
        if (file.lfs) entry["lfs"] = {{"size", file.content.size()}, {"sha256", hub_etag(file)}, {"pointerSize", 130}};
      }
      siblings.push_back(std::move(entry));
    }
    return status(200, nlohmann::json({{"id", repository_.id}, {"sha", commit}, {"siblings", siblings}}).dump());
  }
  if (rest == fmt::format("tree/{}", commit) && has_tree) {
    const std::size_t cursor = query.find("cursor=");
    return answer_tree(cursor == std::string::npos ? 0 : std::stoul(query.substr(cursor + 7)));
  }
  return status(404);
}

HttpResponse HubServer::answer_tree(std::size_t start) const {
  nlohmann::json entries = nlohmann::json::array();
  entries.push_back({{"type", "directory"}, {"path", "data"}, {"oid", std::string(40, 'd')}, {"size", 0}});
  std::size_t index = 0;
  for (const auto& [name, file] : files) {
    if (index >= start && index < start + page_size) {
      nlohmann::json entry = {
          {"type", "file"}, {"path", name}, {"size", file.content.size()}, {"oid", hub_etag({file.content, false})}};
      if (file.lfs) entry["lfs"] = {{"oid", hub_etag(file)}, {"size", file.content.size()}, {"pointerSize", 130}};
      entries.push_back(std::move(entry));
    }
    ++index;
  }
  HttpResponse response = status(200, entries.dump());
  if (start + page_size < files.size()) {
    response.headers.emplace_back(
        "Link", fmt::format("<{}/api/{}/tree/{}?recursive=true&cursor={}>; rel=\"next\"", server_.url(""),
                            repository_.api_path(), commit, start + page_size));
  }
  return response;
}

HttpResponse HubServer::answer_file(const HubRequest& request, const std::string& name, bool resolve) const {
  const auto found = files.find(name);
  if (found == files.end()) return status(404);
  const HubFile& file = found->second;
  HttpResponse response;
  if (resolve) {
    response.headers = {{"X-Repo-Commit", commit}, {"ETag", fmt::format("\"{}\"", hub_etag(file))}};
    if (file.lfs) {
      response.headers.emplace_back("X-Linked-ETag", fmt::format("\"{}\"", hub_etag(file)));
      response.headers.emplace_back("X-Linked-Size", std::to_string(file.content.size()));
    }
    if (!content_host.empty()) {
      response.status = 302;
      response.headers.emplace_back("Location", fmt::format("{}/cdn/{}?signature=secret", content_host, name));
      return response;
    }
  }
  response.headers.emplace_back("Accept-Ranges", "bytes");
  response.body = file.content;
  if (request.range.starts_with("bytes=")) {
    const std::size_t from = std::stoul(request.range.substr(6));
    if (from >= file.content.size()) return status(416);
    response.status = 206;
    response.body = file.content.substr(from);
    response.headers.emplace_back("Content-Range",
                                  fmt::format("bytes {}-{}/{}", from, file.content.size() - 1, file.content.size()));
  }
  if (request.method == "HEAD") {
    response.claimed_length = response.body.size();
    response.body.clear();
  }
  return response;
}

}  // namespace imagerank::test
