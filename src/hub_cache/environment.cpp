#include "hub_cache/environment.h"

#include <cstdlib>

namespace imagerank::hub_cache {

Environment process_environment() {
  return [](const std::string& name) -> std::optional<std::string> {
    const char* const value = std::getenv(name.c_str());  // NOLINT(concurrency-mt-unsafe): nothing sets it
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
  };
}

std::string trimmed(const std::string& text) {
  constexpr const char* kSpace = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kSpace);
  if (first == std::string::npos) return "";
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

std::string first_of(const Environment& environment, std::initializer_list<const char*> names) {
  for (const char* const name : names) {
    const std::string value = trimmed(environment(name).value_or(""));
    if (!value.empty()) return value;
  }
  return "";
}

std::filesystem::path with_home(const Environment& environment, const std::string& path) {
  if (path != "~" && !path.starts_with("~/")) return path;
  return first_of(environment, {"HOME"}) + path.substr(1);
}

std::filesystem::path hugging_face_home(const Environment& environment) {
  const std::filesystem::path named = with_home(environment, first_of(environment, {"HF_HOME"}));
  if (!named.empty()) return named;
  const std::filesystem::path xdg = with_home(environment, first_of(environment, {"XDG_CACHE_HOME"}));
  if (!xdg.empty()) return xdg / "huggingface";
  const std::filesystem::path home = first_of(environment, {"HOME"});
  return home.empty() ? home : home / ".cache" / "huggingface";
}

std::filesystem::path cache_folder(const Environment& environment) {
  const auto named = with_home(environment, first_of(environment, {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"}));
  if (!named.empty()) return named;
  const auto home = hugging_face_home(environment);
  return home.empty() ? home : home / "hub";
}

}  // namespace imagerank::hub_cache
