#include <algorithm>

#include "cli/evaluation_results.h"
#include "core/random.h"
#include "evaluation/html.h"
#include "imagerank/error.h"
#include "images/decode.h"
#include "images/encode.h"
#include "images/preprocess.h"

namespace imagerank::cli {
namespace {

constexpr std::size_t kPrompts = 6;
constexpr std::size_t kShown = 6;  // of a prompt's images: the best half and the worst half
constexpr std::int32_t kThumbnailEdge = 224;

images::Image thumbnail(const images::Image& image) {
  const auto longest = std::max(image.width, image.height);
  if (longest <= kThumbnailEdge) return image;
  const auto shrunk = [&](std::int32_t edge) {
    return std::max<std::int32_t>(1, static_cast<std::int32_t>(std::int64_t{edge} * kThumbnailEdge / longest));
  };
  return images::resize_bicubic(image, shrunk(image.width), shrunk(image.height));
}

void add_pixels(const workspace::Workspace& workspace, const workspace::Image* row, evaluation::Picture& picture) {
  if (row == nullptr || row->path.empty()) {
    picture.missing = row == nullptr ? "not in the images table" : row->status.empty() ? "not fetched" : row->status;
    return;
  }
  try {
    const auto jpeg = images::encode_jpeg(thumbnail(images::load_image(workspace.resolve(*row))), 82);
    picture.data_uri = "data:image/jpeg;base64," + evaluation::base64(jpeg);
  } catch (const Error& error) {  // one picture less is no reason to give up the report
    picture.missing = error.code() == ErrorCode::kNotFound ? "file missing" : "cannot be decoded";
  }
}

/// Prompts with two images or more and a decided vote, in an order that only the seed and the data decide.
std::vector<std::uint32_t> draw_prompts(const EvaluationInputs& inputs) {
  std::vector<std::uint32_t> texts;
  for (const auto& [text, votes] : inputs.votes) {
    const bool decided = std::ranges::any_of(votes, [](const auto& vote) { return vote.second.won > 0; });
    if (votes.size() > 1 && decided) texts.push_back(text);
  }
  std::ranges::sort(
      texts, [&](std::uint32_t a, std::uint32_t b) { return inputs.dataset.prompts[a] < inputs.dataset.prompts[b]; });
  Random(1).shuffle(texts);
  texts.resize(std::min(texts.size(), kPrompts));
  return texts;
}

evaluation::PromptPictures prompt_pictures(const EvaluationInputs& inputs, const HeadScores& scores,
                                           std::uint32_t text) {
  evaluation::PromptPictures result;
  result.prompt = inputs.dataset.prompts[text];
  for (const auto& [image, votes] : inputs.votes.at(text)) {
    evaluation::Picture picture;
    picture.uid = inputs.dataset.image_uids[image];
    picture.score = scores.score(image, text);
    picture.won = votes.won;
    picture.lost = votes.lost;
    picture.tied = votes.tied;
    result.pictures.push_back(std::move(picture));
  }
  std::ranges::sort(result.pictures, [](const auto& a, const auto& b) {
    return a.score > b.score || (!(a.score < b.score) && a.uid < b.uid);
  });
  if (result.pictures.size() > kShown) {
    result.left_out = result.pictures.size() - kShown;
    const auto middle = result.pictures.begin() + static_cast<std::ptrdiff_t>(kShown / 2);
    result.pictures.erase(middle, middle + static_cast<std::ptrdiff_t>(result.left_out));
  }
  return result;
}

}  // namespace

std::vector<evaluation::PromptPictures> pick_pictures(const workspace::Workspace& workspace,
                                                      const EvaluationInputs& inputs, const HeadScores& scores) {
  const auto table = workspace.find_images();
  std::unordered_map<std::string, const workspace::Image*> rows;
  for (const auto& row : table) rows[row.image_uid] = &row;
  std::vector<evaluation::PromptPictures> result;
  for (const auto text : draw_prompts(inputs)) {
    result.push_back(prompt_pictures(inputs, scores, text));
    for (auto& picture : result.back().pictures) {
      const auto found = rows.find(picture.uid);
      add_pixels(workspace, found == rows.end() ? nullptr : found->second, picture);
    }
  }
  return result;
}

}  // namespace imagerank::cli
