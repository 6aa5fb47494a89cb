#include <algorithm>
#include <cmath>
#include <optional>
#include <unordered_set>

#include "cli/evaluation_results.h"
#include "cli/thumbnails.h"
#include "core/random.h"
#include "imagerank/error.h"
#include "images/decode.h"

namespace imagerank::cli {
namespace {

constexpr std::size_t kPrompts = 4;
constexpr std::size_t kShown = 6;   // of a prompt's images: the best half and the worst half
constexpr std::size_t kPicked = 6;  // of a gallery
constexpr std::int32_t kThumbnailEdge = 192;

void add_pixels(const workspace::Workspace& workspace, const workspace::Image& row, evaluation::Picture& picture) {
  if (row.path.empty()) {
    picture.missing = row.image_uid.empty() ? "not in the images table"
                      : row.status.empty()  ? "not fetched"
                                            : row.status;
    return;
  }
  try {
    picture.data_uri = jpeg_data_uri(thumbnail(images::load_image(workspace.resolve(row)), kThumbnailEdge));
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

/// One image of a prompt, with its pixels and the votes on it.
evaluation::Picture picture_of(const workspace::Workspace& workspace, const EvaluationInputs& inputs,
                               const HeadScores& scores, std::uint32_t image, std::uint32_t text) {
  evaluation::Picture picture;
  picture.uid = inputs.dataset.image_uids[image];
  picture.score = scores.score(image, text);
  if (const auto prompt = inputs.votes.find(text); prompt != inputs.votes.end()) {
    if (const auto votes = prompt->second.find(image); votes != prompt->second.end()) {
      picture.won = votes->second.won;
      picture.lost = votes->second.lost;
      picture.tied = votes->second.tied;
    }
  }
  add_pixels(workspace, inputs.images[image], picture);
  return picture;
}

/// All images of a prompt by score, the middle ones left out.
evaluation::PromptPictures prompt_pictures(const workspace::Workspace& workspace, const EvaluationInputs& inputs,
                                           const HeadScores& scores, std::uint32_t text) {
  evaluation::PromptPictures result;
  result.prompt = inputs.dataset.prompts[text];
  std::vector<std::uint32_t> images;
  for (const auto& [image, votes] : inputs.votes.at(text)) images.push_back(image);
  const auto& uids = inputs.dataset.image_uids;
  std::ranges::sort(images, [&](std::uint32_t a, std::uint32_t b) {
    const double score_a = scores.score(a, text);
    const double score_b = scores.score(b, text);
    return score_a > score_b || (!(score_a < score_b) && uids[a] < uids[b]);
  });
  if (images.size() > kShown) {
    result.left_out = images.size() - kShown;
    const auto middle = images.begin() + static_cast<std::ptrdiff_t>(kShown / 2);
    images.erase(middle, middle + static_cast<std::ptrdiff_t>(result.left_out));
  }
  for (const auto image : images) result.pictures.push_back(picture_of(workspace, inputs, scores, image, text));
  return result;
}

/// What a gallery shows: one image, or two, of a prompt.
struct Item {
  double key = 0.0;  ///< the largest are shown
  std::uint32_t text = 0;
  std::vector<std::uint32_t> images;
};

/// The items of the largest keys, at most one a prompt; equal keys by prompt and image, so that order never matters.
std::vector<Item> largest(std::vector<Item> items, const EvaluationInputs& inputs) {
  const auto name = [&](const Item& item) {
    return inputs.dataset.prompts[item.text] + '\n' + inputs.dataset.image_uids[item.images.front()];
  };
  std::ranges::sort(
      items, [&](const Item& a, const Item& b) { return a.key > b.key || (!(a.key < b.key) && name(a) < name(b)); });
  std::vector<Item> result;
  std::unordered_set<std::uint32_t> texts;
  for (auto& item : items) {
    if (result.size() == kPicked) break;
    if (texts.insert(item.text).second) result.push_back(std::move(item));
  }
  return result;
}

/// Every image for every prompt of the split's rankings, once, with what `key` makes of it; no key, not shown.
template <typename Key>
std::vector<Item> image_items(const EvaluationInputs& inputs, const Key& key) {
  std::vector<Item> items;
  for (const auto& [text, votes] : inputs.votes) {
    for (const auto& [image, count] : votes) {
      if (const std::optional<double> value = key(image, text, count)) items.push_back({*value, text, {image}});
    }
  }
  return items;
}

/// The split's pairs, likewise; the image of the higher score first.
template <typename Key>
std::vector<Item> pair_items(const EvaluationInputs& inputs, const HeadScores& scores, const Key& key) {
  std::vector<Item> items;
  const auto& rows = inputs.measured.rows;
  for (std::size_t i = 0; i < rows.pair_text.size(); ++i) {
    const auto text = rows.pair_text[i];
    const double a = scores.score(rows.pair_image_a[i], text);
    const double b = scores.score(rows.pair_image_b[i], text);
    const std::optional<double> value = key(inputs.measured.truth.pair_p_a[i], a - b);
    if (!value) continue;
    const bool a_first = a >= b;
    items.push_back({*value,
                     text,
                     {a_first ? rows.pair_image_a[i] : rows.pair_image_b[i],
                      a_first ? rows.pair_image_b[i] : rows.pair_image_a[i]}});
  }
  return items;
}

}  // namespace

std::vector<evaluation::PromptPictures> pick_pictures(const workspace::Workspace& workspace,
                                                      const EvaluationInputs& inputs, const HeadScores& scores) {
  std::vector<evaluation::PromptPictures> result;
  for (const auto text : draw_prompts(inputs)) {
    result.push_back(prompt_pictures(workspace, inputs, scores, text));
  }
  return result;
}

std::vector<evaluation::Gallery> pick_galleries(const workspace::Workspace& workspace, const EvaluationInputs& inputs,
                                                const HeadScores& scores) {
  using Value = std::optional<double>;
  std::vector<evaluation::Gallery> result;
  const auto add = [&](std::string name, std::string title, std::string hint, std::vector<Item> items) {
    evaluation::Gallery gallery{std::move(name), std::move(title), std::move(hint), {}};
    for (const auto& item : largest(std::move(items), inputs)) {
      evaluation::PromptPictures shown;
      shown.prompt = inputs.dataset.prompts[item.text];
      for (const auto image : item.images) {
        shown.pictures.push_back(picture_of(workspace, inputs, scores, image, item.text));
      }
      gallery.items.push_back(std::move(shown));
    }
    if (!gallery.items.empty()) result.push_back(std::move(gallery));
  };
  add("best", "Highest scores", "The highest scores of the split, one image a prompt.",
      image_items(inputs, [&](auto image, auto text, const VoteCounts&) { return Value(scores.score(image, text)); }));
  add("worst", "Lowest scores", "The lowest scores of the split, one image a prompt.",
      image_items(inputs, [&](auto image, auto text, const VoteCounts&) { return Value(-scores.score(image, text)); }));
  add("disputed", "Most disputed: head against people",
      "Pairs in which people chose the other image, the largest differences of score first.",
      pair_items(inputs, scores, [](double p_a, double difference) {
        const bool contradicts = evaluation::is_strict(p_a) && (p_a > 0.5 ? difference < 0.0 : difference > 0.0);
        return contradicts ? Value(std::abs(difference)) : Value();
      }));
  add("divided", "Most divided: people against people",
      "Images that were the best in some rankings of a prompt and were passed over in others.",
      image_items(inputs, [](auto, auto, const VoteCounts& votes) {
        const auto fewer = std::min(votes.won, votes.lost);
        const auto more = std::max(votes.won, votes.lost);
        return fewer == 0 ? Value() : Value(static_cast<double>(fewer) + 1.0 / static_cast<double>(more + 1));
      }));
  add("uncertain", "Most uncertain: told apart least", "Pairs with the smallest difference of score.",
      pair_items(inputs, scores, [](double, double difference) { return Value(-std::abs(difference)); }));
  return result;
}

}  // namespace imagerank::cli
