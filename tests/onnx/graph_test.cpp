#include "onnx/graph.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "core/atomic_file.h"
#include "imagerank/error.h"
#include "onnx/message.h"
#include "onnx/onnx_runtime.h"
#include "support/test_support.h"

namespace imagerank::onnx {
namespace {

using namespace std::string_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// The examples of the encoding's own description, and numbers at the edges.
TEST(Message, BytesAreThoseOfTheWireFormat) {
  EXPECT_EQ(Message().integer(1, 150).bytes(), "\x08\x96\x01");
  EXPECT_EQ(Message().text(2, "testing").bytes(), "\x12\x07testing");
  EXPECT_EQ(Message().message(3, Message().integer(1, 150)).bytes(), "\x1a\x03\x08\x96\x01");
  EXPECT_EQ(Message().integer(1, 0).bytes(), "\x08\x00"s);
  EXPECT_EQ(Message().integer(1, -1).bytes(), "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");
  EXPECT_EQ(Message().integer(16, 127).bytes(), "\x80\x01\x7f");
  EXPECT_EQ(Message().real(2, 1.0F).bytes(), "\x15\x00\x00\x80\x3f"s);
  EXPECT_EQ(Message().prefix(9, 300).bytes(), "\x4a\xac\x02");
}

/// y = (x W + 2) as [N, 2], and its shape's first number.
Graph small_graph() {
  Graph graph("small");
  const Value x = graph.input("x", ElementType::kFloat, {"rows", std::int64_t{3}});
  const Value product = graph.node("MatMul", {x, graph.weight("W", {3, 2}, std::vector<float>{1, 2, 3, 4, 5, 6})});
  graph.output("y", graph.node("Add", {product, graph.number(2.0F)}), ElementType::kFloat, {"rows", std::int64_t{2}});
  graph.describe("imagerank.test", "said");
  return graph;
}

test::OnnxFloats two_rows() { return {{2, 3}, {1, 0, 0, 0, 1, 1}}; }

TEST(Graph, RunsInOnnxRuntimeWithWeightsInsideOrBeside) {
  const test::TemporaryFolder folder;
  const Graph graph = small_graph();
  EXPECT_EQ(graph.weight_bytes(), 24U);
  const auto inside = graph.write(folder / "in.onnx");
  EXPECT_THAT(inside, ElementsAre(folder / "in.onnx"));
  const auto beside = graph.write(folder / "out.onnx", {.max_inline_bytes = 23});
  EXPECT_THAT(beside, ElementsAre(folder / "out.onnx", folder / "out.onnx.data"));
  EXPECT_EQ(std::filesystem::file_size(folder / "out.onnx.data"), 4096U);
  for (const char* const name : {"in.onnx", "out.onnx"}) {
    const auto outputs = test::run_onnx(folder / name, {{"x", two_rows()}});
    EXPECT_THAT(outputs.at("y").dims, ElementsAre(2, 2)) << name;
    EXPECT_THAT(outputs.at("y").values, ElementsAre(3, 4, 10, 12)) << name;
  }
  EXPECT_THAT(load_file(folder / "in.onnx"), HasSubstr("imagerank.test\x12\x04said"));
  EXPECT_EQ(load_file(folder / "in.onnx"), [&] {
    (void)small_graph().write(folder / "again.onnx");
    return load_file(folder / "again.onnx");
  }());
}

TEST(Graph, AFileThatIsCutIsRefusedByTheRuntime) {
  const test::TemporaryFolder folder;
  (void)small_graph().write(folder / "m.onnx");
  const std::string whole = load_file(folder / "m.onnx");
  test::write_text(folder / "m.onnx", whole.substr(0, whole.size() - 4));
  EXPECT_THROW((void)test::run_onnx(folder / "m.onnx", {{"x", two_rows()}}), std::runtime_error);
}

TEST(Graph, OneNameIsOneWeightAndEqualConstantsAreOne) {
  Graph graph("g");
  EXPECT_EQ(graph.weight("W", {2}, std::vector<float>{1, 2}), graph.weight("W", {2}, std::vector<float>{1, 2}));
  EXPECT_EQ(graph.weight_bytes(), 8U);
  EXPECT_EQ(graph.integers({0, -1}), graph.integers({0, -1}));
  EXPECT_NE(graph.integers({0, -1}), graph.integers({0, 1}));
}

TEST(Graph, NothingIsLeftOfAFileWhoseWeightsCannotBeRead) {
  const test::TemporaryFolder folder;
  Graph graph = small_graph();
  graph.weight("short", {5}, std::vector<float>{1});
  for (const std::uint64_t inside : {std::uint64_t{1000}, std::uint64_t{0}}) {
    EXPECT_THROW((void)graph.write(folder / "m.onnx", {.max_inline_bytes = inside}), Error);
    EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
  }
}

}  // namespace
}  // namespace imagerank::onnx
