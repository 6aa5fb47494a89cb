#include "reward/checkpoint.h"

#include <array>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "core/safetensors.h"
#include "imagerank/error.h"

namespace imagerank::reward {
namespace {

/// The state's groups of tensors by their prefix in the file.
template <typename State>
auto groups(State& state) {
  return std::array{std::pair{std::string("parameter/"), &state.parameters},
                    std::pair{std::string("first_moment/"), &state.first_moments},
                    std::pair{std::string("second_moment/"), &state.second_moments},
                    std::pair{std::string("best/"), &state.best}};
}

}  // namespace

std::filesystem::path checkpoint_path(const std::filesystem::path& reward_folder) {
  return reward_folder / ".training.safetensors";
}

void save_checkpoint(const std::filesystem::path& reward_folder, const std::string& key, const TrainingState& state) {
  std::map<std::string, TensorToWrite> tensors;
  for (const auto& [prefix, values] : groups(state)) {
    for (const auto& [name, numbers] : *values) {
      tensors.emplace(prefix + name, float_tensor(numbers, {static_cast<std::int64_t>(numbers.size())}));
    }
  }
  const nlohmann::json progress = {{"epoch", state.epoch},           {"step", state.step},
                                   {"best_epoch", state.best_epoch}, {"best_loss", state.best_loss},
                                   {"seconds", state.seconds},       {"history", state.history},
                                   {"collapse", state.collapse}};
  write_safetensors(checkpoint_path(reward_folder), tensors, {{"key", key}, {"progress", progress.dump()}});
}

std::optional<TrainingState> find_checkpoint(const std::filesystem::path& reward_folder, const std::string& key,
                                             const NamedValues& expected) {
  std::error_code ignored;
  if (!std::filesystem::exists(checkpoint_path(reward_folder), ignored)) return std::nullopt;
  try {
    const SafetensorsFile file(checkpoint_path(reward_folder));
    const auto& metadata = file.metadata();
    if (!metadata.contains("key") || metadata.at("key") != key) return std::nullopt;
    const nlohmann::json progress = nlohmann::json::parse(metadata.at("progress"));
    TrainingState state;
    state.epoch = progress.at("epoch").get<int>();
    state.step = progress.at("step").get<std::int64_t>();
    state.best_epoch = progress.at("best_epoch").get<int>();
    state.best_loss = progress.at("best_loss").get<double>();
    state.seconds = progress.at("seconds").get<double>();
    state.history = progress.at("history");
    state.collapse = progress.at("collapse").get<std::string>();
    for (const auto& [prefix, values] : groups(state)) {
      for (const auto& [name, numbers] : expected) {
        const TensorView* const tensor = file.find(prefix + name);
        if (tensor == nullptr || tensor->element_count() != numbers.size()) return std::nullopt;
        values->emplace(name, tensor->to_float());
      }
    }
    return state;
  } catch (const Error&) {  // half written by another version, or damaged: not worth more than starting afresh
    return std::nullopt;
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;
  } catch (const std::out_of_range&) {
    return std::nullopt;
  }
}

void remove_checkpoint(const std::filesystem::path& reward_folder) {
  std::error_code ignored;
  std::filesystem::remove(checkpoint_path(reward_folder), ignored);
}

}  // namespace imagerank::reward
