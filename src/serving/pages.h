#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "serving/background.h"
#include "serving/http_message.h"
#include "votes/voting.h"

namespace imagerank::serving {

/// What web/ builds, as the server hands it out (cmake/ImagerankWeb.cmake).
[[nodiscard]] std::string_view app_html() noexcept;
[[nodiscard]] std::string_view app_script() noexcept;
[[nodiscard]] std::string_view app_style() noexcept;

struct PagesOptions {
  std::string guideline;                                  ///< what voters agree to, as text; "": nothing is asked
  int choices = 2;                                        ///< images a set where a session does not say
  votes::Strategy strategy = votes::Strategy::kBalanced;  ///< likewise
  std::filesystem::path reports;                          ///< the folder of a workspace's reports; "": none
};

/// The pages, and what they ask for beside scores: votes, images, reports. JSON ends here. Thread-safe.
///   GET  /, /rank, /choose, /watch, /reports   the page; /app.js, /app.css
///   GET  /v1/voting         what there is to choose from, and what to agree to
///   POST /v1/sessions       {"user", "choices", "strategy", "agreed"} -> {"token"}
///   GET  /v1/sets/next      Session-Token -> {"set": {"id", "prompt", "images": [{"uid", "url"}]}, "progress"}
///   POST /v1/votes          Session-Token, {"set", "choice", "skipped", "ms"} -> 201 {"progress"}: it is on disk
///   POST /v1/undo           Session-Token -> as /v1/sets/next
///   GET  /v1/images/NAME    a workspace's image, by uid
///   GET  /v1/watch          ?half_width=0.05: what the votes say of the voters
///   GET  /v1/reports        the workspace's reports; /reports/NAME: one
class Pages {
 public:
  /// @param voting  outlives it; null: the routes of votes answer 404.
  Pages(votes::Voting* voting, const PagesOptions& options);

  /// Whether a route (of Routes' table) is answered here.
  [[nodiscard]] static bool has(std::string_view route) noexcept;
  /// @param name  what stood for NAME. @param respond  called once, on any thread. @throws Error.
  void handle(std::string_view route, const std::string& name, const HttpRequest& request, const Respond& respond);

 private:
  void start_session(const HttpRequest& request, const Respond& respond);
  void vote(const HttpRequest& request, const Respond& respond);
  void watch(const HttpRequest& request, const Respond& respond);
  [[nodiscard]] HttpResponse describe_voting() const;
  [[nodiscard]] HttpResponse list_reports() const;
  [[nodiscard]] HttpResponse report(const std::string& name) const;
  [[nodiscard]] HttpResponse image(const std::string& uid) const;
  [[nodiscard]] votes::Voting& voting() const;
  /// Answers from a thread that may wait for a disk.
  void later(const Respond& respond, std::function<HttpResponse()> answer);

  votes::Voting* const voting_;
  const PagesOptions options_;
  const std::string guideline_hash_;
  Background background_;
};

/// @throws Error kRefused for a request that another site's page made: browsers say where one comes from.
void check_same_site(const HttpRequest& request);

}  // namespace imagerank::serving
