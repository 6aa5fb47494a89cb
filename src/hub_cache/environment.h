#pragma once

#include <filesystem>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>

namespace imagerank::hub_cache {

/// A variable of the environment; nullopt where it is not set.
using Environment = std::function<std::optional<std::string>(const std::string&)>;
/// Of this process.
[[nodiscard]] Environment process_environment();

/// The text without white space at its ends.
[[nodiscard]] std::string trimmed(const std::string& text);
/// The first of the variables that is set and not empty, trimmed; "" if none is.
[[nodiscard]] std::string first_of(const Environment& environment, std::initializer_list<const char*> names);
/// A path of which a leading "~" is the home folder.
[[nodiscard]] std::filesystem::path with_home(const Environment& environment, const std::string& path);

/// HF_HOME, else XDG_CACHE_HOME/huggingface, else ~/.cache/huggingface; empty if not even HOME is set.
[[nodiscard]] std::filesystem::path hugging_face_home(const Environment& environment);
/// Where huggingface_hub keeps repositories: HF_HUB_CACHE (or HUGGINGFACE_HUB_CACHE), else hugging_face_home()/hub.
/// Source: https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables
[[nodiscard]] std::filesystem::path cache_folder(const Environment& environment);

}  // namespace imagerank::hub_cache
