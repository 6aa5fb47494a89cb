#include "core/safetensors.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string_view>

#include "core/atomic_file.h"
#include "core/fail.h"
#include "core/half.h"
#include "core/shown.h"

namespace imagerank {
namespace {

struct TypeName {
  TensorType type;
  std::string_view name;
  std::size_t bytes;
};
constexpr auto kTypes = std::to_array<TypeName>({
    {TensorType::kF64, "F64", 8},
    {TensorType::kF32, "F32", 4},
    {TensorType::kF16, "F16", 2},
    {TensorType::kBF16, "BF16", 2},
    {TensorType::kI64, "I64", 8},
    {TensorType::kI32, "I32", 4},
    {TensorType::kI16, "I16", 2},
    {TensorType::kI8, "I8", 1},
    {TensorType::kU8, "U8", 1},
    {TensorType::kBool, "BOOL", 1},
});

/// As the reference implementation has it (safetensors' MAX_HEADER_SIZE).
constexpr std::uint64_t kMostHeaderBytes = 100'000'000;

const TypeName& entry_of(TensorType type) {
  for (const TypeName& entry : kTypes) {
    if (entry.type == type) return entry;
  }
  return kTypes[0];
}

TensorView parse_tensor(const std::filesystem::path& path, const std::string& name, const nlohmann::json& entry,
                        std::span<const std::byte> data) {
  const auto bad = [&](std::string_view expected) {
    fail(ErrorCode::kCorruptData, "{}: tensor '{}': expected {}, found {}", path.string(), shown(name), expected,
         shown(entry.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace)));
  };
  if (!entry.is_object() || !entry.contains("dtype") || !entry["dtype"].is_string() || !entry.contains("shape") ||
      !entry["shape"].is_array() || !entry.contains("data_offsets") || !entry["data_offsets"].is_array() ||
      entry["data_offsets"].size() != 2 || !entry["data_offsets"][0].is_number_unsigned() ||
      !entry["data_offsets"][1].is_number_unsigned()) {
    bad("dtype, shape and data_offsets");
  }
  TensorView view;
  const std::string dtype = entry["dtype"];
  bool known = false;
  for (const TypeName& candidate : kTypes) {
    if (candidate.name == dtype) {
      view.type = candidate.type;
      known = true;
    }
  }
  if (!known) bad("a dtype among F64, F32, F16, BF16, I64, I32, I16, I8, U8, BOOL");
  std::size_t count = 1;
  for (const auto& extent : entry["shape"]) {
    if (!extent.is_number_unsigned()) bad("a shape of non-negative integers");
    const auto value = extent.get<std::uint64_t>();
    if (value != 0 && count > data.size() / value + 1 && count != 0) bad("a shape that fits the file");
    count *= value;
    view.shape.push_back(static_cast<std::int64_t>(value));
  }
  const auto begin = entry["data_offsets"][0].get<std::uint64_t>();
  const auto end = entry["data_offsets"][1].get<std::uint64_t>();
  if (begin > end || end > data.size()) bad(fmt::format("offsets within {} bytes of data", data.size()));
  if (end - begin != count * element_size(view.type)) bad(fmt::format("{} bytes", count * element_size(view.type)));
  view.bytes = data.subspan(begin, end - begin);
  return view;
}

/// The tensors must lie one behind the other, from the first byte of the data to the last.
void check_layout(const std::filesystem::path& path, const std::map<std::string, TensorView>& tensors,
                  std::span<const std::byte> data) {
  std::vector<std::pair<std::size_t, const std::string*>> order;  // by where they begin
  for (const auto& [name, view] : tensors) {
    if (!view.bytes.empty()) order.emplace_back(view.bytes.data() - data.data(), &name);
  }
  std::ranges::sort(order, {}, [](const auto& entry) { return entry.first; });
  std::size_t end = 0;
  for (const auto& [begin, name] : order) {
    if (begin != end) {
      fail(ErrorCode::kCorruptData,
           "{}: tensor '{}': expected to begin at byte {}, where the one before it ends, found {}", path.string(),
           *name, end, begin);
    }
    end = begin + tensors.at(*name).bytes.size();
  }
  if (end != data.size()) {
    fail(ErrorCode::kCorruptData, "{}: expected tensors of {} bytes in all, found {} bytes of data", path.string(), end,
         data.size());
  }
}

}  // namespace

std::size_t element_size(TensorType type) noexcept { return entry_of(type).bytes; }

std::string_view type_name(TensorType type) noexcept { return entry_of(type).name; }

bool is_floating(TensorType type) noexcept {
  return type == TensorType::kF64 || type == TensorType::kF32 || type == TensorType::kF16 || type == TensorType::kBF16;
}

std::size_t TensorView::element_count() const noexcept { return bytes.size() / element_size(type); }

std::vector<float> TensorView::to_float() const {
  std::vector<float> values(element_count());
  const auto each = [&]<typename T>(T, auto convert) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      T element;
      std::memcpy(&element, bytes.data() + i * sizeof(T), sizeof(T));
      values[i] = convert(element);
    }
  };
  switch (type) {
    case TensorType::kF32:
      if (!values.empty()) std::memcpy(values.data(), bytes.data(), bytes.size());
      break;
    case TensorType::kF64:
      each(double{}, [](double value) { return static_cast<float>(value); });
      break;
    case TensorType::kF16:
      each(std::uint16_t{}, float_from_half);
      break;
    case TensorType::kBF16:
      each(std::uint16_t{}, float_from_bfloat16);
      break;
    case TensorType::kI64:
    case TensorType::kI32:
    case TensorType::kI16:
    case TensorType::kI8:
    case TensorType::kU8:
    case TensorType::kBool:
      fail(ErrorCode::kCorruptData, "expected a floating tensor, found {}", entry_of(type).name);
  }
  return values;
}

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path) : file_(path) {
  const std::span<const std::byte> bytes = file_.bytes();
  std::uint64_t header_size = 0;
  if (bytes.size() < sizeof(header_size)) {
    fail(ErrorCode::kCorruptData, "{}: expected a safetensors file, found {} bytes", path.string(), bytes.size());
  }
  std::memcpy(&header_size, bytes.data(), sizeof(header_size));
  if (header_size > bytes.size() - sizeof(header_size)) {
    fail(ErrorCode::kCorruptData, "{}: safetensors header: expected {} bytes, found a file of {}", path.string(),
         header_size, bytes.size());
  }
  if (header_size > kMostHeaderBytes) {
    fail(ErrorCode::kCorruptData, "{}: safetensors header: expected at most {} bytes, found {}", path.string(),
         kMostHeaderBytes, header_size);
  }
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()) + sizeof(header_size), header_size);
  const nlohmann::json header = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!header.is_object())
    fail(ErrorCode::kCorruptData, "{}: safetensors header: expected a JSON object", path.string());
  const std::span<const std::byte> data = bytes.subspan(sizeof(header_size) + header_size);
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") {
      for (const auto& [key, value] : entry.items()) {
        if (value.is_string()) metadata_[key] = value.get<std::string>();
      }
    } else {
      tensors_.emplace(name, parse_tensor(path, name, entry, data));
    }
  }
  check_layout(path, tensors_, data);
}

const TensorView* SafetensorsFile::find(const std::string& name) const noexcept {
  const auto at = tensors_.find(name);
  return at == tensors_.end() ? nullptr : &at->second;
}

TensorToWrite float_tensor(std::span<const float> values, std::vector<std::int64_t> shape) {
  const auto bytes = std::as_bytes(values);
  return {TensorType::kF32, std::move(shape), {bytes.begin(), bytes.end()}};
}

TensorToWrite half_tensor(std::span<const float> values, std::vector<std::int64_t> shape) {
  std::vector<std::uint16_t> halves(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) halves[i] = half_from_float(values[i]);
  const auto bytes = std::as_bytes(std::span(halves));
  return {TensorType::kF16, std::move(shape), {bytes.begin(), bytes.end()}};
}

void write_safetensors(const std::filesystem::path& path, const std::map<std::string, TensorToWrite>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json header;
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::uint64_t offset = 0;
  for (const auto& [name, tensor] : tensors) {
    std::size_t count = 1;
    for (const std::int64_t extent : tensor.shape) count *= static_cast<std::size_t>(extent);
    if (count * element_size(tensor.type) != tensor.bytes.size()) {
      fail(ErrorCode::kInvalidArgument, "{}: tensor '{}': the shape holds {} elements, the data {} bytes",
           path.string(), name, count, tensor.bytes.size());
    }
    header[name] = {{"dtype", entry_of(tensor.type).name},
                    {"shape", tensor.shape},
                    {"data_offsets", {offset, offset + tensor.bytes.size()}}};
    offset += tensor.bytes.size();
  }
  std::string text = tensors.empty() && metadata.empty() ? "{}" : header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');
  const std::uint64_t header_size = text.size();
  AtomicFile file(path);
  file.write(std::as_bytes(std::span(&header_size, 1)));
  file.write(text);
  for (const auto& [name, tensor] : tensors) file.write(tensor.bytes);
  file.commit();
}

}  // namespace imagerank
