#include "cli/transfer_output.h"

#include <fmt/format.h>

#include <array>

#include "cli/terminal.h"

namespace imagerank::cli {

RunContext in_megabytes(RunContext context) {
  if (!context.progress) return context;
  context.progress = [show = context.progress](Progress progress) {
    constexpr std::uint64_t kMegabyte = 1000000;
    if (progress.total >= 10 * kMegabyte) {
      progress.stage += " (MB)";
      progress.done /= kMegabyte;
      progress.total /= kMegabyte;
    } else {
      progress.stage += " (bytes)";
    }
    show(progress);
  };
  return context;
}

std::string amount(std::uint64_t bytes) {
  constexpr std::array kUnits = {"bytes", "kB", "MB", "GB", "TB"};
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; value >= 1000.0 && unit + 1 < kUnits.size(); ++unit) value /= 1000.0;
  return unit == 0 ? fmt::format("{} bytes", bytes) : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string file_lines(const std::string& repository, const std::vector<hub::PulledFile>& files) {
  std::string lines;
  for (const hub::PulledFile& file : files) {
    lines += fmt::format("{:>15}  {}  {}:{}\n", with_thousands(file.size), file.cached ? "cached" : "to get",
                         repository, file.path);
  }
  return lines;
}

void add_failures(nlohmann::ordered_json& object, const std::vector<ItemFailure>& failures) {
  object["failed"] = nlohmann::ordered_json::object();
  object["examples"] = nlohmann::ordered_json::object();
  for (const ItemFailure& failure : failures) {
    object["failed"][failure.reason] = object["failed"].value(failure.reason, 0) + 1;
    if (!object["examples"].contains(failure.reason))
      object["examples"][failure.reason] = {{"file", failure.item}, {"detail", failure.detail}};
  }
}

}  // namespace imagerank::cli
