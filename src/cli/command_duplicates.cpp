#include "cli/command_duplicates.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <ostream>
#include <utility>

namespace imagerank::cli {
namespace {

using duplicates::Duplicates;
using duplicates::GroupCounts;
using duplicates::PerceptualCounts;
using Json = nlohmann::ordered_json;

std::string count_text(std::int64_t value) { return with_thousands(static_cast<std::uint64_t>(value)); }

std::string plural(std::int64_t count, std::string_view one, std::string_view many) {
  return fmt::format("{} {}", count_text(count), count == 1 ? one : many);
}

/// null without labels, or where there is nothing to take a share of.
Json leak_share(const Duplicates& found, const std::optional<std::int64_t>& in_train) {
  if (!in_train || !found.test_images || *found.test_images == 0) return {};
  return static_cast<double>(*in_train) / static_cast<double>(*found.test_images);
}

Json as_json(const PerceptualCounts& counts) {
  const duplicates::HashCounts& hashes = counts.hashes;
  Json failed = Json::object(), examples = Json::object();
  for (const auto& [reason, count] : hashes.failed) failed[reason] = count;
  for (const auto& [reason, failure] : hashes.examples)
    examples[reason] = {{"image_uid", failure.item}, {"detail", failure.detail}};
  return {{"distance", counts.distance},
          {"hashed", hashes.hashed},
          {"failed", failed},
          {"examples", examples},
          {"featureless", hashes.featureless},
          {"cached", hashes.cached},
          {"decoded", hashes.decoded},
          {"images_per_s", hashes.images_per_s},
          {"groups", counts.groups.groups},
          {"images", counts.groups.images},
          {"extra", counts.groups.extra()},
          {"rankings", counts.groups.rankings},
          {"pairs_by_chance", counts.pairs_by_chance}};
}

Json as_json(const Duplicates& found) {
  const auto& perceptual = found.perceptual;
  return {{"images", found.images},
          {"other_images", found.other_images},
          {"without_sha256", found.without_sha256},
          {"exact",
           {{"groups", found.exact.groups},
            {"images", found.exact.images},
            {"extra", found.exact.extra()},
            {"rankings", found.exact.rankings}}},
          {"perceptual", perceptual ? as_json(*perceptual) : Json()},
          {"leak",
           {{"test_images", found.test_images ? Json(*found.test_images) : Json()},
            {"exact_test_in_train", leak_share(found, found.exact.test_in_train)},
            {"perceptual_test_in_train", perceptual ? leak_share(found, perceptual->groups.test_in_train) : Json()}}}};
}

/// Lines of a name and a text.
class Lines {
 public:
  explicit Lines(std::ostream& out) : out_(out) {}
  template <typename... Args>
  void add(std::string_view name, fmt::format_string<Args...> format, Args&&... args) {
    out_ << fmt::format("{:<12}{}\n", name, fmt::format(format, std::forward<Args>(args)...));
  }

 private:
  std::ostream& out_;
};

void print_groups(Lines& lines, std::string_view name, const GroupCounts& counts) {
  lines.add(name, "{} of {}, {} beyond the first of each", plural(counts.groups, "group", "groups"),
            plural(counts.images, "image", "images"), count_text(counts.extra()));
  for (const duplicates::LargeGroup& group : counts.largest) {
    const auto shown = static_cast<std::int64_t>(group.image_uids.size());
    const std::string more = group.images > shown ? fmt::format(", {} not shown", group.images - shown) : "";
    lines.add("", "group {}, {} images{}", group.number, count_text(group.images), more);
    for (const std::string& uid : group.image_uids) lines.add("", "  {}", uid.substr(0, 64));
  }
}

void print_perceptual(Lines& lines, const PerceptualCounts& counts) {
  const duplicates::HashCounts& hashes = counts.hashes;
  lines.add("pictures", "{} hashed, {} featureless, {} failed; {} known before", count_text(hashes.hashed),
            count_text(hashes.featureless), count_text(hashes.failures()), count_text(hashes.cached));
  for (const auto& [reason, count] : hashes.failed)
    lines.add("", "{}: {}, such as {}", reason, count_text(count), hashes.examples.at(reason).item.substr(0, 40));
  print_groups(lines, "alike", counts.groups);
  if (counts.pairs_by_chance >= 1.0) {
    lines.add("", "unrelated ones too: at distance {} {:.0f} pairs or more by chance", counts.distance,
              counts.pairs_by_chance);
  }
}

void print_leak(Lines& lines, const Duplicates& found) {
  if (!found.test_images) {
    lines.add("leak", "no points or pairs yet: run `imagerank label`, then this again");
    return;
  }
  const auto line = [&](std::string_view name, const std::optional<std::int64_t>& in_train, std::string_view what) {
    const double share = *found.test_images == 0
                             ? 0.0
                             : 100.0 * static_cast<double>(*in_train) / static_cast<double>(*found.test_images);
    lines.add(name, "{} of {} test images ({:.1f} %) {}", count_text(*in_train), count_text(*found.test_images), share,
              what);
  };
  line("leak", found.exact.test_in_train, "are in train under another uid");
  if (found.perceptual) line("", found.perceptual->groups.test_in_train, "look like one in train");
}

void print(std::ostream& out, const Duplicates& found) {
  Lines lines(out);
  lines.add("images", "{} with a file", count_text(found.images));
  if (found.other_images != 0) lines.add("", "{} without: left out", count_text(found.other_images));
  if (found.without_sha256 != 0)
    lines.add("", "{} without sha256: not compared exactly", count_text(found.without_sha256));
  print_groups(lines, "exact", found.exact);
  if (found.perceptual) print_perceptual(lines, *found.perceptual);
  lines.add("rankings", "{} with one image twice", count_text(found.exact.rankings));
  if (found.perceptual) lines.add("", "{} with images that look alike", count_text(found.perceptual->groups.rankings));
  print_leak(lines, found);
  if (found.exact.groups == 0 && (!found.perceptual || found.perceptual->groups.groups == 0)) return;
  lines.add("what to do", "`label` goes by uids: no --split keeps duplicates on one side. Give each");
  lines.add("", "image the uid of its group's first (--csv FILE) in the rankings and");
  lines.add("", "`import` them anew; then --split image or component does.");
}

}  // namespace

int run_duplicates(const DuplicatesOptions& options, Terminal& terminal) {
  options.settings.validate();
  const auto workspace = workspace::Workspace::open(options.data);
  const Duplicates found = duplicates::find_duplicates(workspace, options.settings, terminal.context());
  terminal.result(as_json(found), [&](std::ostream& out) { print(out, found); });
  const bool none_decoded = found.perceptual && found.perceptual->hashes.failures() == found.images;
  return none_decoded ? 1 : 0;
}

std::function<int(Terminal&)> add_duplicates(CLI::App& command) {
  const auto options = std::make_shared<DuplicatesOptions>();
  duplicates::DuplicateSettings& settings = options->settings;
  command.add_option("--data", options->data, "The workspace folder")->required();
  CLI::Option* const perceptual =
      command.add_flag("--perceptual", settings.perceptual, "Also compare what the images look like");
  command
      .add_option("--distance", settings.distance,
                  "Bits, 0 to 16, in which the hashes of images that look alike may differ")
      ->needs(perceptual)
      ->capture_default_str();
  command.add_option("--csv", settings.csv, "Write image_uid,group,kind,distance of all groups here");
  command.footer("Example:\n  imagerank duplicates --data mine --perceptual --csv groups.csv");
  return [options](Terminal& terminal) { return run_duplicates(*options, terminal); };
}

}  // namespace imagerank::cli
