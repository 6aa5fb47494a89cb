#pragma once

#include <string>

#include "serving/http_message.h"
#include "serving/metrics.h"
#include "serving/pages.h"
#include "serving/requests.h"
#include "serving/scoring_service.h"

namespace imagerank::serving {

/// The server's routes: requests in, work for the service, answers out. JSON ends here. Thread-safe.
class Routes {
 public:
  /// All outlive it.
  Routes(ScoringService& service, Metrics& metrics, const RequestLimits& limits, Pages& pages)
      : service_(service), metrics_(metrics), limits_(limits), pages_(pages) {}

  /// @param respond  called once, on this thread or on one of the service's.
  void handle(HttpRequest&& request, Respond respond) const;

 private:
  void dispatch(const HttpRequest& request, const Respond& respond) const;
  void answer_score(const HttpRequest& request, bool ranked, const Respond& respond) const;
  void answer_embeddings(const HttpRequest& request, const Respond& respond) const;
  void answer_inference(const HttpRequest& request, const std::string& name, const Respond& respond) const;
  [[nodiscard]] HttpResponse describe_model(const std::string& name) const;
  [[nodiscard]] HttpResponse list_models() const;
  void submit(Work&& work, const Respond& respond, std::function<HttpResponse(Results&&)> answer) const;

  ScoringService& service_;
  Metrics& metrics_;
  const RequestLimits limits_;
  Pages& pages_;
};

}  // namespace imagerank::serving
