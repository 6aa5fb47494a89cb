#include "onnx/export.h"

#include <nlohmann/json.hpp>

#include "clip/weight_reader.h"
#include "core/fail.h"
#include "onnx/heads.h"
#include "onnx/towers.h"

namespace imagerank::onnx {
namespace {

using clip::WeightReader;

bool reads_text(const Source& source) { return !source.reward || source.reward->reads_text(); }

/// What whoever runs a graph must know of its inputs.
void describe(Graph& graph, const Source& source) {
  const clip::ModelConfig& config = source.model.config;
  graph.describe("imagerank.encoder", source.encoder);
  if (config.untrained) graph.describe("imagerank.untrained", "true");
  if (source.model.has_preprocessing) {
    const images::PreprocessOptions& options = source.model.preprocessing;
    nlohmann::ordered_json preprocessing = {{"resize_shortest_edge", options.resize_shortest_edge},
                                            {"resample", "bicubic"},
                                            {"crop_size", options.crop_size},
                                            {"rescale", "1/255"},
                                            {"mean", options.mean},
                                            {"std", options.std},
                                            {"resize", images::resize_name(options.resize)}};
    if (options.resize == images::Resize::kShortestEdge)
      preprocessing["crop_rounding"] = options.crop_rounding == images::CropRounding::kDown ? "down" : "even";
    if (options.resize == images::Resize::kLongestEdge) preprocessing["antialias"] = options.antialias;
    graph.describe("imagerank.preprocessing", preprocessing.dump());
  }
  if (reads_text(source)) {
    const bool largest = config.pooling == clip::TextPooling::kArgmax;
    const nlohmann::ordered_json text = {
        {"context_length", config.context_length},
        {"pooling", largest ? "argmax" : "first_eos"},
        {"start_of_text", config.bos_token_id},
        {"end_of_text", largest ? config.vocabulary_size - 1 : config.eos_token_id},
        {"prefix", source.text_prefix},
        {"cleaning", source.text_cleaning == clip::TextCleaning::kOpenAi ? "openai" : "huggingface"}};
    graph.describe("imagerank.text", text.dump());
  }
  if (!source.reward) return;
  graph.describe("imagerank.reward", source.reward_name);
  graph.describe("imagerank.head", source.reward->head());
  if (!source.reward->loss().empty()) graph.describe("imagerank.loss", source.reward->loss());
}

Value pixels_of(Graph& graph, const clip::ModelConfig& config) {
  return graph.input("pixels", ElementType::kFloat, {"images", std::int64_t{3}, config.image_size, config.image_size});
}

Value tokens_of(Graph& graph) { return graph.input("tokens", ElementType::kInt64, {"texts", "length"}); }

void give_vectors(Graph& graph, const std::string& side, const Value& value, const char* rows, std::int64_t dim) {
  graph.output(side + "_embedding", value, ElementType::kFloat, {rows, dim});
}

/// One text for all images, or one each.
Value as_many_as(Graph& graph, const Value& texts, const Value& images) {
  return graph.node("Expand", {texts, graph.node("Shape", {images})});
}

/// @param text  of one row or as many as image; "" for a reward that reads none.
void add_score(Graph& graph, const reward::Reward& reward, const Value& image, const Value& text) {
  const Value texts = text.empty() ? text : as_many_as(graph, text, image);
  const ScoreValues values = add_scores(graph, reward.parts(), image, texts);
  graph.output("score", values.score, ElementType::kFloat, {"images"});
  if (!values.probabilities.empty()) {
    graph.output("probabilities", values.probabilities, ElementType::kFloat,
                 {"images", std::int64_t{reward.class_count()}});
  }
  if (!values.deviation.empty()) graph.output("deviation", values.deviation, ElementType::kFloat, {"images"});
}

}  // namespace

std::vector<std::filesystem::path> write_parts(const Source& source, const std::filesystem::path& folder,
                                               const RunContext& context, const WriteOptions& options) {
  const WeightReader reader(source.model.folder);
  const std::int64_t dim = reader.config().projection_dim;
  std::vector<Graph> graphs;
  graphs.reserve(3);  // references into it stay
  Graph& vision = graphs.emplace_back("vision");
  give_vectors(vision, "image", add_vision_tower(vision, reader, pixels_of(vision, reader.config())), "images", dim);
  if (reads_text(source)) {
    Graph& text = graphs.emplace_back("text");
    give_vectors(text, "text", add_text_tower(text, reader, tokens_of(text)), "texts", dim);
  }
  if (source.reward) {
    Graph& head = graphs.emplace_back("head");
    const Value image = head.input("image_embedding", ElementType::kFloat, {"images", dim});
    const Value text = reads_text(source) ? head.input("text_embedding", ElementType::kFloat, {"texts", dim}) : "";
    add_score(head, *source.reward, image, text);
  }
  std::vector<std::filesystem::path> files;
  for (Graph& graph : graphs) {
    context.check_stop();
    describe(graph, source);
    for (std::filesystem::path& file : graph.write(folder / (graph.name() + ".onnx"), options))
      files.push_back(std::move(file));
  }
  return files;
}

std::vector<std::filesystem::path> write_whole(const Source& source, const std::filesystem::path& path,
                                               const RunContext& context, const WriteOptions& options) {
  const WeightReader reader(source.model.folder);
  const std::int64_t dim = reader.config().projection_dim;
  Graph graph(source.reward ? "score" : "clip");
  const Value image = add_vision_tower(graph, reader, pixels_of(graph, reader.config()));
  const Value text = reads_text(source) ? add_text_tower(graph, reader, tokens_of(graph)) : "";
  give_vectors(graph, "image", image, "images", dim);
  if (!text.empty()) give_vectors(graph, "text", text, "texts", dim);
  if (source.reward) add_score(graph, *source.reward, image, text);
  describe(graph, source);
  context.check_stop();
  return graph.write(path, options);
}

}  // namespace imagerank::onnx
