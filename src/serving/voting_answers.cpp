#include "serving/voting_answers.h"

#include <nlohmann/json.hpp>

#include "core/fail.h"

namespace imagerank::serving {
namespace {

using Json = nlohmann::ordered_json;

HttpResponse json_response(const Json& object, int status = 200) {
  HttpResponse response;
  response.status = status;
  response.body = object.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  response.headers["Cache-Control"] = "no-store";
  return response;
}

/// A path's part, with everything but letters, digits and - . _ ~ escaped.
std::string percent_encoded(const std::string& text) {
  std::string result;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                       c == '.' || c == '_' || c == '~';
    if (plain) {
      result += c;
    } else {
      result += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return result;
}

Json progress_json(const votes::Progress& progress) {
  return {{"votes", progress.votes}, {"ties", progress.ties}, {"skipped", progress.skipped}};
}

Json optional_json(const std::optional<double>& value) { return value ? Json(*value) : Json(nullptr); }

Json share_json(const votes::Share& share, double half_width) {
  const auto more = votes::more_needed(share, half_width);
  return {{"value", optional_json(share.value)},
          {"low", optional_json(share.low)},
          {"high", optional_json(share.high)},
          {"n", share.n},
          {"more", more ? Json(*more) : Json(nullptr)}};
}

}  // namespace

HttpResponse next_set_answer(const votes::NextSet& next) {
  Json set = nullptr;
  if (next.set) {
    Json images = Json::array();
    for (const std::string& uid : next.set->images) {
      images.push_back({{"uid", uid}, {"url", "/v1/images/" + percent_encoded(uid)}});
    }
    set = {{"id", next.set->id},
           {"prompt", next.set->prompt},
           {"strategy", votes::name_of(next.set->strategy)},
           {"images", std::move(images)}};
  }
  return json_response({{"set", std::move(set)}, {"progress", progress_json(next.progress)}});
}

HttpResponse vote_answer(const votes::Progress& progress) {
  return json_response({{"progress", progress_json(progress)}}, 201);
}

HttpResponse session_answer(const votes::StartedSession& started) {
  return json_response({{"token", started.token},
                        {"choices", started.session.choices},
                        {"strategy", votes::name_of(started.session.strategy)}},
                       201);
}

HttpResponse watch_answer(const votes::Watch& watch, double half_width) {
  const auto share = [&](const votes::Share& value) { return share_json(value, half_width); };
  Json rewards = Json::array(), places = Json::array(), people = Json::array();
  for (const votes::RewardAgreement& reward : watch.with_rewards) {
    rewards.push_back({{"reward", reward.reward}, {"agreement", share(reward.share)}, {"chance", reward.chance}});
  }
  for (const votes::Places& size : watch.places) {
    places.push_back({{"choices", size.choices},
                      {"chosen", size.chosen},
                      {"first", share(size.first)},
                      {"unbiased", 1.0 / static_cast<double>(size.choices)}});
  }
  constexpr std::size_t kMostPeople = 200;
  for (const votes::Person& person : watch.people) {
    if (people.size() == kMostPeople) break;
    people.push_back({{"user", person.user_hash},
                      {"votes", person.votes},
                      {"ties", person.ties},
                      {"skipped", person.skipped},
                      {"median_ms", optional_json(person.median_ms)},
                      {"with_others", share(person.with_others)},
                      {"first", share(person.first)}});
  }
  return json_response({{"votes", watch.votes},
                        {"ties", watch.ties},
                        {"skipped", watch.skipped},
                        {"people", watch.people.size()},
                        {"half_width", half_width},
                        {"between_people", share(watch.between_people)},
                        {"with_rewards", std::move(rewards)},
                        {"places", std::move(places)},
                        {"speed_ms",
                         {{"p10", optional_json(watch.speed.p10)},
                          {"median", optional_json(watch.speed.median)},
                          {"p90", optional_json(watch.speed.p90)}}},
                        {"by_person", std::move(people)}});
}

int vote_status(votes::Refusal refusal) noexcept {
  switch (refusal) {
    case votes::Refusal::kUnknownSession:
      return 401;
    case votes::Refusal::kNotShown:
      return 404;
    case votes::Refusal::kNotInSet:
      return 422;
    case votes::Refusal::kTwice:
    case votes::Refusal::kNothingToUndo:
      break;
  }
  return 409;
}

}  // namespace imagerank::serving
