#include "simulation/store.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <set>

#include "core/atomic_file.h"
#include "core/fail.h"

namespace imagerank::simulation {
namespace {

using nlohmann::ordered_json;

ordered_json describe(const WorldOptions& options) {
  return {{"format", "imagerank-simulation"},
          {"version", 1},
          {"kind", "rankings"},
          {"rankings", options.rankings},
          {"seed", options.seed},
          {"noise", options.noise},
          {"hold_out", name_of(options.hold_out)},
          {"image_size", options.image_size}};
}

ordered_json describe(const CaptionSetOptions& options) {
  return {{"format", "imagerank-simulation"}, {"version", 1},         {"kind", "captions"},
          {"captions", options.captions},     {"seed", options.seed}, {"hold_out", name_of(options.hold_out)},
          {"image_size", options.image_size}};
}

/// Which option differs, for a person.
std::string first_difference(const ordered_json& found, const ordered_json& wanted) {
  for (const auto& [key, value] : wanted.items()) {
    const std::string other = found.is_object() && found.contains(key) ? found[key].dump() : "nothing";
    if (other != value.dump()) return fmt::format("{} {} there, {} asked for", key, other, value.dump());
  }
  return "other options";
}

/// Leaves <root>/simulation.json with `wanted`, or refuses.
void claim(const workspace::Workspace& workspace, const ordered_json& wanted) {
  const std::filesystem::path path = workspace.root() / "simulation.json";
  if (std::filesystem::exists(path)) {
    const ordered_json found = ordered_json::parse(load_file(path, 1 << 20), nullptr, /*allow_exceptions=*/false);
    if (found == wanted) return;
    fail(ErrorCode::kRefused, "{}: holds another simulation ({}); expected an empty folder or the same options",
         workspace.root().string(), first_difference(found, wanted));
  }
  constexpr std::array kTables = {"rankings", "ratings", "images", "points", "pairs", "truth"};
  for (const char* table : kTables) {
    if (workspace.has_table(table)) {
      fail(ErrorCode::kRefused, "{}: holds {}.parquet, which no simulation made; expected an empty folder",
           workspace.root().string(), table);
    }
  }
  write_file_atomically(path, wanted.dump(2) + "\n");
}

/// Another command may have added to the tables since; writing ours would lose that.
void check_nothing_added(const workspace::Workspace& workspace, const std::vector<Picture>& pictures) {
  if (workspace.has_table("rankings")) {
    for (const workspace::Ranking& ranking : workspace.load_rankings()) {
      if (ranking.dataset != kDataset) {
        fail(ErrorCode::kRefused, "{}: rankings.parquet also holds rankings of dataset '{}', which would be lost",
             workspace.root().string(), ranking.dataset);
      }
    }
  }
  std::set<std::string> uids;
  for (const Picture& picture : pictures) uids.insert(picture.uid);
  for (const workspace::Image& image : workspace.find_images()) {
    if (!uids.contains(image.image_uid)) {
      fail(ErrorCode::kRefused, "{}: images.parquet also holds image '{}', which would be lost",
           workspace.root().string(), image.image_uid);
    }
  }
}

}  // namespace

HoldOut parse_hold_out(const std::string& name) {
  if (name == "none") return HoldOut::kNone;
  if (name == "exclude") return HoldOut::kExclude;
  if (name == "only") return HoldOut::kOnly;
  fail(ErrorCode::kInvalidArgument, "hold-out must be none, exclude or only, found '{}'", name);
}

std::string name_of(HoldOut hold_out) {
  if (hold_out == HoldOut::kNone) return "none";
  return hold_out == HoldOut::kExclude ? "exclude" : "only";
}

WorldOptions load_world_options(const std::filesystem::path& root) {
  const std::filesystem::path path = root / "simulation.json";
  const ordered_json found = ordered_json::parse(load_file(path, 1 << 20), nullptr, /*allow_exceptions=*/false);
  try {
    WorldOptions options{found.at("rankings"), found.at("seed"), found.at("noise"),
                         parse_hold_out(found.at("hold_out")), found.at("image_size")};
    if (found == describe(options)) return options;
  } catch (const ordered_json::exception&) {
    // Said below.
  }
  fail(ErrorCode::kCorruptData, "{}: expected the options of a world with rankings, found others", path.string());
}

void store_world(const std::filesystem::path& root, const WorldOptions& options, const World& world,
                 const RunContext& context) {
  const auto workspace = workspace::Workspace::create(root);
  claim(workspace, describe(options));
  check_nothing_added(workspace, world.pictures);
  workspace.write_images(store_pictures(workspace, world.pictures, context));
  workspace.write_truth(world.truth);
  workspace.write_rankings(world.rankings);
}

void store_caption_set(const std::filesystem::path& root, const CaptionSetOptions& options,
                       const std::vector<Picture>& pictures, const RunContext& context) {
  const auto workspace = workspace::Workspace::create(root);
  claim(workspace, describe(options));
  check_nothing_added(workspace, pictures);
  workspace.write_images(store_pictures(workspace, pictures, context));
}

}  // namespace imagerank::simulation
