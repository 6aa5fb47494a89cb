#include "serving/answers.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>
#include <utility>

#include "serving/base64.h"

namespace imagerank::serving {
namespace {

using Json = nlohmann::ordered_json;

HttpResponse json_response(const Json& object) {
  HttpResponse response;
  response.body = object.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  return response;
}

Json failure_json(const ItemFailure& failure) { return {{"reason", failure.reason}, {"message", failure.detail}}; }

/// Items that have a score before those that failed, the higher first, equal ones in their order.
std::vector<std::size_t> best_first(const Results& results, std::size_t place) {
  std::vector<std::size_t> order(results.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) {
    if (results[a].failure.has_value() != results[b].failure.has_value()) return !results[a].failure.has_value();
    return !results[a].failure && results[a].scores[place] > results[b].scores[place];
  });
  return order;
}

/// [items]; NaN where there is none. See score_answer.
std::vector<double> preference_probabilities(const std::vector<std::size_t>& groups, double temperature,
                                             std::size_t place, const Results& results) {
  struct Group {
    double highest = -std::numeric_limits<double>::infinity();
    double sum = 0.0;
    std::size_t count = 0;
  };
  std::vector<Group> of_prompt(results.size());
  const auto logit = [&](std::size_t i) { return results[i].scores[place] / temperature; };
  for (std::size_t i = 0; i < results.size(); ++i) {
    if (results[i].failure) continue;
    Group& group = of_prompt[groups[i]];
    group.highest = std::max(group.highest, logit(i));
    ++group.count;
  }
  for (std::size_t i = 0; i < results.size(); ++i) {
    Group& group = of_prompt[groups[i]];
    if (!results[i].failure) group.sum += std::exp(logit(i) - group.highest);
  }
  std::vector<double> probabilities(results.size(), std::numeric_limits<double>::quiet_NaN());
  for (std::size_t i = 0; i < results.size(); ++i) {
    const Group& group = of_prompt[groups[i]];
    if (!results[i].failure && group.count > 1) probabilities[i] = std::exp(logit(i) - group.highest) / group.sum;
  }
  return probabilities;
}

Json scores_json(const ScoreRequest& request, const RewardInfo& reward, std::size_t place, bool ranked,
                 const Results& results) {
  std::vector<std::size_t> order(results.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  if (ranked) order = best_first(results, place);
  std::vector<double> probabilities;
  if (reward.temperature) {
    probabilities = preference_probabilities(request.groups, *reward.temperature, place, results);
  }
  Json scores = Json::array();
  std::size_t rank = 0;
  std::size_t failed = 0;
  for (const std::size_t i : order) {
    const ItemResult& result = results[i];
    // `top` cuts the ranking; what could not be ranked is always told.
    if (ranked && !result.failure && request.top != 0 && rank == request.top) continue;
    Json item = {{"index", i},
                 {"score", nullptr},
                 {"probability", nullptr},
                 {"truncated", result.truncated},
                 {"error", nullptr}};
    if (result.failure) {
      item["error"] = failure_json(*result.failure);
      ++failed;
    } else {
      item["score"] = result.scores[place];
      if (reward.temperature && !std::isnan(probabilities[i])) item["probability"] = probabilities[i];
    }
    if (ranked) item["rank"] = result.failure ? Json(nullptr) : Json(++rank);
    scores.push_back(std::move(item));
  }
  return {{"reward", reward.name}, {"encoder", reward.encoder}, {"scores", std::move(scores)}, {"failed", failed}};
}

}  // namespace

HttpResponse score_answer(const ScoreRequest& request, const std::vector<RewardInfo>& rewards, bool ranked,
                          const Results& results) {
  const auto of_reward = [&](std::size_t place) {
    return scores_json(request, rewards[request.work.rewards[place]], place, ranked, results);
  };
  if (request.one_reward) return json_response(of_reward(0));
  Json list = Json::array();
  for (std::size_t place = 0; place < request.work.rewards.size(); ++place) list.push_back(of_reward(place));
  return json_response({{"results", std::move(list)}});
}

HttpResponse embedding_answer(const std::string& model, bool base64, const Results& results) {
  Json data = Json::array();
  std::size_t tokens = 0;
  for (std::size_t i = 0; i < results.size(); ++i) {
    tokens += results[i].tokens;
    Json item = {{"object", "embedding"}, {"index", i}, {"embedding", nullptr}, {"truncated", results[i].truncated}};
    const std::vector<float>& vector = results[i].vector;
    if (results[i].failure) {
      item["error"] = failure_json(*results[i].failure);
    } else if (base64) {
      std::string bytes(vector.size() * sizeof(float), '\0');
      std::memcpy(bytes.data(), vector.data(), bytes.size());
      item["embedding"] = encode_base64(bytes);
    } else {
      item["embedding"] = vector;
    }
    data.push_back(std::move(item));
  }
  return json_response({{"object", "list"},
                        {"model", model},
                        {"data", std::move(data)},
                        {"usage", {{"prompt_tokens", tokens}, {"total_tokens", tokens}}}});
}

HttpResponse inference_answer(const std::string& model, const std::string& id, const Results& results) {
  Json scores = Json::array();
  Json errors = Json::array();
  bool any_failed = false;
  for (const ItemResult& result : results) {
    scores.push_back(result.failure ? Json(nullptr) : Json(result.scores.front()));
    errors.push_back(result.failure ? result.failure->reason : "");
    any_failed = any_failed || result.failure.has_value();
  }
  Json outputs = Json::array();
  const auto add = [&](const char* name, const char* datatype, Json values) {
    outputs.push_back(
        {{"name", name}, {"datatype", datatype}, {"shape", {results.size()}}, {"data", std::move(values)}});
  };
  add("score", "FP32", std::move(scores));
  if (any_failed) add("error", "BYTES", std::move(errors));
  Json object = {{"model_name", model}, {"outputs", std::move(outputs)}};
  if (!id.empty()) object["id"] = id;
  return json_response(object);
}

}  // namespace imagerank::serving
