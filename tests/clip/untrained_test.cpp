#include "clip/untrained.h"

#include <gtest/gtest.h>

#include "clip/weights.h"
#include "support/test_support.h"

namespace imagerank::clip {
namespace {

TEST(Untrained, RandomReferenceModelIsRecognised) {
  IMAGERANK_SHARED_DATA(folder, "fixtures/clip_tiny_quickgelu");
  EXPECT_TRUE(weights_look_random(WeightReader(folder)));
}

TEST(Untrained, TheBuiltInEncoderIsTrained) {
  EXPECT_FALSE(weights_look_random(WeightReader(test::source_file("assets/sample"))));
}

TEST(Untrained, OneStrongDirectionIsEnough) {
  IMAGERANK_SHARED_DATA(folder, "fixtures/clip_tiny_quickgelu");
  ClipModel model = load_clip_model(folder);
  const torch::NoGradGuard guard;
  torch::Tensor& weight = model->vision->layers[1]->fc1_weight;
  const auto size = weight.std().item<double>();
  weight.add_(0.3 * size);  // a rank-one part
  const test::TemporaryFolder other;
  save_weights(model, other.path(), false);
  EXPECT_FALSE(weights_look_random(WeightReader(model->config(), other.path())));
}

}  // namespace
}  // namespace imagerank::clip
