#include "serving/pages.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <chrono>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "core/atomic_file.h"
#include "core/fail.h"
#include "core/hash.h"
#include "serving/voting_answers.h"

namespace imagerank::serving {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::array<std::string_view, 5> kPagePaths = {"/", "/rank", "/choose", "/watch", "/reports"};
constexpr std::array<std::string_view, 11> kOtherRoutes = {
    "/app.js",  "/app.css",  "/v1/voting",      "/v1/sessions", "/v1/sets/next", "/v1/votes",
    "/v1/undo", "/v1/watch", "/v1/images/NAME", "/v1/reports",  "/reports/NAME",
};
constexpr std::size_t kMostFileBytes = std::size_t{64} << 20;
constexpr std::size_t kMostUserBytes = 200;

/// Nothing but our own script and style runs, and nothing is asked of another host.
constexpr const char* kPagePolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// A report is a page of its own origin: it brings its script with it, and can ask this server for nothing.
constexpr const char* kReportPolicy =
    "sandbox allow-scripts allow-popups; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data:; frame-ancestors 'none'";

HttpResponse text_response(std::string_view type, std::string_view text) {
  HttpResponse response;
  response.content_type = type;
  response.body = text;
  response.headers["Cache-Control"] = "no-cache";
  response.headers["Referrer-Policy"] = "no-referrer";
  return response;
}

HttpResponse page_response(std::string_view html, const char* policy) {
  HttpResponse response = text_response("text/html; charset=utf-8", html);
  response.headers["Content-Security-Policy"] = policy;
  return response;
}

HttpResponse json_response(const Json& object) {
  HttpResponse response = text_response("application/json", "");
  response.body = object.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  return response;
}

/// What a failure is told by, here and on other threads.
HttpResponse failure_response(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const votes::RefusedVote& refused) {
    return error_response(vote_status(refused.reason()), refused.what());
  } catch (const Error& error) {
    HttpResponse response = error_response(http_status(error.code()), error.what());
    if (response.status == 503) response.headers["Retry-After"] = "1";
    return response;
  } catch (const std::exception& error) {
    return error_response(500, error.what());
  }
}

/// The body, of fields that are asked for one by one.
class Fields {
 public:
  explicit Fields(const HttpRequest& request) : body_(nlohmann::json::parse(request.body, nullptr, false)) {
    if (body_.is_discarded()) fail(ErrorCode::kCorruptData, "body: expected JSON, found what does not parse");
    if (!body_.is_object()) {
      fail(ErrorCode::kCorruptData, "body: expected a JSON object, found {}", body_.type_name());
    }
  }
  /// @return null for a field that is missing or null.
  [[nodiscard]] const nlohmann::json* find(const char* name) const {
    const auto found = body_.find(name);
    return found == body_.end() || found->is_null() ? nullptr : &*found;
  }
  [[nodiscard]] std::string text(const char* name, const std::string& otherwise) const {
    const auto* const value = find(name);
    if (value == nullptr) return otherwise;
    if (!value->is_string()) fail_type(name, "a string", *value);
    return value->get<std::string>();
  }
  [[nodiscard]] bool truth(const char* name) const {
    const auto* const value = find(name);
    if (value == nullptr) return false;
    if (!value->is_boolean()) fail_type(name, "true or false", *value);
    return value->get<bool>();
  }
  [[nodiscard]] std::int64_t integer(const char* name, std::int64_t otherwise) const {
    const auto* const value = find(name);
    if (value == nullptr) return otherwise;
    if (!value->is_number()) fail_type(name, "a number", *value);
    const double number = value->get<double>();
    constexpr double kMost = 1e15;
    if (!(number >= -kMost && number <= kMost))
      fail(ErrorCode::kInvalidArgument, "{}: expected a smaller number", name);
    return static_cast<std::int64_t>(number);
  }

 private:
  [[noreturn]] static void fail_type(const char* name, const char* expected, const nlohmann::json& found) {
    fail(ErrorCode::kInvalidArgument, "{}: expected {}, found {}", name, expected, found.type_name());
  }
  nlohmann::json body_;
};

/// By the first bytes. What is no image is not shown as anything.
std::string_view image_type(std::string_view bytes) {
  if (bytes.starts_with("\x89PNG")) return "image/png";
  if (bytes.starts_with("\xff\xd8\xff")) return "image/jpeg";
  if (bytes.starts_with("GIF8")) return "image/gif";
  if (bytes.starts_with("RIFF") && bytes.substr(0, 12).ends_with("WEBP")) return "image/webp";
  return "application/octet-stream";
}

double parse_half_width(const std::string& query) {
  constexpr std::string_view kName = "half_width=";
  constexpr double kDefault = 0.05;
  const std::size_t at = query.find(kName);
  if (at == std::string::npos) return kDefault;
  const std::string text = query.substr(at + kName.size(), query.find('&', at) - at - kName.size());
  double value = 0.0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  constexpr double kLeast = 0.001, kMost = 0.4;
  if (error != std::errc() || end != text.data() + text.size() || !(value >= kLeast && value <= kMost)) {
    fail(ErrorCode::kInvalidArgument, "half_width: expected {} to {}, found another value", kLeast, kMost);
  }
  return value;
}

/// A report's headline figures, null where there are none.
Json report_summary(const std::filesystem::path& folder) {
  Json summary = {{"n", nullptr}, {"pair_accuracy", nullptr}, {"accuracy", nullptr}, {"warnings", nullptr}};
  try {
    const auto report = nlohmann::json::parse(load_file(folder / "report.json", kMostFileBytes), nullptr, false);
    if (!report.is_object()) return summary;
    if (report.contains("n")) summary["n"] = report["n"];
    if (report.contains("warnings") && report["warnings"].is_array()) summary["warnings"] = report["warnings"].size();
    const auto metric = [&](const char* field, const char* name) {
      const auto metrics = report.value("metrics", nlohmann::json::object());
      if (metrics.contains(name) && metrics[name].is_object())
        summary[field] = metrics[name].value("value", nlohmann::json());
    };
    metric("pair_accuracy", "pair_accuracy_strict_micro");
    metric("accuracy", "accuracy");
  } catch (const std::exception&) {
    return summary;  // the page opens without it
  }
  return summary;
}

}  // namespace

void check_same_site(const HttpRequest& request) {
  if (!request.fetch_site.empty()) {
    if (request.fetch_site == "same-origin" || request.fetch_site == "none") return;
    fail(ErrorCode::kRefused, "Sec-Fetch-Site: expected a request of this server's own pages, found another site's");
  }
  if (request.origin.empty()) return;  // no browser
  const std::size_t scheme = request.origin.find("://");
  if (scheme == std::string::npos || request.origin.substr(scheme + 3) != request.host) {
    fail(ErrorCode::kRefused, "Origin: expected this server's own, found another site's");
  }
}

Pages::Pages(votes::Voting* voting, const PagesOptions& options)
    : voting_(voting),
      options_(options),
      guideline_hash_(options.guideline.empty() ? "" : sha256_hex(options.guideline)),
      background_(2) {}

bool Pages::has(std::string_view route) noexcept {
  return std::ranges::find(kPagePaths, route) != kPagePaths.end() ||
         std::ranges::find(kOtherRoutes, route) != kOtherRoutes.end();
}

votes::Voting& Pages::voting() const {
  if (voting_ == nullptr)
    fail(ErrorCode::kNotFound, "votes: expected a server that was started with --db, found one without");
  return *voting_;
}

void Pages::later(const Respond& respond, std::function<HttpResponse()> answer) {
  background_.run([respond, answer = std::move(answer)] {
    HttpResponse response;
    try {
      response = answer();
    } catch (...) {
      response = failure_response(std::current_exception());
    }
    respond(std::move(response));
  });
}

namespace {

/// Answers by what the voting's thread found.
template <typename T, typename Answer>
votes::Done<T> answer_by(const Respond& respond, Answer answer) {
  return [respond, answer](const std::function<T()>& result) {
    HttpResponse response;
    try {
      response = answer(result());
    } catch (...) {
      response = failure_response(std::current_exception());
    }
    respond(std::move(response));
  };
}

void refuse_unless(bool taken, const Respond& respond) {
  if (taken) return;
  HttpResponse response =
      error_response(429, "too many requests wait for the database; try again after the time given");
  response.headers["Retry-After"] = "1";
  respond(std::move(response));
}

}  // namespace

void Pages::handle(std::string_view route, const std::string& name, const HttpRequest& request,
                   const Respond& respond) {
  if (std::ranges::find(kPagePaths, route) != kPagePaths.end()) return respond(page_response(app_html(), kPagePolicy));
  if (route == "/app.js") return respond(text_response("text/javascript; charset=utf-8", app_script()));
  if (route == "/app.css") return respond(text_response("text/css; charset=utf-8", app_style()));
  if (request.method == "POST") check_same_site(request);
  try {
    if (route == "/v1/voting") return respond(describe_voting());
    if (route == "/v1/sessions") return start_session(request, respond);
    if (route == "/v1/votes") return vote(request, respond);
    if (route == "/v1/watch") return watch(request, respond);
    if (route == "/v1/sets/next") {
      return refuse_unless(
          voting().next_set(request.session_token, answer_by<votes::NextSet>(respond, next_set_answer)), respond);
    }
    if (route == "/v1/undo") {
      return refuse_unless(voting().undo(request.session_token, answer_by<votes::NextSet>(respond, next_set_answer)),
                           respond);
    }
    if (route == "/v1/images/NAME") return later(respond, [this, name] { return image(name); });
    if (route == "/v1/reports") return later(respond, [this] { return list_reports(); });
    return later(respond, [this, name] { return report(name); });
  } catch (const Error&) {
    respond(failure_response(std::current_exception()));
  }
}

HttpResponse Pages::describe_voting() const {
  const votes::Gallery& gallery = voting().gallery();
  return json_response({{"prompts", gallery.prompts.size()},
                        {"images", gallery.images.size()},
                        {"choices", options_.choices},
                        {"strategy", votes::name_of(options_.strategy)},
                        {"guideline", options_.guideline.empty() ? Json(nullptr) : Json(options_.guideline)}});
}

void Pages::start_session(const HttpRequest& request, const Respond& respond) {
  votes::Voting& service = voting();
  const Fields fields(request);
  votes::SessionStart start;
  start.user = fields.text("user", "");
  if (start.user.size() > kMostUserBytes) {
    fail(ErrorCode::kInvalidArgument, "user: expected at most {} bytes, found {}", kMostUserBytes, start.user.size());
  }
  start.choices = static_cast<int>(std::clamp<std::int64_t>(fields.integer("choices", options_.choices), 0, 99));
  start.strategy = votes::parse_strategy(fields.text("strategy", std::string(votes::name_of(options_.strategy))));
  start.guideline_hash = guideline_hash_;
  if (!guideline_hash_.empty() && !fields.truth("agreed")) {
    fail(ErrorCode::kInvalidArgument, "agreed: expected true, that the voter agreed to the guideline of /v1/voting");
  }
  refuse_unless(service.start_session(std::move(start), answer_by<votes::StartedSession>(respond, session_answer)),
                respond);
}

void Pages::vote(const HttpRequest& request, const Respond& respond) {
  votes::Voting& service = voting();
  const Fields fields(request);
  votes::Vote vote;
  vote.set = fields.text("set", "");
  if (fields.find("choice") != nullptr) vote.choice = fields.text("choice", "");
  vote.skipped = fields.truth("skipped");
  vote.taken_ms = fields.integer("ms", 0);
  refuse_unless(service.vote(request.session_token, std::move(vote), answer_by<votes::Progress>(respond, vote_answer)),
                respond);
}

void Pages::watch(const HttpRequest& request, const Respond& respond) {
  votes::Voting& service = voting();
  const double half_width = parse_half_width(request.query);
  later(respond, [&service, half_width] { return watch_answer(service.watch_votes(), half_width); });
}

HttpResponse Pages::image(const std::string& uid) const {
  const votes::Gallery& gallery = voting().gallery();
  const auto found = gallery.image_of.find(uid);
  if (found == gallery.image_of.end())
    return error_response(404, "image: expected a uid of the workspace, found another");
  std::string bytes = load_file(gallery.images[found->second].file, kMostFileBytes);
  HttpResponse response;
  response.content_type = image_type(bytes);
  response.body = std::move(bytes);
  response.headers["Cache-Control"] = "private, max-age=3600";
  response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox";
  return response;
}

HttpResponse Pages::list_reports() const {
  Json reports = Json::array();
  std::error_code ignored;
  std::vector<std::filesystem::path> folders;
  for (const auto& entry : std::filesystem::directory_iterator(options_.reports, ignored)) {
    if (std::filesystem::is_regular_file(entry.path() / "report.html", ignored)) folders.push_back(entry.path());
  }
  std::ranges::sort(folders);
  for (const auto& folder : folders) {
    const auto written = std::chrono::file_clock::to_sys(std::filesystem::last_write_time(folder / "report.html"));
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(written.time_since_epoch());
    Json report = {{"name", folder.filename().string()}, {"written_ms", ms.count()}};
    report.update(report_summary(folder));
    reports.push_back(std::move(report));
  }
  return json_response({{"reports", std::move(reports)}});
}

HttpResponse Pages::report(const std::string& name) const {
  // The name is looked up among the folders there are, and never made part of a path before.
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(options_.reports, ignored)) {
    if (entry.path().filename() == name && std::filesystem::is_regular_file(entry.path() / "report.html", ignored)) {
      return page_response(load_file(entry.path() / "report.html", kMostFileBytes), kReportPolicy);
    }
  }
  return error_response(404, "report: expected one of /v1/reports, found another name");
}

}  // namespace imagerank::serving
