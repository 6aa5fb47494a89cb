#include "onnx/graph.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <memory>
#include <span>

#include "core/atomic_file.h"
#include "core/fail.h"
#include "imagerank/version.h"
#include "onnx/message.h"

namespace imagerank::onnx {
namespace {

static_assert(std::endian::native == std::endian::little, "weights are written as they lie in memory");

// Numbers of fields. Source: onnx/onnx.proto.
namespace model_field {
constexpr int kIrVersion = 1, kProducer = 2, kProducerVersion = 3, kGraph = 7, kOperatorSet = 8, kMetadata = 14;
}
namespace graph_field {
constexpr int kNode = 1, kName = 2, kInitializer = 5, kInput = 11, kOutput = 12;
}
namespace node_field {
constexpr int kInput = 1, kOutput = 2, kName = 3, kOperation = 4, kAttribute = 5;
}
namespace attribute_field {
constexpr int kName = 1, kFloat = 2, kInteger = 3, kIntegers = 8, kType = 20;
}
namespace tensor_field {
constexpr int kDimension = 1, kType = 2, kName = 8, kRaw = 9, kExternal = 13, kLocation = 14;
}

constexpr std::int64_t kIrVersion = 8;
constexpr std::int64_t kExternalLocation = 1;
/// Pages: a reader may map the weights.
constexpr std::uint64_t kAlignment = 4096;

Message entry(const std::string& key, const std::string& value) {
  Message message;
  message.text(1, key).text(2, value);
  return message;
}

Message value_info(const std::string& name, ElementType type, const std::vector<Dimension>& shape) {
  Message dimensions;
  for (const Dimension& dimension : shape) {
    Message size;
    if (const auto* const known = std::get_if<std::int64_t>(&dimension)) {
      size.integer(1, *known);
    } else {
      size.text(2, std::get<std::string>(dimension));
    }
    dimensions.message(1, size);
  }
  Message tensor, any, value;
  tensor.integer(1, static_cast<std::int64_t>(type)).message(2, dimensions);
  any.message(1, tensor);
  value.text(1, name).message(2, any);
  return value;
}

Message tensor_header(const std::string& name, ElementType type, const std::vector<std::int64_t>& shape) {
  Message tensor;
  for (const std::int64_t size : shape) tensor.integer(tensor_field::kDimension, size);
  tensor.integer(tensor_field::kType, static_cast<std::int64_t>(type)).text(tensor_field::kName, name);
  return tensor;
}

Message attribute(const std::string& name, const Attributes::value_type::second_type& value) {
  constexpr std::int64_t kFloatType = 1, kIntegerType = 2, kIntegersType = 7;
  Message message;
  message.text(attribute_field::kName, name);
  if (const auto* const integer = std::get_if<std::int64_t>(&value)) {
    message.integer(attribute_field::kInteger, *integer).integer(attribute_field::kType, kIntegerType);
  } else if (const auto* const real = std::get_if<float>(&value)) {
    message.real(attribute_field::kFloat, *real).integer(attribute_field::kType, kFloatType);
  } else {
    for (const std::int64_t one : std::get<std::vector<std::int64_t>>(value))
      message.integer(attribute_field::kIntegers, one);
    message.integer(attribute_field::kType, kIntegersType);
  }
  return message;
}

std::string_view as_text(std::span<const float> values) {
  return {reinterpret_cast<const char*>(values.data()), values.size_bytes()};
}

void add(std::string& fields, int field, const Message& message) {
  fields += Message().message(field, message).bytes();
}

}  // namespace

std::uint64_t Graph::Weight::bytes() const noexcept {
  std::uint64_t count = sizeof(float);
  for (const std::int64_t size : shape) count *= static_cast<std::uint64_t>(size);
  return count;
}

std::vector<float> Graph::Weight::numbers() const {
  std::vector<float> values = read();
  if (values.size() * sizeof(float) != bytes()) {
    fail(ErrorCode::kCorruptData, "weight {}: expected {} bytes, found {}", name, bytes(),
         values.size() * sizeof(float));
  }
  return values;
}

Value Graph::input(const std::string& name, ElementType type, const std::vector<Dimension>& shape) {
  add(inputs_, graph_field::kInput, value_info(name, type, shape));
  return name;
}

void Graph::output(const std::string& name, const Value& value, ElementType type, const std::vector<Dimension>& shape) {
  Message copy;
  copy.text(node_field::kInput, value).text(node_field::kOutput, name);
  copy.text(node_field::kName, name).text(node_field::kOperation, "Identity");
  add(nodes_, graph_field::kNode, copy);
  add(outputs_, graph_field::kOutput, value_info(name, type, shape));
}

std::vector<Value> Graph::node_of_many(const std::string& operation, const std::vector<Value>& inputs,
                                       std::size_t outputs, const Attributes& attributes) {
  const std::string name = fmt::format("{}_{}", operation, node_count_++);
  Message message;
  for (const Value& input : inputs) message.text(node_field::kInput, input);
  std::vector<Value> values;
  for (std::size_t i = 0; i < outputs; ++i) {
    values.push_back(outputs == 1 ? fmt::format("{}_out", name) : fmt::format("{}_out{}", name, i));
    message.text(node_field::kOutput, values.back());
  }
  message.text(node_field::kName, name).text(node_field::kOperation, operation);
  for (const auto& [key, value] : attributes) message.message(node_field::kAttribute, attribute(key, value));
  add(nodes_, graph_field::kNode, message);
  return values;
}

Value Graph::node(const std::string& operation, const std::vector<Value>& inputs, const Attributes& attributes) {
  return node_of_many(operation, inputs, 1, attributes).front();
}

Value Graph::weight(const std::string& name, const std::vector<std::int64_t>& shape,
                    std::function<std::vector<float>()> read) {
  if (std::ranges::find(weights_, name, &Weight::name) == weights_.end())
    weights_.push_back({name, shape, std::move(read)});
  return name;
}

Value Graph::weight(const std::string& name, const std::vector<std::int64_t>& shape, std::vector<float> values) {
  return weight(name, shape, [values = std::move(values)] { return values; });
}

Value Graph::number(float value) {
  const std::string name = fmt::format("number_{}", number_count_++);
  Message tensor = tensor_header(name, ElementType::kFloat, {1});
  tensor.text(tensor_field::kRaw, as_text(std::span(&value, 1)));
  add(constants_, graph_field::kInitializer, tensor);
  return name;
}

Value Graph::integers(const std::vector<std::int64_t>& values) {
  const auto [at, is_new] = integers_.emplace(values, fmt::format("integers_{}", fmt::join(values, "_")));
  if (is_new) {
    Message tensor = tensor_header(at->second, ElementType::kInt64, {static_cast<std::int64_t>(values.size())});
    tensor.text(tensor_field::kRaw,
                {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(std::int64_t)});
    add(constants_, graph_field::kInitializer, tensor);
  }
  return at->second;
}

std::uint64_t Graph::weight_bytes() const noexcept {
  std::uint64_t sum = 0;
  for (const Weight& weight : weights_) sum += weight.bytes();
  return sum;
}

std::string Graph::graph_fields() const {
  return nodes_ + Message().text(graph_field::kName, name_).bytes() + constants_ + inputs_ + outputs_;
}

std::string Graph::model_fields() const {
  Message operators, model;
  operators.text(1, "").integer(2, kOperatorSet);
  model.integer(model_field::kIrVersion, kIrVersion).text(model_field::kProducer, "imagerank");
  model.text(model_field::kProducerVersion, version()).message(model_field::kOperatorSet, operators);
  for (const auto& [key, value] : metadata_) model.message(model_field::kMetadata, entry(key, value));
  return model.bytes();
}

std::vector<std::string> Graph::initializer_fields(const std::string& data_name) const {
  std::vector<std::string> fields;
  std::uint64_t offset = 0;
  for (const Weight& weight : weights_) {
    Message tensor = tensor_header(weight.name, ElementType::kFloat, weight.shape);
    std::uint64_t inside = 0;
    if (data_name.empty()) {
      tensor.prefix(tensor_field::kRaw, weight.bytes());
      inside = weight.bytes();
    } else {
      tensor.message(tensor_field::kExternal, entry("location", data_name));
      tensor.message(tensor_field::kExternal, entry("offset", std::to_string(offset)));
      tensor.message(tensor_field::kExternal, entry("length", std::to_string(weight.bytes())));
      tensor.integer(tensor_field::kLocation, kExternalLocation);
      offset += (weight.bytes() + kAlignment - 1) / kAlignment * kAlignment;
    }
    Message field;
    field.prefix(graph_field::kInitializer, tensor.bytes().size() + inside);
    fields.push_back(field.bytes() + tensor.bytes());
  }
  return fields;
}

std::vector<std::filesystem::path> Graph::write(const std::filesystem::path& path, const WriteOptions& options) const {
  std::vector<std::filesystem::path> written = {path};
  AtomicFile file(path);
  if (weight_bytes() > options.max_inline_bytes) {
    written.emplace_back(path.string() + ".data");
    AtomicFile data(written.back());
    for (const Weight& weight : weights_) {
      data.write(as_text(weight.numbers()));
      const std::uint64_t over = weight.bytes() % kAlignment;
      if (over != 0) data.write(std::string(kAlignment - over, '\0'));
    }
    std::error_code error;
    std::filesystem::remove(path, error);  // the model that would read other weights
    data.commit();
  }
  const bool inside = written.size() == 1;
  const std::string graph = graph_fields();
  const auto fields = initializer_fields(inside ? "" : written.back().filename().string());
  std::uint64_t graph_size = graph.size() + (inside ? weight_bytes() : 0);
  for (const std::string& field : fields) graph_size += field.size();
  file.write(model_fields());
  file.write(Message().prefix(model_field::kGraph, graph_size).bytes());
  file.write(graph);
  for (std::size_t i = 0; i < weights_.size(); ++i) {
    file.write(fields[i]);
    if (inside) file.write(as_text(weights_[i].numbers()));
  }
  file.commit();
  return written;
}

}  // namespace imagerank::onnx
