#pragma once

#include <filesystem>
#include <string_view>
#include <vector>

namespace imagerank::workspace {

/// The files that a command line names: what exists as it is, anything with `*`, `?` or `[` as the files it matches,
/// by name. Each once, in order. @param example  for the message about a folder, such as "*.parquet".
/// @throws Error kNotFound if a name or pattern stands for nothing, kInvalidArgument for a folder.
[[nodiscard]] std::vector<std::filesystem::path> expand_patterns(const std::vector<std::filesystem::path>& patterns,
                                                                 std::string_view example);

}  // namespace imagerank::workspace
