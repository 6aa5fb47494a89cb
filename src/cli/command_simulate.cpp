#include "cli/command_simulate.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <memory>
#include <ostream>
#include <set>

#include "cli/simulated_voters.h"
#include "simulation/store.h"

namespace imagerank::cli {
namespace {

/// NaN, where there was no pair to judge, is null in JSON.
nlohmann::ordered_json number_or_null(double value) {
  return std::isfinite(value) ? nlohmann::ordered_json(value) : nlohmann::ordered_json(nullptr);
}

std::string percent(double share) {
  return std::isfinite(share) ? fmt::format("{:.1f} %", 100.0 * share) : std::string("unknown (no pairs)");
}

double share_of(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole);
}

void print_world(std::ostream& out, const simulation::World& world, const simulation::WorldStatistics& statistics) {
  const auto line = [&](const char* name, const std::string& text) { out << fmt::format("{:<10}{}\n", name, text); };
  line("rankings", fmt::format("{} by {} people; {} are ties", with_thousands(world.rankings.size()),
                               with_thousands(world.users), percent(share_of(statistics.ties, world.rankings.size()))));
  line("prompts", with_thousands(statistics.prompts));
  line("images", with_thousands(world.pictures.size()));
  line("conflicts", fmt::format("{} of the winners also lost another ranking of the same prompt",
                                percent(share_of(statistics.winners_that_lost, statistics.winners))));
  line("oracle", fmt::format("{} of {} strict pairs are as the true utility has them; {} by the image alone",
                             percent(statistics.oracle_pair_accuracy), with_thousands(statistics.strict_pairs),
                             percent(statistics.image_only_pair_accuracy)));
}

int simulate_rankings(const SimulateOptions& options, simulation::HoldOut hold_out, Terminal& terminal) {
  const simulation::WorldOptions world_options{options.rankings, options.seed, options.noise, hold_out,
                                               options.image_size};
  const simulation::World world = simulation::make_world(world_options);
  simulation::store_world(options.data, world_options, world, terminal.context());
  const simulation::WorldStatistics statistics = simulation::measure(world);
  terminal.result({{"rankings", world.rankings.size()},
                   {"images", world.pictures.size()},
                   {"prompts", statistics.prompts},
                   {"users", world.users},
                   {"ties", statistics.ties},
                   {"strict_pairs", statistics.strict_pairs},
                   {"winners", statistics.winners},
                   {"winners_that_lost", statistics.winners_that_lost},
                   {"oracle_pair_accuracy", number_or_null(statistics.oracle_pair_accuracy)},
                   {"image_only_pair_accuracy", number_or_null(statistics.image_only_pair_accuracy)}},
                  [&](std::ostream& out) { print_world(out, world, statistics); });
  return 0;
}

int simulate_captions(const SimulateOptions& options, simulation::HoldOut hold_out, Terminal& terminal) {
  const simulation::CaptionSetOptions set_options{options.captions, options.seed, hold_out, options.image_size};
  const auto pictures = simulation::make_caption_set(set_options);
  simulation::store_caption_set(options.data, set_options, pictures, terminal.context());
  std::set<std::string> captions;
  for (const simulation::Picture& picture : pictures) captions.insert(picture.prompt);
  terminal.result(
      {{"rankings", 0}, {"images", pictures.size()}, {"prompts", captions.size()}, {"oracle_pair_accuracy", nullptr}},
      [&](std::ostream& out) {
        out << fmt::format("images    {}, with {} different captions\n", with_thousands(pictures.size()),
                           with_thousands(captions.size()));
      });
  return 0;
}

}  // namespace

int run_simulate(const SimulateOptions& options, Terminal& terminal) {
  if (!options.vote_at.empty()) {
    return run_simulated_voters({options.data, options.vote_at, options.votes, options.seed}, terminal);
  }
  const simulation::HoldOut hold_out = simulation::parse_hold_out(options.hold_out);
  return options.captions == 0 ? simulate_rankings(options, hold_out, terminal)
                               : simulate_captions(options, hold_out, terminal);
}

std::function<int(Terminal&)> add_simulate(CLI::App& command) {
  const auto options = std::make_shared<SimulateOptions>();
  command.add_option("--data", options->data, "The workspace to make")->required();
  auto* const rankings = command.add_option("--rankings", options->rankings, "How many rankings")
                             ->capture_default_str()
                             ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{10'000'000}));
  auto* const noise =
      command.add_option("--noise", options->noise, "Noise and taste of the annotators: 0 none, 1 like people")
          ->capture_default_str()
          ->check(CLI::Range(0.0, 100.0));
  command
      .add_option("--captions", options->captions,
                  "Instead of rankings, this many images with exact captions, for pretrain")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{10'000'000}))
      ->excludes(rankings)
      ->excludes(noise);
  command.add_option("--seed", options->seed, "Same seed, same bytes")->capture_default_str();
  command
      .add_option("--hold-out", options->hold_out,
                  "The fixed set of colour and shape pairs kept for zero-shot tests: draw everything (none), never "
                  "one of them (exclude), at least one in every scene (only)")
      ->capture_default_str()
      ->check(CLI::IsMember({"none", "exclude", "only"}));
  command.add_option("--image-size", options->image_size, "Width and height in pixels")
      ->capture_default_str()
      ->check(CLI::Range(32, 2048));
  auto* const vote_at =
      command.add_option("--vote-at", options->vote_at,
                         "Make nothing; the people of the world in --data vote at this server (http://...)");
  command.add_option("--votes", options->votes, "With --vote-at: how many votes")
      ->default_val(std::uint64_t{500})
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{10'000'000}))
      ->needs(vote_at);
  command.footer(
      "Examples:\n"
      "  imagerank simulate --data world --rankings 3000 --seed 1\n"
      "  imagerank simulate --data scenes --captions 40000 --hold-out exclude\n"
      "  imagerank simulate --data world --vote-at http://127.0.0.1:8080 --votes 800");
  return [options](Terminal& terminal) { return run_simulate(*options, terminal); };
}

}  // namespace imagerank::cli
