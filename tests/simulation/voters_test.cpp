#include "simulation/voters.h"

#include <gtest/gtest.h>

#include <map>

#include "imagerank/error.h"
#include "simulation/annotators.h"

namespace imagerank::simulation {
namespace {

TEST(VotersTest, WithoutNoiseTheyChooseWhatIsTrulyBest) {
  WorldOptions options;
  options.rankings = 120;
  options.noise = 0.0;
  const World world = make_world(options);
  const Voters voters(world);
  std::map<std::pair<std::string, std::string>, double> truth;
  for (const auto& row : world.truth) truth[{row.prompt, row.image_uid}] = row.utility;
  Random random(3);
  int chosen = 0;
  for (const auto& ranking : world.rankings) {
    const std::vector<std::string>& uids = ranking.image_uids;
    const auto choice = voters.choose(voters.draw(random), ranking.prompt, uids, random);
    if (!choice) continue;
    ++chosen;
    for (const std::string& uid : uids) {
      EXPECT_LE((truth[{ranking.prompt, uid}]), (truth[{ranking.prompt, uids[*choice]}]) + 1e-9);
    }
  }
  EXPECT_GT(chosen, 40);
}

TEST(VotersTest, TheyKnowTheirWorldOnly) {
  WorldOptions options;
  options.rankings = 5;
  const World world = make_world(options);
  const Voters voters(world);
  Random random(1);
  const std::vector<std::string> unknown = {"none", world.pictures[0].uid};
  EXPECT_THROW((void)voters.choose(0, world.prompts[0].text, unknown, random), Error);
  EXPECT_THROW((void)voters.choose(0, "no such prompt", world.rankings[0].image_uids, random), Error);
}

}  // namespace
}  // namespace imagerank::simulation
