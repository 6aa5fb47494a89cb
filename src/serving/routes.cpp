#include "serving/routes.h"

#include <array>
#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <utility>

#include "core/fail.h"
#include "core/printable.h"
#include "imagerank/version.h"
#include "serving/answers.h"
#include "serving/openapi.h"

namespace imagerank::serving {
namespace {

using Json = nlohmann::ordered_json;

HttpResponse json_response(const Json& object) {
  HttpResponse response;
  response.body = object.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  return response;
}

/// The paths there are, and the one method each takes. NAME stands for a reward.
struct Route {
  std::string_view path;
  std::string_view method;
};
constexpr std::array kRoutes = {
    Route{"/", "GET"},
    Route{"/docs", "GET"},
    Route{"/openapi.json", "GET"},
    Route{"/metrics", "GET"},
    Route{"/v1/score", "POST"},
    Route{"/v1/rank", "POST"},
    Route{"/v1/embeddings", "POST"},
    Route{"/v1/models", "GET"},
    Route{"/v2", "GET"},
    Route{"/v2/health/live", "GET"},
    Route{"/v2/health/ready", "GET"},
    Route{"/v2/models/NAME", "GET"},
    Route{"/v2/models/NAME/ready", "GET"},
    Route{"/v2/models/NAME/infer", "POST"},
    Route{"/rank", "GET"},
    Route{"/choose", "GET"},
    Route{"/watch", "GET"},
    Route{"/reports", "GET"},
    Route{"/reports/NAME", "GET"},
    Route{"/app.js", "GET"},
    Route{"/app.css", "GET"},
    Route{"/v1/voting", "GET"},
    Route{"/v1/sessions", "POST"},
    Route{"/v1/sets/next", "GET"},
    Route{"/v1/votes", "POST"},
    Route{"/v1/undo", "POST"},
    Route{"/v1/watch", "GET"},
    Route{"/v1/images/NAME", "GET"},
    Route{"/v1/reports", "GET"},
};

struct Match {
  const Route* route = nullptr;
  std::string name;  ///< what stood for NAME
};

/// Percent-encoding undone; what is malformed stays as it is and names nothing.
std::string decode_name(std::string_view text) {
  const auto digit = [](char c) -> int {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
  };
  std::string name;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool escape = text[i] == '%' && i + 2 < text.size() && digit(text[i + 1]) >= 0 && digit(text[i + 2]) >= 0;
    name += escape ? static_cast<char>(digit(text[i + 1]) * 16 + digit(text[i + 2])) : text[i];
    if (escape) i += 2;
  }
  return name;
}

std::optional<Match> find_route(std::string_view path) {
  for (const Route& route : kRoutes) {
    const std::size_t variable = route.path.find("NAME");
    if (variable == std::string_view::npos) {
      if (path == route.path) return Match{&route, ""};
      continue;
    }
    const std::string_view before = route.path.substr(0, variable), after = route.path.substr(variable + 4);
    if (path.size() <= before.size() + after.size() || !path.starts_with(before) || !path.ends_with(after)) continue;
    const std::string_view name = path.substr(before.size(), path.size() - before.size() - after.size());
    if (name.find('/') == std::string_view::npos) return Match{&route, decode_name(name)};
  }
  return std::nullopt;
}

bool is_json_or_form(const HttpRequest& request, bool form_too) {
  const std::string& type = request.content_type;
  return type.empty() || type.starts_with("application/json") || (form_too && type.starts_with("multipart/form-data"));
}

}  // namespace

void Routes::handle(HttpRequest&& request, Respond respond) const {
  const auto begin = std::chrono::steady_clock::now();
  const std::optional<Match> match = find_route(request.path);
  const std::string route = match ? std::string(match->route->path) : "none";
  const Respond counted = [this, begin, route, respond = std::move(respond)](HttpResponse&& response) {
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
    metrics_.add_request(route, response.status, taken.count());
    respond(std::move(response));
  };
  if (!match) {
    counted(error_response(404, "path: expected one of /openapi.json's, found another"));
    return;
  }
  if (request.method != match->route->method && !(request.method == "HEAD" && match->route->method == "GET")) {
    HttpResponse response =
        error_response(405, fmt::format("{}: expected {}, found another method", route, match->route->method));
    response.headers["Allow"] = match->route->method;
    counted(std::move(response));
    return;
  }
  try {
    if (match->route->method == "POST" && !is_json_or_form(request, route == "/v1/score" || route == "/v1/rank")) {
      counted(error_response(415, "Content-Type: expected application/json (or multipart/form-data for scores)"));
      return;
    }
    if (Pages::has(route)) return pages_.handle(route, match->name, request, counted);
    if (route == "/v2/models/NAME") return counted(describe_model(match->name));
    if (route == "/v2/models/NAME/infer") return answer_inference(request, match->name, counted);
    if (route == "/v2/models/NAME/ready") {
      if (!find_reward(service_.rewards(), match->name)) return counted(describe_model(match->name));
      return counted(json_response({{"name", match->name}, {"ready", true}}));
    }
    dispatch(request, counted);
  } catch (const Error& error) {
    counted(error_response(http_status(error.code()), error.what()));
  } catch (const std::bad_alloc&) {
    counted(error_response(503, "out of memory"));
  } catch (const std::exception& error) {
    counted(error_response(500, error.what()));
  }
}

void Routes::dispatch(const HttpRequest& request, const Respond& respond) const {
  const std::string& path = request.path;
  if (path == "/v1/score" || path == "/v1/rank") return answer_score(request, path == "/v1/rank", respond);
  if (path == "/v1/embeddings") return answer_embeddings(request, respond);
  if (path == "/v1/models") return respond(list_models());
  if (path == "/v2") {
    return respond(json_response({{"name", "imagerank"}, {"version", version()}, {"extensions", Json::array()}}));
  }
  if (path == "/v2/health/live") return respond(json_response({{"live", true}}));
  if (path == "/v2/health/ready") {
    HttpResponse response = json_response({{"ready", !service_.draining()}});
    if (service_.draining()) response.status = 503;
    return respond(std::move(response));
  }
  HttpResponse response;
  if (path == "/metrics") {
    response.content_type = "text/plain; version=0.0.4";
    response.body = metrics_.text(service_.counts());
  } else if (path == "/openapi.json") {
    response.body = openapi_document();
  } else {
    response.content_type = "text/html; charset=utf-8";
    response.body = openapi_page();
  }
  respond(std::move(response));
}

void Routes::submit(Work&& work, const Respond& respond, std::function<HttpResponse(Results&&)> answer) const {
  const bool taken =
      service_.submit(std::move(work), [respond, answer = std::move(answer)](Results&& results) noexcept {
        try {
          respond(answer(std::move(results)));
        } catch (const std::exception& error) {
          respond(error_response(500, error.what()));
        }
      });
  if (taken) return;
  const bool draining = service_.draining();
  HttpResponse response = draining ? error_response(503, "the server is about to stop")
                                   : error_response(429, "the queue is full; try again after the time given");
  response.headers["Retry-After"] = "1";
  respond(std::move(response));
}

void Routes::answer_score(const HttpRequest& http, bool ranked, const Respond& respond) const {
  ScoreRequest request = parse_score_request(http, service_.rewards(), limits_);
  // What the answer needs of the request is small: the items go to the service.
  ScoreRequest asked{.work = {.items = {}, .rewards = request.work.rewards, .vectors = false},
                     .one_reward = request.one_reward,
                     .top = request.top,
                     .groups = std::move(request.groups)};
  submit(std::move(request.work), respond, [this, ranked, asked = std::move(asked)](Results&& results) {
    return score_answer(asked, service_.rewards(), ranked, results);
  });
}

void Routes::answer_embeddings(const HttpRequest& http, const Respond& respond) const {
  EmbeddingRequest request = parse_embedding_request(http, service_.rewards(), limits_);
  const std::string model = service_.rewards()[request.work.rewards.front()].encoder;
  submit(std::move(request.work), respond,
         [model, base64 = request.base64](Results&& results) { return embedding_answer(model, base64, results); });
}

void Routes::answer_inference(const HttpRequest& http, const std::string& name, const Respond& respond) const {
  const auto reward = find_reward(service_.rewards(), name);
  if (!reward) return respond(describe_model(name));
  InferenceRequest request = parse_inference_request(http, *reward, limits_);
  submit(std::move(request.work), respond,
         [name, id = request.id](Results&& results) { return inference_answer(name, id, results); });
}

HttpResponse Routes::describe_model(const std::string& name) const {
  const auto index = find_reward(service_.rewards(), name);
  if (!index)
    return error_response(404, fmt::format("model: expected a reward that is served, found '{}'", printable(name)));
  const RewardInfo& info = service_.rewards()[*index];
  const auto tensor = [](const char* tensor_name, const char* datatype) {
    return Json{{"name", tensor_name}, {"datatype", datatype}, {"shape", {-1}}};
  };
  return json_response({{"name", info.name},
                        {"versions", Json::array()},
                        {"platform", "imagerank"},
                        {"inputs", {tensor("image", "BYTES"), tensor("prompt", "BYTES")}},
                        {"outputs", {tensor("score", "FP32")}}});
}

HttpResponse Routes::list_models() const {
  Json data = Json::array();
  for (const RewardInfo& info : service_.rewards()) {
    data.push_back({{"id", info.name},
                    {"object", "model"},
                    {"head", info.head},
                    {"loss", info.loss},
                    {"encoder", info.encoder},
                    {"dim", info.dim},
                    {"untrained", info.untrained}});
  }
  return json_response({{"object", "list"}, {"data", std::move(data)}});
}

}  // namespace imagerank::serving
