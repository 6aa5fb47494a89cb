#pragma once

#include <memory>
#include <string>

#include "serving/scoring_service.h"

namespace imagerank::serving {

/// What GET /metrics tells, in Prometheus' text format. Thread-safe.
class Metrics {
 public:
  Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;
  ~Metrics();

  /// A request answered. @param route  a route's path, never the client's text.
  void add_request(const std::string& route, int status, double seconds);
  void add_connection();
  void remove_connection();
  /// The text, with the service's counts as they are now.
  [[nodiscard]] std::string text(const ServiceCounts& counts);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace imagerank::serving
