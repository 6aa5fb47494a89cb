#include <algorithm>
#include <functional>
#include <map>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "cli/evaluation_results.h"
#include "clip/encoder.h"
#include "clip/model_config.h"
#include "clip/tokenizer.h"
#include "imagerank/error.h"

namespace imagerank::cli {
namespace {

constexpr std::size_t kNamedGroups = 8;  // users and generators that get a row of their own

/// Slices of one dimension, in the order of their first use unless sorted.
class Dimension {
 public:
  explicit Dimension(std::string name) : name_(std::move(name)) {}
  void add(const std::string& slice, std::size_t pair) {
    const auto [at, added] = places_.try_emplace(slice, slices_.size());
    if (added) slices_.push_back({name_, slice, {}});
    slices_[at->second].pairs.push_back(static_cast<std::uint32_t>(pair));
  }
  /// Slices that were declared, in that order, before any pair is added.
  void declare(std::initializer_list<const char*> names) {
    for (const char* name : names) {
      if (places_.try_emplace(name, slices_.size()).second) slices_.push_back({name_, name, {}});
    }
  }
  /// The largest as they are, all others as one.
  void keep_largest(const std::string& others) {
    std::ranges::stable_sort(slices_, [](const auto& a, const auto& b) { return a.pairs.size() > b.pairs.size(); });
    if (slices_.size() <= kNamedGroups + 1) return;
    evaluation::Slice rest{name_, others, {}};
    for (std::size_t i = kNamedGroups; i < slices_.size(); ++i) {
      rest.pairs.insert(rest.pairs.end(), slices_[i].pairs.begin(), slices_[i].pairs.end());
    }
    slices_.resize(kNamedGroups);
    slices_.push_back(std::move(rest));
  }
  void move_to(std::vector<evaluation::Slice>& result) {
    for (auto& slice : slices_) result.push_back(std::move(slice));
  }

 private:
  std::string name_;
  std::vector<evaluation::Slice> slices_;
  std::map<std::string, std::size_t> places_;
};

const char* length_name(const std::string& prompt) {
  constexpr std::string_view kSpace = " \t\n\r\v\f";
  std::size_t words = 0;
  for (std::size_t at = prompt.find_first_not_of(kSpace); at != std::string::npos;) {
    ++words;
    const auto end = prompt.find_first_of(kSpace, at);
    at = end == std::string::npos ? end : prompt.find_first_not_of(kSpace, end);
  }
  if (words <= 5) return "up to 5 words";
  if (words <= 15) return "6 to 15 words";
  return words <= 40 ? "16 to 40 words" : "more than 40 words";
}

using PairName = std::function<std::string(std::size_t pair)>;

Dimension dimension(const std::string& name, std::size_t pairs, std::initializer_list<const char*> names,
                    const PairName& name_of) {
  Dimension result(name);
  result.declare(names);
  for (std::size_t pair = 0; pair < pairs; ++pair) result.add(name_of(pair), pair);
  return result;
}

/// Whether each prompt is longer than the encoder's context; empty where the encoder's files are not there.
std::unordered_map<std::uint32_t, bool> truncated_prompts(const reward::Reward& reward,
                                                          const EvaluationInputs& inputs) {
  std::unordered_map<std::uint32_t, bool> result;
  try {
    const auto folder = clip::resolve_model(reward.model());
    const std::filesystem::path tokenizer_folder = reward.record().value("tokenizer", std::string());
    const auto tokenizer = clip::Tokenizer::load(tokenizer_folder.empty() ? folder : tokenizer_folder);
    const auto context = static_cast<std::size_t>(clip::load_model_config(folder).context_length);
    for (const auto text : inputs.measured.rows.pair_text) {
      const auto [at, added] = result.try_emplace(text, false);
      if (added) at->second = tokenizer.tokenize(inputs.dataset.prompts[text]).size() > context;
    }
  } catch (const Error&) {  // the slice is left out, and the page says what slices there are
    result.clear();
  }
  return result;
}

/// "by X" for pairs of one generator, one slice for those of two; nothing where no pair's generator is known.
void add_generators(const EvaluationInputs& inputs, std::vector<evaluation::Slice>& result) {
  if (std::ranges::all_of(inputs.images, [](const auto& image) { return image.model.empty(); })) return;
  const auto& rows = inputs.measured.rows;
  auto generators = dimension("generator", rows.pair_text.size(), {}, [&](std::size_t pair) -> std::string {
    const auto& a = inputs.images[rows.pair_image_a[pair]].model;
    const auto& b = inputs.images[rows.pair_image_b[pair]].model;
    if (a.empty() || b.empty()) return "unknown";
    return a == b ? "both by " + a : "by two generators";
  });
  generators.keep_largest("other generators");
  generators.move_to(result);
}

}  // namespace

std::vector<evaluation::Slice> make_slices(const EvaluationInputs& inputs, const reward::Reward& reward) {
  const auto& rows = inputs.measured.rows;
  const auto& truth = inputs.measured.truth;
  const std::size_t pairs = truth.pairs();
  std::vector<evaluation::Slice> result;
  dimension("prompt length", pairs, {"up to 5 words", "6 to 15 words", "16 to 40 words", "more than 40 words"},
            [&](std::size_t pair) { return length_name(inputs.dataset.prompts[rows.pair_text[pair]]); })
      .move_to(result);
  if (const auto truncated = truncated_prompts(reward, inputs); !truncated.empty()) {
    dimension("truncation", pairs, {"fits the encoder's context", "cut at the encoder's context"},
              [&](std::size_t pair) {
                return truncated.at(rows.pair_text[pair]) ? "cut at the encoder's context"
                                                          : "fits the encoder's context";
              })
        .move_to(result);
  }
  dimension("ties", pairs, {"pairs with a winner", "tied pairs"}, [&](std::size_t pair) {
    return evaluation::is_strict(truth.pair_p_a[pair]) ? "pairs with a winner" : "tied pairs";
  }).move_to(result);
  dimension("conflict", pairs, {"images of one label each", "an image of conflicting labels"}, [&](std::size_t pair) {
    const bool conflict = inputs.conflicts.contains(pair_key(rows.pair_image_a[pair], rows.pair_text[pair])) ||
                          inputs.conflicts.contains(pair_key(rows.pair_image_b[pair], rows.pair_text[pair]));
    return conflict ? "an image of conflicting labels" : "images of one label each";
  }).move_to(result);

  const std::unordered_set<std::uint32_t> train_texts(inputs.train.rows.point_text.begin(),
                                                      inputs.train.rows.point_text.end());
  const std::unordered_set<std::uint32_t> train_images(inputs.train.rows.point_image.begin(),
                                                       inputs.train.rows.point_image.end());
  dimension("prompt in train", pairs, {"unseen prompts", "prompts also in train"}, [&](std::size_t pair) {
    return train_texts.contains(rows.pair_text[pair]) ? "prompts also in train" : "unseen prompts";
  }).move_to(result);
  dimension("image in train", pairs, {"unseen images", "an image also in train"}, [&](std::size_t pair) {
    const bool seen = train_images.contains(rows.pair_image_a[pair]) || train_images.contains(rows.pair_image_b[pair]);
    return seen ? "an image also in train" : "unseen images";
  }).move_to(result);

  add_generators(inputs, result);
  const auto& users = inputs.dataset.pair_users[static_cast<std::size_t>(inputs.split)];
  auto by_user = dimension("user", pairs, {}, [&](std::size_t pair) {
    return users[pair].empty() ? std::string("unknown user") : "user " + users[pair];
  });
  by_user.keep_largest("all other users");
  by_user.move_to(result);
  return result;
}

}  // namespace imagerank::cli
