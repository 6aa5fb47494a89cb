#include "clip/retrieval.h"

#include <numeric>
#include <span>
#include <vector>

#include "clip/pair_vectors.h"
#include "clip/pretrain_batches.h"
#include "clip/weights.h"
#include "core/fail.h"
#include "core/random.h"

namespace imagerank::clip {

using torch::Tensor;

Retrieval measure_retrieval(const CaptionedImages& pairs, const std::filesystem::path& folder, std::size_t group,
                            std::uint64_t seed, const RunContext& context) {
  if (group < 2 || pairs.size() < group) {
    fail(ErrorCode::kInvalidArgument, "retrieval: expected at least one group of {} pairs, found {} pairs", group,
         pairs.size());
  }
  ClipModel model = load_clip_model(folder);
  check_pairs(pairs, model->config());
  at::set_num_threads(context.thread_count());
  const torch::NoGradGuard no_grad;
  std::vector<std::uint32_t> order(pairs.size());
  std::iota(order.begin(), order.end(), 0U);
  Random(seed).shuffle(order);
  const std::vector<std::int64_t> captions = number_captions(pairs.tokens);
  Retrieval result{0.0, 0, group};
  std::size_t found = 0;
  for (std::size_t i = 0; i + group <= order.size(); i += group) {
    context.check_stop();
    const auto rows = std::span<const std::uint32_t>(order).subspan(i, group);
    const Tensor images = unit(embed_images(model, pairs, rows));
    const Tensor texts = unit(embed_captions(model, pairs, rows));
    const Tensor best = torch::matmul(texts, images.t()).argmax(1);
    for (std::size_t k = 0; k < group; ++k) {
      const auto answer = static_cast<std::size_t>(best.data_ptr<std::int64_t>()[k]);
      found += captions[rows[k]] == captions[rows[answer]] ? 1U : 0U;
    }
    result.captions += group;
  }
  result.top1 = static_cast<double>(found) / static_cast<double>(result.captions);
  return result;
}

}  // namespace imagerank::clip
