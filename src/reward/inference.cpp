#include "reward/inference.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <span>
#include <utility>

#include "clip/models.h"

namespace imagerank::reward {

std::vector<float> run_head(const Head& head, std::size_t dim, std::size_t outputs, std::size_t count,
                            const std::function<void(std::size_t, std::size_t, float*)>& fill) {
  constexpr std::size_t kRowsAtOnce = 256;
  const at::NoGradGuard guard;
  const at::ScalarType type = head.parameters().front().value.scalar_type();
  std::vector<float> result(count * outputs);
  for (std::size_t begin = 0; begin < count; begin += kRowsAtOnce) {
    const std::size_t end = std::min(count, begin + kRowsAtOnce);
    at::Tensor input =
        at::empty({static_cast<std::int64_t>(end - begin), static_cast<std::int64_t>(2 * dim)}, at::kFloat);
    fill(begin, end, input.data_ptr<float>());
    const at::Tensor output = head.forward(input.to(type), {}).to(at::kFloat).contiguous();
    std::memcpy(result.data() + begin * outputs, output.data_ptr<float>(), (end - begin) * outputs * sizeof(float));
  }
  return result;
}

Scores scores_from_outputs(Loss loss, std::int32_t class_count, std::vector<float> outputs) {
  Scores scores;
  if (!is_classification(loss)) {
    scores.score = std::move(outputs);
    return scores;
  }
  const auto classes = static_cast<std::size_t>(class_count);
  const std::size_t count = loss == Loss::kBce ? outputs.size() : outputs.size() / classes;
  scores.score.resize(count);
  scores.probabilities.resize(count * classes);
  for (std::size_t i = 0; i < count; ++i) {
    const auto row = std::span(scores.probabilities).subspan(i * classes, classes);
    if (loss == Loss::kBce) {
      row[1] = 1.0F / (1.0F + std::exp(-outputs[i]));
      row[0] = 1.0F / (1.0F + std::exp(outputs[i]));
    } else {
      const auto logits = std::span(outputs).subspan(i * classes, classes);
      const float largest = *std::ranges::max_element(logits);
      float sum = 0.0F;
      for (std::size_t c = 0; c < classes; ++c) sum += row[c] = std::exp(logits[c] - largest);
      for (float& value : row) value /= sum;
    }
    float expected = 0.0F;
    for (std::size_t c = 0; c < classes; ++c) expected += static_cast<float>(c) * row[c];
    scores.score[i] = expected;
  }
  return scores;
}

TorchThreads::TorchThreads(int threads) : before_(at::get_num_threads()) { clip::set_tower_threads(threads); }
TorchThreads::~TorchThreads() { clip::set_tower_threads(before_); }

}  // namespace imagerank::reward
