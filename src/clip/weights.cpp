#include "clip/weights.h"

#include <map>
#include <vector>

#include "clip/weight_reader.h"
#include "core/fail.h"
#include "core/safetensors.h"

namespace imagerank::clip {
void load_weights(ClipModel& model, const WeightReader& reader) {
  const torch::NoGradGuard no_grad;
  for (auto& item : model->named_parameters()) {
    std::vector<float> values = reader.read(item.key());
    item.value().copy_(torch::from_blob(values.data(), item.value().sizes()));
  }
}

void load_weights(ClipModel& model, const std::filesystem::path& folder) {
  load_weights(model, WeightReader(model->config(), folder));
}

ClipModel load_clip_model(const std::filesystem::path& folder) {
  const WeightReader reader(folder);
  ClipModel model(reader.config());
  load_weights(model, reader);
  return model;
}

void save_weights(const ClipModel& model, const std::filesystem::path& folder, bool half) {
  const torch::NoGradGuard no_grad;
  const std::vector<WeightEntry> entries = list_weights(model->config());
  const auto parameters = model->named_parameters();
  std::map<std::string, TensorToWrite> tensors;
  for (const WeightEntry& entry : entries) {
    const torch::Tensor stored =
        parameters[entry.parameter].detach().to(torch::kCPU, half ? torch::kFloat16 : torch::kFloat32).contiguous();
    if (!torch::isfinite(stored).all().item<bool>()) {
      fail(ErrorCode::kInvalidArgument, "{}: weight '{}': expected finite numbers that {} holds, found others",
           folder.string(), entry.parameter, half ? "float16" : "float32");
    }
    const auto* bytes = static_cast<const std::byte*>(stored.data_ptr());
    const std::size_t part_bytes = stored.nbytes() / entry.hugging_face.size();
    std::vector<std::int64_t> shape = entry.shape;
    if (entry.hugging_face.size() > 1) shape[0] /= static_cast<std::int64_t>(entry.hugging_face.size());
    for (const std::string& name : entry.hugging_face) {
      tensors[name] = {half ? TensorType::kF16 : TensorType::kF32, shape, {bytes, bytes + part_bytes}};
      bytes += part_bytes;
    }
  }
  write_safetensors(folder / "model.safetensors", tensors, {{"format", "pt"}});
}

}  // namespace imagerank::clip
