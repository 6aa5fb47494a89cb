#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace imagerank::onnx {

/// The field's own numbers (onnx.proto, TensorProto.DataType).
enum class ElementType { kFloat = 1, kInt64 = 7, kFloat16 = 10 };
/// A size that is known, or the name of one that is not.
using Dimension = std::variant<std::int64_t, std::string>;
using Attributes = std::vector<std::pair<std::string, std::variant<std::int64_t, float, std::vector<std::int64_t>>>>;

/// A name that stands for a tensor of a Graph: an input, a weight, or what a node gives.
using Value = std::string;

struct WriteOptions {
  /// A file whose weights take more has them in FILE.data beside it: a protocol buffer ends at 2 GiB.
  std::uint64_t max_inline_bytes = 2000000000;
};

/// An ONNX model under construction: operator set 17, weights in float32.
class Graph {
 public:
  static constexpr std::int64_t kOperatorSet = 17;

  explicit Graph(std::string name) : name_(std::move(name)) {}

  Value input(const std::string& name, ElementType type, const std::vector<Dimension>& shape);
  /// Gives `value` the name of an output.
  void output(const std::string& name, const Value& value, ElementType type, const std::vector<Dimension>& shape);
  Value node(const std::string& operation, const std::vector<Value>& inputs, const Attributes& attributes = {});
  std::vector<Value> node_of_many(const std::string& operation, const std::vector<Value>& inputs, std::size_t outputs,
                                  const Attributes& attributes = {});
  /// A tensor of the model. @param read  its numbers, row-major; asked for once, by write(), so that a model of
  /// gigabytes is never in memory whole. A name that is there already stands for the same tensor.
  Value weight(const std::string& name, const std::vector<std::int64_t>& shape,
               std::function<std::vector<float>()> read);
  Value weight(const std::string& name, const std::vector<std::int64_t>& shape, std::vector<float> values);
  /// float32 [1].
  Value number(float value);
  /// int64 [n].
  Value integers(const std::vector<std::int64_t>& values);
  /// What a reader finds beside the graph.
  void describe(const std::string& key, const std::string& value) { metadata_[key] = value; }

  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  /// Bytes of all weights.
  [[nodiscard]] std::uint64_t weight_bytes() const noexcept;
  /// Whole or not at all; with weights in a second file, that comes first. The same graph gives the same bytes.
  /// @return the files. @throws Error kIo, kResourceLimit, what a weight's `read` throws.
  std::vector<std::filesystem::path> write(const std::filesystem::path& path, const WriteOptions& options = {}) const;

 private:
  struct Weight {
    std::string name;
    std::vector<std::int64_t> shape;
    std::function<std::vector<float>()> read;

    [[nodiscard]] std::uint64_t bytes() const noexcept;
    /// @throws Error kCorruptData if they are not as many as the shape says.
    [[nodiscard]] std::vector<float> numbers() const;
  };
  /// The graph without its weights, and the model around it without its graph.
  [[nodiscard]] std::string graph_fields() const;
  [[nodiscard]] std::string model_fields() const;
  /// The graph's field for each weight: all but its numbers, which follow unless they lie in a file of this name.
  [[nodiscard]] std::vector<std::string> initializer_fields(const std::string& data_name) const;

  std::string name_;
  std::string nodes_, inputs_, outputs_, constants_;  // fields of the graph, in the wire format
  std::vector<Weight> weights_;
  std::map<std::string, std::string> metadata_;
  std::map<std::vector<std::int64_t>, Value> integers_;
  std::size_t node_count_ = 0;
  std::size_t number_count_ = 0;
};

}  // namespace imagerank::onnx
