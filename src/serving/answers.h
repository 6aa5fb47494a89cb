#pragma once

#include <string>
#include <vector>

#include "serving/http_message.h"
#include "serving/requests.h"
#include "serving/scoring_service.h"

namespace imagerank::serving {

/// {"reward", "encoder", "scores": [{"index", "score", "probability", "truncated", "error"}], "failed"}, in the order
/// of the items, or best first with a "rank" each. A probability is that people prefer the image to the others of its
/// prompt in the request: the softmax of score / temperature, with the temperature that calibration found on pairs of
/// the validation split (Luce 1959); null without a calibration, or alone.
/// {"results": [such an object each]} for rewards that were asked for by a list.
[[nodiscard]] HttpResponse score_answer(const ScoreRequest& request, const std::vector<RewardInfo>& rewards,
                                        bool ranked, const Results& results);
/// {"object": "list", "model", "data": [{"object": "embedding", "index", "embedding", "truncated"}], "usage":
/// {"prompt_tokens", "total_tokens"}}; an item that failed has a null embedding and an "error".
[[nodiscard]] HttpResponse embedding_answer(const std::string& model, bool base64, const Results& results);
/// {"model_name", "id", "outputs": [{"name": "score", "datatype": "FP32", "shape": [N], "data"}]}, null where an item
/// failed, and the output "error", BYTES, if any did.
[[nodiscard]] HttpResponse inference_answer(const std::string& model, const std::string& id, const Results& results);

}  // namespace imagerank::serving
