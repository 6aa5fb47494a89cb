#include "simulation/voters.h"

#include <vector>

#include "core/fail.h"

namespace imagerank::simulation {

Voters::Voters(const World& world) : world_(world) {
  for (const Prompt& prompt : world.prompts) prompts_.emplace(prompt.text, &prompt);
  for (const Picture& picture : world.pictures) pictures_.emplace(picture.uid, &picture);
}

std::optional<std::size_t> Voters::choose(std::size_t voter, const std::string& prompt,
                                          std::span<const std::string> uids, Random& random) const {
  const auto wanted = prompts_.find(prompt);
  if (wanted == prompts_.end()) {
    fail(ErrorCode::kNotFound, "prompt: expected one of the made-up world, found '{}'", prompt);
  }
  std::vector<Candidate> candidates;
  for (const std::string& uid : uids) {
    const auto picture = pictures_.find(uid);
    if (picture == pictures_.end()) {
      fail(ErrorCode::kNotFound, "image: expected one of the made-up world, found '{}'", uid);
    }
    const Scene& scene = picture->second->scene;
    candidates.push_back({match(*wanted->second, scene), picture->second->quality.score(), &scene});
  }
  return vote(world_.annotators[voter], candidates, random);
}

}  // namespace imagerank::simulation
