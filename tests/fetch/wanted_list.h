#pragma once

#include <string>
#include <vector>

#include "fetch/schedule.h"

namespace imagerank::fetch {

/// Gives out `urls`, whose uids are their places. @param urls  outlives it.
inline WantedSource source_of(const std::vector<std::string>& urls) {
  return [&urls, next = std::size_t{0}](Wanted& wanted) mutable {
    if (next == urls.size()) return false;
    wanted = {std::to_string(next), urls[next], 1, "", "", false};
    ++next;
    return true;
  };
}

}  // namespace imagerank::fetch
