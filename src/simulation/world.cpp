#include "simulation/world.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "core/fail.h"

namespace imagerank::simulation {
namespace {

constexpr std::size_t kCandidates = 4;

/// A made-up image generator.
struct Generator {
  const char* name;
  double exact;     ///< probability of reading the prompt without a mistake
  double severity;  ///< largest severity of a mistake
  double clean;     ///< probability of a picture without a fault
  double scale;     ///< of the image size
};
constexpr std::array<Generator, 4> kGenerators = {{{"easel-1.0", 0.12, 1.0, 0.35, 1.0},
                                                   {"easel-2.1", 0.22, 0.9, 0.50, 1.0},
                                                   {"brushfield-xl", 0.30, 0.8, 0.60, 1.25},
                                                   {"inkjet-turbo", 0.16, 0.9, 0.30, 1.0}}};

/// Fewer seconds between the votes of a session than between sessions.
constexpr std::int64_t kStartUs = 1'700'000'000'000'000;  // 2023-11-14 22:13:20

std::string format_time(std::int64_t microseconds) {
  // Civil date from days since 1970-01-01; source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
  const std::int64_t seconds = microseconds / 1'000'000;
  const std::int64_t shifted = seconds / 86'400 + 719'468;
  const std::int64_t era = shifted / 146'097;
  const std::int64_t day_of_era = shifted - era * 146'097;
  const std::int64_t year_of_era = (day_of_era - day_of_era / 1'460 + day_of_era / 36'524 - day_of_era / 146'096) / 365;
  const std::int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const std::int64_t month_index = (5 * day_of_year + 2) / 153;
  const std::int64_t day = day_of_year - (153 * month_index + 2) / 5 + 1;
  const std::int64_t month = month_index < 10 ? month_index + 3 : month_index - 9;
  const std::int64_t year = year_of_era + era * 400 + (month <= 2 ? 1 : 0);
  const std::int64_t in_day = seconds % 86'400;
  return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:06}", year, month, day, in_day / 3'600, in_day / 60 % 60,
                     in_day % 60, microseconds % 1'000'000);
}

class Builder {
 public:
  explicit Builder(const WorldOptions& options) : options_(options) {
    Random random = stream(options.seed, Purpose::kUsers, 0);
    annotators_ = make_annotators(options.rankings, options.noise, random);
  }

  World build() {
    for (std::uint64_t session = 0; world_.rankings.size() < options_.rankings; ++session) {
      Random random = stream(options_.seed, Purpose::kSession, session);
      run_session(session, random);
    }
    number_rankings();
    for (const auto& [key, utility] : truth_) {
      world_.truth.push_back({world_.pictures[key.second].uid, prompts_[key.first].text, utility.first});
      world_.image_utility.push_back(utility.second);
    }
    world_.users = users_.size();
    world_.annotators = std::move(annotators_);
    world_.prompts = std::move(prompts_);
    return std::move(world_);
  }

 private:
  /// A person, a prompt, and what stands before them.
  struct Session {
    std::size_t annotator = 0;
    std::size_t prompt = 0;
    std::array<std::size_t, kCandidates> shown = {};  ///< indices of pictures
  };

  void run_session(std::uint64_t number, Random& random) {
    clock_us_ += static_cast<std::int64_t>(-std::log(1.0 - random.uniform()) * 240e6);
    Session session;
    session.annotator = draw_annotator(annotators_, random);
    session.prompt = choose_prompt(number, random);
    std::int64_t time_us = clock_us_;
    std::optional<std::size_t> winner;
    do {
      // A changed prompt keeps the winner of the last on screen.
      const std::size_t kept = winner ? random.below(kCandidates) : kCandidates;
      for (std::size_t i = 0; i < kCandidates; ++i) {
        session.shown[i] = i == kept ? *winner : paint(session.prompt, random);
      }
      winner = run_rounds(session, time_us, random);
    } while (world_.rankings.size() < options_.rankings && winner && random.chance(0.16) &&
             change_prompt(session.prompt, random));
  }

  /// Votes until the person has enough. @return the last winner, if there was one.
  std::optional<std::size_t> run_rounds(Session& session, std::int64_t& time_us, Random& random) {
    // More than half of the people leave after one vote; those who stay, stay for long.
    const double stay = random.chance(0.55) ? 0.0 : 0.84;
    std::optional<std::size_t> winner;
    while (true) {
      winner = record_vote(session, time_us, random);
      time_us += static_cast<std::int64_t>(random.uniform(2e6, 40e6));
      if (world_.rankings.size() >= options_.rankings || !random.chance(stay)) return winner;
      if (winner && random.chance(0.45)) continue;  // the same four once more
      for (std::size_t& shown : session.shown) {
        if (!winner || shown != *winner) shown = paint(session.prompt, random);
      }
      if (random.chance(0.5)) std::swap(session.shown[0], session.shown[random.below(kCandidates)]);
    }
  }

  std::optional<std::size_t> record_vote(const Session& session, std::int64_t time_us, Random& random) {
    const Prompt& prompt = prompts_[session.prompt];
    std::array<Candidate, kCandidates> candidates;
    workspace::Ranking ranking;
    for (std::size_t i = 0; i < kCandidates; ++i) {
      const Picture& picture = world_.pictures[session.shown[i]];
      candidates[i] = {match(prompt, picture.scene), picture.quality.score(), &picture.scene};
      // The whole utility, and its expectation where any prompt could have been meant.
      truth_[{session.prompt, session.shown[i]}] = {true_utility(candidates[i].match, candidates[i].quality),
                                                    true_utility(0.5, candidates[i].quality)};
      ranking.image_uids.push_back(picture.uid);
    }
    const auto choice = vote(annotators_[session.annotator], candidates, random);
    ranking.dataset = kDataset;
    ranking.created_at = format_time(time_us);
    ranking.user_id = annotators_[session.annotator].user_id;
    ranking.prompt = prompt.text;
    if (choice) ranking.best_image_uid = ranking.image_uids[*choice];
    users_.insert(session.annotator);
    world_.rankings.push_back(std::move(ranking));
    if (!choice) return std::nullopt;
    return session.shown[*choice];
  }

  std::size_t choose_prompt(std::uint64_t number, Random& random) {
    constexpr std::uint64_t kEmptyEvery = 220;  // a few, and one even in a small world
    if (number % kEmptyEvery == 7) return add_prompt(write_prompt({}, Style::kEmpty, {}, random));
    if (!prompts_.empty() && random.chance(0.006)) return random.below(prompts_.size());
    while (true) {
      const Scene scene = random_scene(random, options_.hold_out);
      // One of each foreign style even in a small world.
      const Prompt prompt = number % 150 == 11   ? write_prompt(scene, Style::kChinese, {}, random)
                            : number % 150 == 12 ? write_prompt(scene, Style::kEmoji, {}, random)
                            : number % 150 == 13 ? write_prompt(scene, Style::kFrench, {}, random)
                                                 : write_prompt(scene, GrammarOptions{}, random);
      if (!prompt_index_.contains(prompt.text)) return add_prompt(prompt);
    }
  }

  /// The same wish in other words, or a wish a little changed. @return false for an empty prompt.
  bool change_prompt(std::size_t& prompt, Random& random) {
    if (prompts_[prompt].scene.groups.empty()) return false;
    const Style style = prompts_[prompt].style;
    while (true) {
      const Scene scene = misread_scene(prompts_[prompt].scene, random.uniform(0.0, 0.3), random, options_.hold_out);
      if (options_.hold_out == HoldOut::kOnly && !has_held_out(scene)) continue;
      const Prompt changed = write_prompt(scene, style, GrammarOptions{}, random);
      if (prompt_index_.contains(changed.text)) continue;
      prompt = add_prompt(changed);
      return true;
    }
  }

  std::size_t add_prompt(const Prompt& prompt) {
    const auto [entry, added] = prompt_index_.emplace(prompt.text, prompts_.size());
    if (added) prompts_.push_back(prompt);
    return entry->second;
  }

  /// A new candidate for a prompt. @return its index.
  std::size_t paint(std::size_t prompt_index, Random& random) {
    const Prompt& prompt = prompts_[prompt_index];
    const Generator& generator = kGenerators[random.below(kGenerators.size())];
    Picture picture;
    picture.uid = make_uid(options_.seed, world_.pictures.size());
    picture.model = generator.name;
    picture.prompt = prompt.text;
    const double severity = random.chance(generator.exact) ? 0.0 : random.uniform(0.1, generator.severity);
    picture.scene = prompt.scene.groups.empty() ? random_scene(random, options_.hold_out)
                                                : misread_scene(prompt.scene, severity, random, options_.hold_out);
    picture.quality = random_quality(generator.clean, random);
    picture.size = static_cast<std::int32_t>(std::lround(options_.image_size * generator.scale));
    picture.png = random.chance(0.2);
    picture.seed = random.next();
    world_.pictures.push_back(std::move(picture));
    return world_.pictures.size() - 1;
  }

  /// Sessions overlap in time; ids follow the clock.
  void number_rankings() {
    std::ranges::stable_sort(world_.rankings, {}, &workspace::Ranking::created_at);
    for (std::size_t i = 0; i < world_.rankings.size(); ++i) world_.rankings[i].ranking_id = fmt::format("{}", i + 1);
  }

  const WorldOptions options_;
  World world_;
  std::vector<Annotator> annotators_;
  std::vector<Prompt> prompts_;
  std::map<std::string, std::size_t> prompt_index_;
  std::map<std::pair<std::size_t, std::size_t>, std::pair<double, double>> truth_;  ///< by (prompt, picture)
  std::set<std::size_t> users_;
  std::int64_t clock_us_ = kStartUs;
};

double credit(double best, double other) noexcept {
  if (best == other) return 0.5;
  return best > other ? 1.0 : 0.0;
}

}  // namespace

World make_world(const WorldOptions& options) {
  if (options.rankings < 1 || options.rankings > 10'000'000) {
    fail(ErrorCode::kInvalidArgument, "rankings must be 1 to 10000000, found {}", options.rankings);
  }
  if (!(options.noise >= 0.0 && options.noise <= 100.0)) {
    fail(ErrorCode::kInvalidArgument, "noise must be 0 to 100, found {}", options.noise);
  }
  if (options.image_size < 32 || options.image_size > 2048) {
    fail(ErrorCode::kInvalidArgument, "image size must be 32 to 2048, found {}", options.image_size);
  }
  return Builder(options).build();
}

WorldStatistics measure(const World& world) {
  WorldStatistics statistics;
  using Key = std::pair<std::string, std::string>;  // prompt, image
  std::map<Key, std::pair<double, double>> utility;
  for (std::size_t i = 0; i < world.truth.size(); ++i) {
    utility[{world.truth[i].prompt, world.truth[i].image_uid}] = {world.truth[i].utility, world.image_utility[i]};
  }
  std::set<std::string> prompts;
  std::map<Key, std::pair<bool, bool>> outcome;  // won, lost
  double oracle = 0.0;
  double image_only = 0.0;
  for (const workspace::Ranking& ranking : world.rankings) {
    prompts.insert(ranking.prompt);
    if (!ranking.best_image_uid) {
      ++statistics.ties;
      continue;
    }
    const auto& best = utility.at({ranking.prompt, *ranking.best_image_uid});
    for (const std::string& uid : ranking.image_uids) {
      auto& [won, lost] = outcome[{ranking.prompt, uid}];
      if (uid == *ranking.best_image_uid) {
        won = true;
        continue;
      }
      lost = true;
      const auto& other = utility.at({ranking.prompt, uid});
      oracle += credit(best.first, other.first);
      image_only += credit(best.second, other.second);
      ++statistics.strict_pairs;
    }
  }
  for (const auto& [key, result] : outcome) {
    statistics.winners += result.first ? 1 : 0;
    statistics.winners_that_lost += result.first && result.second ? 1 : 0;
  }
  statistics.prompts = prompts.size();
  const auto pairs = static_cast<double>(statistics.strict_pairs);
  statistics.oracle_pair_accuracy = pairs > 0.0 ? oracle / pairs : std::numeric_limits<double>::quiet_NaN();
  statistics.image_only_pair_accuracy = pairs > 0.0 ? image_only / pairs : std::numeric_limits<double>::quiet_NaN();
  return statistics;
}

}  // namespace imagerank::simulation
