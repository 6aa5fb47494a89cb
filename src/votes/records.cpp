#include "votes/records.h"

#include <array>
#include <utility>

#include "core/fail.h"

namespace imagerank::votes {
namespace {

constexpr std::array<std::pair<Strategy, std::string_view>, 3> kStrategies = {{
    {Strategy::kRandom, "random"},
    {Strategy::kBalanced, "balanced"},
    {Strategy::kUncertain, "uncertain"},
}};

}  // namespace

std::string_view name_of(Strategy strategy) noexcept {
  for (const auto& [value, name] : kStrategies) {
    if (value == strategy) return name;
  }
  return "";
}

Strategy parse_strategy(std::string_view name) {
  for (const auto& [value, known] : kStrategies) {
    if (known == name) return value;
  }
  fail(ErrorCode::kInvalidArgument, "strategy: expected random, balanced or uncertain, found '{}'", name);
}

void Vote::check() const {
  constexpr std::int64_t kDay = 86'400'000;
  if (skipped && choice) fail(ErrorCode::kInvalidArgument, "vote: expected a choice or skipped, found both");
  if (taken_ms < 0 || taken_ms > kDay)
    fail(ErrorCode::kInvalidArgument, "ms: expected 0 to {}, found {}", kDay, taken_ms);
}

}  // namespace imagerank::votes
