#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>
#include <vector>

#include "core/atomic_file.h"
#include "core/mapped_file.h"
#include "workspace/database.h"

namespace imagerank::labels {

/// The prompts of `prompt_key` by number, and each as a CSV file has it; in a file of its own that the system may drop
/// from memory. Thread-safe once it is filled.
class PromptTexts {
 public:
  /// @param folder  where the file lies, without a name that outlives this process.
  explicit PromptTexts(std::filesystem::path folder) : folder_(std::move(folder)) {}
  void fill(workspace::Database& database);

  [[nodiscard]] std::size_t size() const noexcept { return places_.size(); }
  /// @param number  from 0: prompt_id - 1.
  [[nodiscard]] std::string_view text(std::uint32_t number) const noexcept { return at(places_[number].text); }
  [[nodiscard]] std::string_view csv_field(std::uint32_t number) const noexcept { return at(places_[number].field); }

 private:
  struct Range {
    std::uint64_t begin = 0;
    std::uint32_t size = 0;
  };
  struct Place {
    Range text, field;
  };
  [[nodiscard]] std::string_view at(const Range& range) const noexcept {
    return {reinterpret_cast<const char*>(mapped_.bytes().data()) + range.begin, range.size};
  }

  std::filesystem::path folder_;
  std::optional<AtomicFile> file_;  // never committed
  MappedFile mapped_;
  std::vector<Place> places_;
};

}  // namespace imagerank::labels
