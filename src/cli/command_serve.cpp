#include "cli/command_serve.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <ostream>
#include <utility>

#include "cli/scored_items.h"
#include "cli/voting_gallery.h"
#include "core/atomic_file.h"
#include "core/fail.h"
#include "serving/gallery_scores.h"
#include "serving/routes.h"

namespace imagerank::cli {
namespace {

/// "NAME=FOLDER", or a folder (with --data: a name), which is called by its last part.
serving::RewardSource parse_reward(const std::string& text, const std::filesystem::path& data) {
  const std::size_t equals = text.find('=');
  const std::string place = equals == std::string::npos ? text : text.substr(equals + 1);
  std::filesystem::path folder = reward_folder(place, data);
  if (equals != std::string::npos) return {text.substr(0, equals), std::move(folder)};
  const std::filesystem::path whole = std::filesystem::weakly_canonical(folder);
  return {whole.filename().string(), std::move(folder)};
}

std::size_t bytes_of(double megabytes, const char* option) {
  constexpr double kMost = 1 << 20;  // a terabyte
  if (!(megabytes > 0.0) || megabytes > kMost) {
    fail(ErrorCode::kInvalidArgument, "{}: expected more than 0 and at most {}, found {}", option, kMost, megabytes);
  }
  return static_cast<std::size_t>(megabytes * (1 << 20));
}

serving::PagesOptions pages_options(const ServeOptions& options) {
  if (!options.database.empty() && options.data.empty()) {
    fail(ErrorCode::kInvalidArgument, "--db: expected --data with it, whose images people choose from, found none");
  }
  if (options.rewards.empty() && options.database.empty()) {
    fail(ErrorCode::kInvalidArgument, "serve: expected --reward, or --db to collect votes, found neither");
  }
  if (options.choices != 2 && options.choices != 4) {
    fail(ErrorCode::kInvalidArgument, "--choices: expected 2 or 4, found {}", options.choices);
  }
  serving::PagesOptions pages;
  constexpr std::size_t kMostBytes = 1 << 20;
  if (!options.guideline.empty()) pages.guideline = load_file(options.guideline, kMostBytes);
  pages.choices = options.choices;
  pages.strategy = votes::parse_strategy(options.strategy);
  if (!options.data.empty()) pages.reports = options.data / "reports";
  return pages;
}

std::unique_ptr<votes::Voting> make_voting(const ServeOptions& options) {
  if (options.database.empty()) return nullptr;
  const votes::DatabaseUrl url = votes::parse_database_url(options.database);
  votes::Gallery gallery = load_gallery(workspace::Workspace::open(options.data));
  const auto enough = static_cast<std::size_t>(options.choices);
  if (std::ranges::none_of(gallery.prompts, [&](const auto& prompt) { return prompt.images.size() >= enough; })) {
    fail(ErrorCode::kNotFound, "--choices: expected a prompt of {} images, found none in {}", enough,
         options.data.string());
  }
  return std::make_unique<votes::Voting>(std::move(gallery), votes::VotingOptions{.database = url});
}

}  // namespace

int run_serve(ServeOptions options, Terminal& terminal) {
  options.server.max_body_bytes = bytes_of(options.max_body_mb, "--max-body-mb");
  options.service.decode.max_file_bytes = bytes_of(options.max_image_mb, "--max-image-mb");
  options.service.decode.max_pixels =
      static_cast<std::int64_t>(bytes_of(options.max_image_mpixels, "--max-image-mpixels"));
  options.service.threads = terminal.context().thread_count();
  options.limits.image_urls = options.service.image_urls;
  if (options.service.urls.allow_local && !options.service.image_urls) {
    fail(ErrorCode::kInvalidArgument, "--allow-local: expected --image-urls with it, found it alone");
  }
  const serving::PagesOptions page_options = pages_options(options);
  serving::Access access = options.token_file.empty() ? serving::Access() : serving::Access(options.token_file);
  std::vector<serving::RewardSource> sources;
  for (const std::string& reward : options.rewards) sources.push_back(parse_reward(reward, options.data));

  serving::ScoringService service(sources, options.encoder, options.service);
  nlohmann::ordered_json rewards = nlohmann::ordered_json::array();
  for (const serving::RewardInfo& info : service.rewards()) {
    rewards.push_back({{"name", info.name}, {"head", info.head}, {"loss", info.loss}, {"encoder", info.encoder}});
    if (info.untrained) {
      terminal.warn(fmt::format("{}: its encoder was never trained: its scores say nothing about images", info.name));
    }
  }
  const std::unique_ptr<votes::Voting> voting = make_voting(options);
  std::optional<serving::GalleryScores> gallery_scores;
  if (voting) gallery_scores.emplace(service, *voting);
  serving::Metrics metrics;
  serving::Pages pages(voting.get(), page_options);
  const serving::Routes routes(service, metrics, options.limits, pages);
  serving::HttpServer server(
      options.server,
      [&routes](serving::HttpRequest&& request, serving::Respond respond) {
        routes.handle(std::move(request), std::move(respond));
      },
      access, metrics);

  const bool tls = !options.server.tls_certificate.empty();
  const bool is_v6 = options.server.host.find(':') != std::string::npos;
  const std::string address = fmt::format("{}://{}{}{}:{}", tls ? "https" : "http", is_v6 ? "[" : "",
                                          options.server.host, is_v6 ? "]" : "", server.port());
  const bool local = options.server.host == "127.0.0.1" || options.server.host == "::1";
  if (!local && options.token_file.empty()) {
    terminal.warn(fmt::format("{} is open to whoever reaches it; --tokens FILE asks for a token", address));
  }
  terminal.result({{"address", address}, {"port", server.port()}, {"rewards", rewards}}, [&](std::ostream& out) {
    const std::string what = options.rewards.empty() ? "votes" : fmt::format("{}", fmt::join(options.rewards, ", "));
    out << fmt::format("{} at {} (its interface: {}/docs); Ctrl-C stops it\n", what, address, address);
    if (voting) out << fmt::format("people choose at {}/choose\n", address);
    out.flush();
  });
  server.run(terminal.options().stop, [&terminal](const std::string& line) { terminal.note(line); });
  const serving::ServiceCounts counts = service.counts();
  terminal.note(fmt::format("stopped: {} items, {} of them failed, in {} batches", with_thousands(counts.items),
                            with_thousands(counts.failed), with_thousands(counts.batches)));
  return 0;
}

std::function<int(Terminal&)> add_serve(CLI::App& command) {
  const auto options = std::make_shared<ServeOptions>();
  command.add_option(
      "--reward", options->rewards,
      "A reward's folder, a published scorer's name, or NAME=either; with --data, also a name under its rewards/. "
      "Several may be given");
  command.add_option(
      "--data", options->data,
      "The workspace that --reward names rewards of, whose reports are shown and whose images are voted on");
  command.add_option("--db", options->database,
                     "Collect votes of people on the workspace's images: sqlite://FILE or postgresql://HOST/NAME");
  command.add_option("--guideline", options->guideline, "With --db: a text that voters read and agree to first");
  command.add_option("--strategy", options->strategy, "With --db: the next set is random, balanced or uncertain")
      ->capture_default_str();
  command.add_option("--choices", options->choices, "With --db: images a set, 2 or 4")->capture_default_str();
  add_encoder_options(command, options->encoder);
  command.add_option("--host", options->server.host, "Address to listen on")->capture_default_str();
  command.add_option("--port", options->server.port, "Port; 0: any that is free")->capture_default_str();
  command.add_option("--tokens", options->token_file, "File of bearer tokens, one a line; SIGHUP reads it again");
  command.add_option("--tls-certificate", options->server.tls_certificate, "PEM file, the chain: HTTPS");
  command.add_option("--tls-key", options->server.tls_key, "PEM file, the certificate's key");
  command
      .add_option("--max-batch", options->service.max_batch, "Images a call of the tower (0: what suits the encoder)")
      ->capture_default_str();
  command.add_option("--max-wait-ms", options->service.max_wait_ms, "How long a batch may wait to fill")
      ->capture_default_str();
  command.add_option("--max-queued", options->service.max_queued, "Items that may wait; more are told 429")
      ->capture_default_str();
  command.add_option("--max-items", options->limits.max_items, "Images a request")->capture_default_str();
  command.add_option("--max-body-mb", options->max_body_mb, "MiB a request")->capture_default_str();
  command.add_option("--max-image-mb", options->max_image_mb, "MiB an image file")->capture_default_str();
  command.add_option("--max-image-mpixels", options->max_image_mpixels, "2^20 pixels an image")->capture_default_str();
  command.add_flag("--image-urls", options->service.image_urls,
                   "Take http and https URLs for images, of public addresses, and get them");
  command.add_flag("--allow-local", options->service.urls.allow_local, "With --image-urls: private addresses too");
  command.add_option("--cache", options->service.cached_vectors, "Vectors kept, of images and of prompts each")
      ->capture_default_str();
  command.add_option("--max-connections", options->server.max_connections, "Connections at once")
      ->capture_default_str();
  command.add_option("--idle-timeout-ms", options->server.idle_timeout_ms, "Between requests")->capture_default_str();
  command.add_option("--header-timeout-ms", options->server.header_timeout_ms, "For a request's header")
      ->capture_default_str();
  command.add_option("--body-timeout-ms", options->server.body_timeout_ms, "For its body")->capture_default_str();
  command.footer(
      "Example:\n  imagerank serve --reward mine/rewards/first --port 8080\n"
      "  curl -F prompt=\"a red car\" -F image=@car.png http://127.0.0.1:8080/v1/score\n"
      "  imagerank serve --data mine --db sqlite://votes.db --guideline rules.md");
  return [options](Terminal& terminal) { return run_serve(*options, terminal); };
}

}  // namespace imagerank::cli
