#pragma once

#include <cstddef>
#include <string>

#include "serving/http_message.h"
#include "serving/scoring_service.h"

namespace imagerank::serving {

/// What a request may hold.
struct RequestLimits {
  std::size_t max_items = 256;
  std::size_t max_prompt_bytes = 65'536;
  bool image_urls = false;  ///< an image may be an http or https URL
};

/// POST /v1/score and /v1/rank: what is asked, in JSON or as a form.
struct ScoreRequest {
  Work work;
  bool one_reward = true;           ///< named by "reward", or the only one: the answer holds its scores themselves
  std::size_t top = 0;              ///< /v1/rank: the best so many only; 0: all
  std::vector<std::size_t> groups;  ///< [items], the first item of the same prompt: those that compete
};

/// JSON {"prompt", "images": [base64 or data URI]} or {"items": [{"prompt", "image"}]}, with "reward" or "rewards" if
/// several are served, and "top"; or multipart/form-data with the fields prompt (once, or once an image), image, reward
/// and top.
/// @throws Error kCorruptData (not JSON, not a form), kInvalidArgument (a field), kNotFound (a reward), kResourceLimit.
[[nodiscard]] ScoreRequest parse_score_request(const HttpRequest& request, const std::vector<RewardInfo>& rewards,
                                               const RequestLimits& limits);

/// POST /v1/embeddings, in OpenAI's shape.
struct EmbeddingRequest {
  Work work;
  bool base64 = false;  ///< "encoding_format": little-endian float32 as base64
};
/// JSON {"input": text or [texts], "model": a reward, "modality": "text" or "image", "encoding_format"}. Throws
/// likewise.
[[nodiscard]] EmbeddingRequest parse_embedding_request(const HttpRequest& request,
                                                       const std::vector<RewardInfo>& rewards,
                                                       const RequestLimits& limits);

/// POST /v2/models/NAME/infer of the Open Inference Protocol.
struct InferenceRequest {
  Work work;
  std::string id;  ///< "" if there was none
};
/// JSON {"inputs": [{"name": "image" | "prompt", "shape": [N], "datatype": "BYTES", "data": [...]}]}; a prompt of shape
/// [1] is for all images. Throws likewise.
[[nodiscard]] InferenceRequest parse_inference_request(const HttpRequest& request, std::size_t reward,
                                                       const RequestLimits& limits);

}  // namespace imagerank::serving
