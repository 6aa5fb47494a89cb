// Bodies of the server's requests: the first line names the route and its Content-Type, the rest is the body. Any bytes
// are a request within the limits, or an error that has a status of its own.
#include <algorithm>

#include "fuzz_support.h"
#include "serving/requests.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using namespace imagerank;

constexpr std::size_t kMaxItems = 8;
constexpr std::size_t kMaxPrompt = 100;

void check_work(const serving::Work& work, std::size_t rewards) {
  fuzz::require(!work.items.empty() && work.items.size() <= kMaxItems);
  fuzz::require(!work.rewards.empty());
  for (const std::size_t reward : work.rewards) fuzz::require(reward < rewards);
  for (const serving::Item& item : work.items) {
    fuzz::require(!item.prompt || item.prompt->size() <= kMaxPrompt);
    fuzz::require(!(item.image && item.url));
    const bool has_image = item.image || item.url;
    fuzz::require(work.vectors ? has_image != item.prompt.has_value() : has_image && item.prompt);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t line = std::min(input.find('\n'), input.size());
  const std::string_view head = input.substr(0, line);
  const std::size_t space = std::min(head.find(' '), head.size());
  serving::HttpRequest request;
  request.path = head.substr(0, space);
  if (space < head.size()) request.content_type = head.substr(space + 1);
  if (line < input.size()) request.body = input.substr(line + 1);
  std::vector<serving::RewardInfo> rewards(2);
  rewards[0].name = "first";
  rewards[1].name = "second";
  const serving::RequestLimits limits{.max_items = kMaxItems, .max_prompt_bytes = kMaxPrompt, .image_urls = true};
  try {
    if (request.path == "embeddings") {
      check_work(serving::parse_embedding_request(request, rewards, limits).work, rewards.size());
    } else if (request.path == "infer") {
      check_work(serving::parse_inference_request(request, 1, limits).work, rewards.size());
    } else {
      const serving::ScoreRequest parsed = serving::parse_score_request(request, rewards, limits);
      check_work(parsed.work, rewards.size());
      fuzz::require(parsed.groups.size() == parsed.work.items.size());
    }
  } catch (const Error& error) {
    fuzz::require(serving::http_status(error.code()) / 100 == 4);
    fuzz::require(std::string(error.what()).find('\n') == std::string::npos);
  }
  return 0;
}
