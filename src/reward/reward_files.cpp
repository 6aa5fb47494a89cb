#include "reward/reward_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <system_error>
#include <utility>

#include "core/atomic_file.h"
#include "core/fail.h"
#include "core/safetensors.h"
#include "reward/published_scorers.h"

namespace imagerank::reward {
namespace {

constexpr int kFormat = 1;
constexpr std::size_t kMaxRecordBytes = std::size_t{64} << 20;
constexpr const char* kMeanName = "scaler.mean";
constexpr const char* kInverseName = "scaler.inverse_deviation";

std::string weights_key(const SafetensorsFile& file) {
  const auto found = file.metadata().find("key");
  return found == file.metadata().end() ? std::string() : found->second;
}

std::vector<float> find_vector(const NamedValues& values, const char* name, std::size_t size,
                               const std::string& where) {
  const auto found = values.find(name);
  if (found == values.end() || found->second.size() != size) {
    fail(ErrorCode::kCorruptData, "{}: tensor {}: expected {} numbers, found {}", where, name, size,
         found == values.end() ? 0 : found->second.size());
  }
  return found->second;
}

}  // namespace

std::filesystem::path weights_path(const std::filesystem::path& folder) { return folder / "reward.safetensors"; }
std::filesystem::path record_path(const std::filesystem::path& folder) { return folder / "reward.json"; }

std::string member_prefix(int member, int ensemble) {
  return ensemble == 1 ? std::string() : fmt::format("member{}/", member);
}

StoredTensors store_tensors(const std::vector<Parameter*>& parameters, const NamedValues& values,
                            const Scaler& scaler) {
  StoredTensors tensors;
  for (const Parameter* const parameter : parameters) {
    tensors.emplace(parameter->name, StoredTensor{parameter->value.sizes().vec(), values.at(parameter->name)});
  }
  if (scaler.kind() == InputScaling::kStandardise) {
    const auto size = static_cast<std::int64_t>(scaler.mean().size());
    tensors.emplace(kMeanName, StoredTensor{{size}, scaler.mean()});
    tensors.emplace(kInverseName, StoredTensor{{size}, scaler.inverse_deviation()});
  }
  return tensors;
}

StoredTensors load_tensors(const std::filesystem::path& folder) {
  const nlohmann::json record = load_record(folder);
  const SafetensorsFile file(weights_path(folder));
  if (weights_key(file) != record.value("key", "")) {
    fail(ErrorCode::kCorruptData, "reward {}: reward.json and reward.safetensors are of two trainings; run train again",
         folder.string());
  }
  StoredTensors tensors;
  for (const auto& [name, tensor] : file.tensors())
    tensors.emplace(name, StoredTensor{tensor.shape, tensor.to_float()});
  return tensors;
}

Scaler stored_scaler(const NamedValues& values, InputScaling scaling, std::size_t dim, const std::string& where) {
  if (scaling == InputScaling::kUnitLength) return Scaler::unit_length(dim);
  return Scaler::standardise(find_vector(values, kMeanName, 2 * dim, where),
                             find_vector(values, kInverseName, 2 * dim, where));
}

void save_reward(const std::filesystem::path& folder, const nlohmann::json& record, const StoredTensors& tensors) {
  std::map<std::string, TensorToWrite> written;
  for (const auto& [name, tensor] : tensors) written.emplace(name, float_tensor(tensor.values, tensor.shape));
  nlohmann::json whole = record;
  whole["format"] = kFormat;
  write_safetensors(weights_path(folder), written, {{"key", record.at("key").get<std::string>()}});
  write_file_atomically(record_path(folder), whole.dump(2) + "\n");
}

nlohmann::json load_record(const std::filesystem::path& folder) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(folder, ignored)) {
    fail(ErrorCode::kNotFound,
         "reward {}: expected a folder with reward.json and reward.safetensors, a published head's file, or one of {}; "
         "found {}",
         folder.string(), fmt::join(scorer_names(), ", "),
         std::filesystem::exists(folder, ignored) ? "neither" : "nothing");
  }
  const std::filesystem::path path = record_path(folder);
  if (!std::filesystem::exists(path, ignored)) {
    fail(ErrorCode::kNotFound, "reward {}: expected reward.json in it, found none (`imagerank train` makes it)",
         folder.string());
  }
  nlohmann::json record = nlohmann::json::parse(load_file(path, kMaxRecordBytes), nullptr, /*allow_exceptions=*/false);
  if (!record.is_object()) fail(ErrorCode::kCorruptData, "{}: expected a JSON object", path.string());
  const nlohmann::json format = record.value("format", nlohmann::json());
  if (format != kFormat) {
    fail(ErrorCode::kCorruptData, "{}: expected format {}, found {}", path.string(), kFormat, format.dump());
  }
  return record;
}

std::optional<nlohmann::json> find_finished(const std::filesystem::path& folder, const std::string& key) {
  try {
    nlohmann::json record = load_record(folder);
    if (record.value("key", "") != key) return std::nullopt;
    if (weights_key(SafetensorsFile(weights_path(folder))) != key) return std::nullopt;
    return record;
  } catch (const Error&) {  // nothing there, or nothing usable: it is trained again
    return std::nullopt;
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;
  }
}

ParameterSource stored_parameters(const NamedValues& values, at::ScalarType type, std::string where) {
  return [&values, type, where = std::move(where)](const std::string& name, const std::vector<std::int64_t>& shape,
                                                   double) {
    std::size_t size = 1;
    for (const std::int64_t extent : shape) size *= static_cast<std::size_t>(extent);
    const auto found = values.find(name);
    if (found == values.end() || found->second.size() != size) {
      fail(ErrorCode::kCorruptData, "{}: tensor {}: expected {} numbers, found {}", where, name, size,
           found == values.end() ? 0 : found->second.size());
    }
    at::Tensor value = at::empty(shape, at::kFloat);
    std::ranges::copy(found->second, value.data_ptr<float>());
    return value.to(type);
  };
}

}  // namespace imagerank::reward
