#pragma once

#include <cstdlib>
#include <fstream>

#include "fuzz_support.h"
#include "preferences/import.h"

namespace imagerank::fuzz {

/// Imports the bytes as a file of each of `formats` into an empty workspace: it works, or is a data error.
inline void import_bytes(const std::uint8_t* data, std::size_t size, const std::string& name,
                         std::initializer_list<const char*> formats) {
  static const std::filesystem::path folder = [] {
    std::string path = (std::filesystem::temp_directory_path() / "imagerank_fuzz_XXXXXX").string();
    require(::mkdtemp(path.data()) != nullptr);
    std::atexit([] { std::filesystem::remove_all(folder); });
    return std::filesystem::path(path);
  }();
  const std::filesystem::path file = folder / name;
  std::ofstream(file, std::ios::binary).write(reinterpret_cast<const char*>(data), static_cast<std::streamsize>(size));
  RunContext context;
  context.threads = 1;
  for (const char* format : formats) {
    std::filesystem::remove_all(folder / "w");
    const auto workspace = workspace::Workspace::create(folder / "w");
    try {
      const auto counts = preferences::import_files(workspace, preferences::format_of(format), {file}, {}, context);
      require(counts.rankings >= 0 && counts.ties <= counts.rankings && counts.added_images == counts.images);
    } catch (const Error& error) {
      require_data_error(error);
      require(!workspace.has_table("rankings") && !workspace.has_table("images"));
    }
  }
}

}  // namespace imagerank::fuzz
