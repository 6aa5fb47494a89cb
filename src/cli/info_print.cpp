#include <fmt/format.h>

#include <algorithm>
#include <ostream>
#include <utility>
#include <vector>

#include "cli/coverage_output.h"
#include "cli/figures.h"
#include "cli/info_output.h"

namespace imagerank::cli {
namespace {

using statistics::Statistics;

/// Lines of a name and a text; a name of its own only on the first line of a group.
class Lines {
 public:
  explicit Lines(std::ostream& out) : out_(out) {}
  template <typename... Args>
  void add(std::string_view name, fmt::format_string<Args...> format, Args&&... args) {
    out_ << fmt::format("{:<15}{}\n", name, fmt::format(format, std::forward<Args>(args)...));
  }

 private:
  std::ostream& out_;
};

/// The most frequent, "name 12,345" each, as many as a line holds.
std::string most_frequent(const std::map<std::string, std::int64_t>& counts, std::string_view empty_name) {
  std::vector<std::pair<std::string, std::int64_t>> sorted(counts.begin(), counts.end());
  std::ranges::sort(sorted, {}, [](const auto& entry) { return std::pair(-entry.second, entry.first); });
  constexpr std::size_t kWidth = 50;
  std::string text;
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    const std::string name = sorted[i].first.empty() ? std::string(empty_name) : sorted[i].first.substr(0, 30);
    const std::string part = fmt::format("{} {}", name, count_text(sorted[i].second));
    if (!text.empty() && text.size() + part.size() > kWidth) return text + fmt::format(", {} more", sorted.size() - i);
    text += (text.empty() ? "" : ", ") + part;
  }
  return text;
}

void print_rankings(Lines& lines, const Statistics& statistics) {
  lines.add("rankings", "{}, {} ties ({:.1f} %)", count_text(statistics.rankings), count_text(statistics.ties),
            percent(statistics.ties, statistics.rankings));
  std::map<std::string, std::int64_t> sizes;
  for (const auto& [images, rankings] : statistics.images_per_ranking)
    sizes[fmt::format("of {} images:", images)] = rankings;
  lines.add("", "{}", most_frequent(sizes, ""));
  if (statistics.with_ranks != 0) lines.add("", "{} give a rank to every image", count_text(statistics.with_ranks));
  lines.add("datasets", "{}", most_frequent(statistics.datasets, "unnamed"));
  lines.add("splits", "official: {}", most_frequent(statistics.official_splits, "none"));
  if (!statistics.first_time.empty())
    lines.add("time", "{} to {}", statistics.first_time.substr(0, 19), statistics.last_time.substr(0, 19));
}

void print_prompts(Lines& lines, const Statistics& statistics) {
  lines.add("prompts", "{}, {} without regard to case and spaces", count_text(statistics.prompts),
            count_text(statistics.prompts_joined));
  const statistics::Distribution& words = statistics.prompt_words;
  lines.add("", "words: mean {:.1f}, median {:.0f}, 95 % up to {:.0f}, most {:.0f}", words.mean, words.median,
            words.p95, words.max);
  const statistics::Distribution& signs = statistics.prompt_characters;
  lines.add("", "characters: mean {:.1f}, median {:.0f}, 95 % up to {:.0f}, most {:.0f}", signs.mean, signs.median,
            signs.p95, signs.max);
}

void print_labels(Lines& lines, const Statistics& statistics) {
  const std::int64_t all = statistics.labels[0] + statistics.labels[1] + statistics.labels[2];
  lines.add("labels", "2 best {}, 1 tie {}, 0 other {}", count_text(statistics.labels[2]),
            count_text(statistics.labels[1]), count_text(statistics.labels[0]));
  lines.add("", "{:.1f} %, {:.1f} %, {:.1f} % of {} (image, prompt)", percent(statistics.labels[2], all),
            percent(statistics.labels[1], all), percent(statistics.labels[0], all), count_text(all));
  lines.add("conflicts", "{} (image, prompt) with several labels ({:.1f} %)", count_text(statistics.conflicts),
            percent(statistics.conflicts, all));
  lines.add("", "{} of {} winners also lost ({:.1f} %)", count_text(statistics.winners_that_lost),
            count_text(statistics.winners), percent(statistics.winners_that_lost, statistics.winners));
  lines.add("pairs", "{} strict, {} tied", count_text(statistics.strict_pairs), count_text(statistics.tied_pairs));
}

void print_position_bias(Lines& lines, const statistics::PositionBias& bias) {
  constexpr std::size_t kMostSizes = 4, kMostPlaces = 8;
  for (std::size_t i = 0; i < std::min(bias.sizes.size(), kMostSizes); ++i) {
    const statistics::PositionWins& size = bias.sizes[i];
    std::string shares;
    for (std::size_t place = 0; place < std::min(size.wins.size(), kMostPlaces); ++place)
      shares += fmt::format("{}{:.1f}", place == 0 ? "" : " ", percent(size.wins[place], size.rankings()));
    lines.add(i == 0 ? "winner's place" : "", "{} % by place, chance {:.1f} % ({} rankings)", shares,
              100.0 / static_cast<double>(size.images), count_text(size.rankings()));
  }
  if (bias.sizes.size() > kMostSizes) lines.add("", "{} more list lengths: see --json", bias.sizes.size() - kMostSizes);
  if (bias.p) lines.add("", "chi-square {:.1f}, {} degrees, p {:.2g}", bias.chi_square, bias.degrees, *bias.p);
}

void print_users(Lines& lines, const Statistics& statistics) {
  lines.add("users", "{}", count_text(statistics.users));
  if (statistics.without_user != 0) lines.add("", "{} rankings name no user", count_text(statistics.without_user));
  const statistics::Concentration& users = statistics.concentration;
  if (users.users != 0) {
    lines.add("", "busiest 1 % made {:.1f} % of the rankings, 10 % {:.1f} %", 100.0 * users.top_1_share,
              100.0 * users.top_10_share);
    lines.add("", "Gini {:.2f}; median {:.0f} rankings a user, most {}", users.gini, users.median,
              count_text(users.most));
  }
  const statistics::Agreement& agreement = statistics.agreement;
  if (agreement.pairs == 0) {
    lines.add("agreement", "no pair of images was judged by two users");
  } else {
    lines.add("agreement", "{:.1f} % of {} pairs of users on {} pairs of images",
              percent(agreement.agreeing, agreement.pairs), count_text(agreement.pairs), count_text(agreement.units));
    if (agreement.strict_pairs != 0) {
      lines.add("", "{:.1f} % of {} where neither called it a tie",
                percent(agreement.strict_agreeing, agreement.strict_pairs), count_text(agreement.strict_pairs));
    }
    if (agreement.alpha) lines.add("", "Krippendorff's alpha (nominal) {:.3f}", *agreement.alpha);
  }
  if (agreement.repeat_pairs != 0) {
    lines.add("", "one user again, same images: {:.1f} % the same, of {}",
              percent(agreement.repeat_agreeing, agreement.repeat_pairs), count_text(agreement.repeat_pairs));
  }
}

void print_ratings(Lines& lines, const Statistics& statistics) {
  lines.add("ratings", "{} in {} aspects", count_text(statistics.ratings), statistics.aspects.size());
  for (const statistics::RatingAspect& aspect : statistics.aspects) {
    lines.add("", "{}: {}, {:.4g} to {:.4g}, mean {:.4g}", aspect.aspect.substr(0, 24), count_text(aspect.rows),
              aspect.min, aspect.max, aspect.mean);
  }
}

void print_labelled(Lines& lines, const Statistics& statistics) {
  bool first = true;
  for (const auto& [split, labels] : statistics.points) {
    std::string text;
    for (const auto& [label, rows] : labels)
      text += fmt::format("{}{}: {}", text.empty() ? "" : ", ", label, count_text(rows));
    const auto pairs = statistics.pairs.find(split);
    lines.add(first ? "labelled" : "", "{:<11}{}; pairs {}", split, text,
              count_text(pairs == statistics.pairs.end() ? 0 : pairs->second));
    first = false;
  }
}

void print_images(Lines& lines, std::ostream& out, const Statistics& statistics) {
  lines.add("images", "{} judged, {} in the table", count_text(statistics.images_judged),
            count_text(statistics.images));
  lines.add("", "{}", most_frequent(statistics.image_status, ""));
  out << '\n';
  print_overall(out, statistics.coverage);
}

bool has(const Statistics& statistics, std::string_view name) {
  return std::ranges::any_of(statistics.tables,
                             [&](const statistics::TableState& table) { return table.name == name && table.rows; });
}

}  // namespace

void print_info(std::ostream& out, const Statistics& statistics, const std::filesystem::path& data) {
  Lines lines(out);
  const bool rankings = statistics.rankings != 0;
  if (rankings) print_rankings(lines, statistics);
  if (statistics.prompts != 0) print_prompts(lines, statistics);
  if (rankings) {
    print_labels(lines, statistics);
    print_position_bias(lines, statistics.position_bias);
  }
  if (rankings || statistics.users != 0) print_users(lines, statistics);
  if (statistics.ratings != 0) print_ratings(lines, statistics);
  if (!statistics.points.empty()) print_labelled(lines, statistics);
  if (has(statistics, "images")) print_images(lines, out, statistics);
  // What nobody misses unless they made it is not asked for.
  for (const statistics::TableState& table : statistics.tables) {
    if (!table.rows && table.name != "truth" && table.name != "ratings" && table.name != "perturbed")
      lines.add("missing", "{}: imagerank {} --data {}", table.name, table.made_by, data.string());
  }
}

}  // namespace imagerank::cli
