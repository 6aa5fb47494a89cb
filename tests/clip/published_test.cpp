#include "clip/published.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "clip/encoder.h"
#include "clip/model_config.h"
#include "hub_cache/repository.h"
#include "imagerank/error.h"
#include "support/environment_variable.h"
#include "support/test_support.h"

namespace imagerank::clip {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

const std::string kCommit(40, 'c');

TEST(PublishedModels, NamesAreUniqueAndPossible) {
  std::set<std::string_view> names;
  for (const PublishedModel& model : published_models()) {
    EXPECT_TRUE(hub_cache::is_repository_id(model.repository)) << model.repository;
    EXPECT_TRUE(names.insert(model.repository).second) << model.repository;
    EXPECT_TRUE(model.open_clip.empty() || names.insert(model.open_clip).second) << model.open_clip;
    EXPECT_TRUE(model.kind == "encoder" || model.kind == "scorer");
    EXPECT_GT(model.dim, 0);
    EXPECT_FALSE(model.about.empty());
  }
}

/// By the architectures that this program knows, which towers_test checks against files.
TEST(PublishedModels, SizesAreThoseOfTheirArchitecture) {
  ModelConfig large_at_336 = named_model_config("l14");
  large_at_336.image_size = 336;
  const std::vector<std::pair<const char*, ModelConfig>> known = {
      {"openai/clip-vit-base-patch32", named_model_config("b32")},
      {"ViT-B-16/laion2b_s34b_b88k", named_model_config("b16")},
      {"ViT-L-14/openai", named_model_config("l14")},
      {"openai/clip-vit-large-patch14-336", large_at_336},
      {"ViT-H-14/laion2b_s32b_b79k", named_model_config("h14")},
      {"yuvalkirstain/PickScore_v1", named_model_config("h14")},
  };
  for (const auto& [name, config] : known) {
    const PublishedModel* const model = find_published(name);
    ASSERT_NE(model, nullptr) << name;
    EXPECT_EQ(model->parameters, config.parameter_count()) << name;
    EXPECT_EQ(model->dim, config.projection_dim) << name;
  }
  EXPECT_EQ(find_published("ViT-H-14/none"), nullptr);
  EXPECT_EQ(find_published(""), nullptr);
}

TEST(HubNames, IdsPairsAndRevisions) {
  EXPECT_EQ(parse_hub_name("ViT-H-14/laion2b_s32b_b79k")->repository, "laion/CLIP-ViT-H-14-laion2B-s32B-b79K");
  EXPECT_EQ(parse_hub_name("ViT-H-14/laion2b_s32b_b79k")->revision, "main");
  EXPECT_EQ(parse_hub_name("org/name@refs/pr/1")->repository, "org/name");
  EXPECT_EQ(parse_hub_name("org/name@refs/pr/1")->revision, "refs/pr/1");
  for (const char* const name : {"", "a/b/c", "/a", "../a", "org/name@", "org/name@../x", "a b/c", "/home/me/model"})
    EXPECT_FALSE(parse_hub_name(name)) << name;
}

TEST(ChooseModelFiles, SafetensorsBeforeBinAndNothingElse) {
  const std::vector<std::string> all = {".gitattributes",
                                        "README.md",
                                        "config.json",
                                        "flax_model.msgpack",
                                        "merges.txt",
                                        "model.safetensors",
                                        "onnx/model.safetensors",
                                        "open_clip_config.json",
                                        "open_clip_model.safetensors",
                                        "open_clip_pytorch_model.bin",
                                        "preprocessor_config.json",
                                        "pytorch_model.bin",
                                        "tf_model.h5",
                                        "tokenizer.json",
                                        "tokenizer_config.json",
                                        "training_args.json",
                                        "vocab.json"};
  const std::vector<std::string> small = {
      "README.md",      "config.json",           "merges.txt", "open_clip_config.json", "preprocessor_config.json",
      "tokenizer.json", "tokenizer_config.json", "vocab.json"};
  for (const char* const preferred :
       {"model.safetensors", "open_clip_model.safetensors", "pytorch_model.bin", "open_clip_pytorch_model.bin"}) {
    std::vector<std::string> left = all;
    if (std::string_view(preferred) != "model.safetensors") std::erase(left, "model.safetensors");
    if (std::string_view(preferred).ends_with(".bin")) std::erase(left, "open_clip_model.safetensors");
    if (std::string_view(preferred) == "open_clip_pytorch_model.bin") std::erase(left, "pytorch_model.bin");
    std::vector<std::string> expected = small;
    expected.emplace_back(preferred);
    std::ranges::sort(expected);
    EXPECT_EQ(choose_model_files(left), expected) << preferred;
  }
  EXPECT_THAT(choose_model_files({"config.json", "tf_model.h5"}), ElementsAre("config.json"));
  EXPECT_THAT(choose_model_files({"HPS_v2.pt", "HPS_v2.1_compressed.pt"}, "HPS_v2.1_compressed.pt"),
              ElementsAre("HPS_v2.1_compressed.pt"));
}

TEST(ChooseModelFiles, AllShardsOfOneIndex) {
  EXPECT_THAT(choose_model_files({"config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
                                  "model.safetensors.index.json", "pytorch_model-00001-of-00001.bin",
                                  "pytorch_model.bin.index.json"}),
              ElementsAre("config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
                          "model.safetensors.index.json"));
}

TEST(NearNames, OfSlipsAndOfHalfNames) {
  EXPECT_THAT(near_names("openai/clip-vit-base-patch23", known_model_names()),
              Contains("openai/clip-vit-base-patch32"));
  EXPECT_THAT(near_names("clip-vit-large-patch14", known_model_names()), Contains("openai/clip-vit-large-patch14"));
  EXPECT_EQ(near_names("vit-h-14/LAION2B_s32b_b79k", known_model_names()).at(0), "ViT-H-14/laion2b_s32b_b79k");
  EXPECT_THAT(near_names("builtin/simple", known_model_names()), Contains("builtin/sample"));
  EXPECT_THAT(near_names("bert-base-uncased", known_model_names()), IsEmpty());
}

/// A cache as huggingface_hub leaves it.
class CachedModel : public ::testing::Test {
 protected:
  [[nodiscard]] std::filesystem::path root() const {
    return folder_ / "hub/models--laion--CLIP-ViT-H-14-laion2B-s32B-b79K";
  }
  [[nodiscard]] std::filesystem::path snapshot() const { return root() / "snapshots" / kCommit; }
  void put(const std::string& name) const {
    test::write_text(root() / "blobs" / name, "x");
    std::filesystem::create_directories(snapshot());
    std::filesystem::create_symlink("../../blobs/" + name, snapshot() / name);
    test::write_text(root() / "refs/main", kCommit);
  }
  static std::string error_of(const std::string& model, bool needs_weights = false) {
    try {
      (void)resolve_model(model, needs_weights);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kNotFound);
      EXPECT_THAT(error.what(), Not(HasSubstr("\n")));
      return error.what();
    }
    return "";
  }

  test::TemporaryFolder folder_;
  test::EnvironmentVariable home_{"HF_HOME", folder_.path().string()};
  test::EnvironmentVariable cache_{"HF_HUB_CACHE", ""};
};

TEST_F(CachedModel, IsFoundByEveryNameItHas) {
  put("config.json");
  put("model.safetensors");
  for (const char* const name :
       {"laion/CLIP-ViT-H-14-laion2B-s32B-b79K", "ViT-H-14/laion2b_s32b_b79k", "ViT-H-14/laion2b_s32b_b79k@main"})
    EXPECT_EQ(resolve_model(name, true), snapshot()) << name;
  EXPECT_EQ(resolve_model("laion/CLIP-ViT-H-14-laion2B-s32B-b79K@" + kCommit), snapshot());
  EXPECT_EQ(cached_model_name(snapshot()), "laion/CLIP-ViT-H-14-laion2B-s32B-b79K@" + kCommit);
  EXPECT_EQ(cached_model_name("/somewhere/model"), std::nullopt);
}

TEST_F(CachedModel, OneThatIsNotThereSaysHowToPullIt) {
  EXPECT_THAT(error_of("ViT-H-14/laion2b_s32b_b79k"),
              AllOf(HasSubstr("not pulled"), HasSubstr((folder_ / "hub").string()),
                    HasSubstr("`imagerank models pull laion/CLIP-ViT-H-14-laion2B-s32B-b79K`")));
  EXPECT_THAT(error_of("openai/clip-vit-base-patch32@v2"),
              HasSubstr("`imagerank models pull openai/clip-vit-base-patch32 --revision v2`"));
  EXPECT_THAT(error_of("me/mine"), HasSubstr("`imagerank models pull me/mine`"));
  EXPECT_THAT(error_of("openai/clip-vit-base-patch23"), HasSubstr("did you mean openai/clip-vit-base-patch32"));
  EXPECT_THAT(error_of("/none/such/folder"), HasSubstr("no such folder"));
  EXPECT_THAT(error_of(""), HasSubstr("empty name"));
}

TEST_F(CachedModel, HalfOfOneServesItsTokenizerButHasNoWeights) {
  put("config.json");
  EXPECT_EQ(resolve_model("ViT-H-14/laion2b_s32b_b79k"), snapshot());
  EXPECT_THAT(error_of("ViT-H-14/laion2b_s32b_b79k", true), AllOf(HasSubstr("weights"), HasSubstr("models pull")));
  std::filesystem::create_symlink("../../blobs/under-way", snapshot() / "model.safetensors");
  EXPECT_THAT(error_of("ViT-H-14/laion2b_s32b_b79k", true), HasSubstr("models pull"));
}

TEST_F(CachedModel, AFolderOfTheSameNameComesFirst) {
  put("config.json");
  const auto before = std::filesystem::current_path();
  std::filesystem::create_directories(folder_ / "ViT-H-14/laion2b_s32b_b79k");
  std::filesystem::current_path(folder_.path());
  EXPECT_EQ(resolve_model("ViT-H-14/laion2b_s32b_b79k"), "ViT-H-14/laion2b_s32b_b79k");
  std::filesystem::current_path(before);
}

}  // namespace
}  // namespace imagerank::clip
