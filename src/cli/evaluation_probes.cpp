#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "cli/evaluation_results.h"
#include "core/random.h"
#include "imagerank/scorer.h"
#include "images/decode.h"
#include "images/encode.h"
#include "images/preprocess.h"
#include "perturbations/attribute.h"
#include "probes/edits.h"

namespace imagerank::cli {
namespace {

using evaluation::Expectation;
using probes::Edit;

constexpr std::int32_t kLargestEdge = 512;  // of the shorter side: more than any tower takes
constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

struct EditFacts {
  Edit edit;
  const char* name;
  const char* what;
  Expectation expectation;
};
constexpr std::array kEditFacts = {
    EditFacts{Edit::kBlank, "blank", "all grey", Expectation::kFall},
    EditFacts{Edit::kNoise, "noise", "random pixels", Expectation::kFall},
    EditFacts{Edit::kSaturated, "over-saturated", "colours three times as strong", Expectation::kNotRise},
    EditFacts{Edit::kBlurred, "blurred", "shrunk to an eighth and enlarged", Expectation::kFall},
    EditFacts{Edit::kJpeg90, "JPEG 90", "stored at quality 90", Expectation::kStay},
    EditFacts{Edit::kJpeg50, "JPEG 50", "stored at quality 50", Expectation::kNotRise},
    EditFacts{Edit::kJpeg20, "JPEG 20", "stored at quality 20", Expectation::kNotRise},
    EditFacts{Edit::kJpeg5, "JPEG 5", "stored at quality 5", Expectation::kFall},
    EditFacts{Edit::kText, "text pasted in", "the prompt written across the image", Expectation::kNotRise},
    EditFacts{Edit::kMirrored, "mirrored", "left and right exchanged", Expectation::kStay},
};
static_assert(kEditFacts.size() == probes::kEdits.size());

/// An image of the split for its prompt.
struct Item {
  std::uint32_t image = 0;
  std::uint32_t text = 0;
};

/// Up to `count`, of as many prompts as there are, then of more images each; the seed and the data alone decide.
std::vector<Item> draw_items(const EvaluationInputs& inputs, std::uint64_t count, std::uint64_t seed) {
  std::map<std::string, std::pair<std::uint32_t, std::set<std::string>>> prompts;  // sorted: no order of rows matters
  std::unordered_map<std::string, std::uint32_t> rows;
  const auto add = [&](std::uint32_t image, std::uint32_t text) {
    auto& prompt = prompts[inputs.dataset.prompts[text]];
    prompt.first = text;
    prompt.second.insert(inputs.dataset.image_uids[image]);
    rows[inputs.dataset.image_uids[image]] = image;
  };
  const auto& measured = inputs.measured.rows;
  for (std::size_t i = 0; i < measured.pair_text.size(); ++i) {
    add(measured.pair_image_a[i], measured.pair_text[i]);
    add(measured.pair_image_b[i], measured.pair_text[i]);
  }
  for (std::size_t i = 0; i < measured.point_text.size(); ++i) add(measured.point_image[i], measured.point_text[i]);
  Random random(seed);
  std::vector<std::vector<Item>> queues;
  for (const auto& [name, prompt] : prompts) {
    auto& queue = queues.emplace_back();
    for (const auto& uid : prompt.second) queue.push_back({rows.at(uid), prompt.first});
    random.shuffle(queue);
  }
  random.shuffle(queues);
  std::vector<Item> items;
  for (std::size_t round = 0; items.size() < count; ++round) {
    const auto before = items.size();
    for (const auto& queue : queues) {
      if (round < queue.size() && items.size() < count) items.push_back(queue[round]);
    }
    if (items.size() == before) break;
  }
  return items;
}

images::Image shrunk(images::Image image) {
  const auto shortest = std::min(image.width, image.height);
  if (shortest <= kLargestEdge) return image;
  const auto edge = [&](std::int32_t length) {
    return static_cast<std::int32_t>(std::int64_t{length} * kLargestEdge / shortest);
  };
  return images::resize_bicubic(image, edge(image.width), edge(image.height));
}

/// The scores of one image as it is, after each edit, and for two wrong prompts; NaN where a change cannot be made.
class Prober {
 public:
  Prober(const Scorer& scorer, const EvaluationInputs& inputs, std::uint64_t seed)
      : scorer_(scorer), inputs_(inputs), seed_(seed) {
    for (const auto& facts : kEditFacts) probes_.push_back({facts.name, facts.what, facts.expectation, {}});
    probes_.push_back({"prompt swapped", "scored for another prompt of the split", Expectation::kFall, {}});
    probes_.push_back({"attribute changed",
                       "scored for its prompt with one thing changed: a number, a colour, an object ...",
                       Expectation::kFall,
                       {}});
  }

  void probe(const images::Image& image, std::uint32_t text, const std::string& other_prompt) {
    const auto& prompt = inputs_.dataset.prompts[text];
    std::vector<std::string> files = {images::encode_png(image)};
    for (const auto& facts : kEditFacts) {
      files.push_back(images::encode_png(probes::edited(image, facts.edit, prompt, seed_ + unchanged_.size())));
    }
    const auto scores = score(prompt, files);
    unchanged_.push_back(scores.front());
    for (std::size_t i = 0; i < kEditFacts.size(); ++i) probes_[i].scores.push_back(scores[i + 1]);
    files.resize(1);
    const auto wrong = perturbations::wrong_prompts(prompt, 1, seed_);
    probes_[kEditFacts.size()].scores.push_back(other_prompt.empty() ? kNone : score(other_prompt, files).front());
    probes_[kEditFacts.size() + 1].scores.push_back(wrong.empty() ? kNone : score(wrong.front().text, files).front());
    prompts_.push_back(numbers_.try_emplace(text, static_cast<std::uint32_t>(numbers_.size())).first->second);
  }
  [[nodiscard]] evaluation::ProbeReport report(std::size_t draws) const {
    return evaluation::measure_probes(unchanged_, prompts_, numbers_.size(), probes_, draws);
  }

 private:
  [[nodiscard]] std::vector<double> score(const std::string& prompt, const std::vector<std::string>& files) const {
    std::vector<std::span<const std::byte>> bytes;
    for (const auto& file : files) bytes.push_back(std::as_bytes(std::span(file)));
    std::vector<double> result;
    for (const auto& scored : scorer_.score(prompt, bytes)) result.push_back(double{scored.score});
    return result;
  }

  const Scorer& scorer_;
  const EvaluationInputs& inputs_;
  std::uint64_t seed_;
  std::vector<evaluation::Probe> probes_;
  std::vector<double> unchanged_;
  std::vector<std::uint32_t> prompts_;
  std::unordered_map<std::uint32_t, std::uint32_t> numbers_;
};

}  // namespace

evaluation::ProbeReport run_probes(const workspace::Workspace& workspace, const EvaluationInputs& inputs,
                                   const std::filesystem::path& folder, const ProbeOptions& options,
                                   const RunContext& context) {
  ScorerOptions scorer_options;
  scorer_options.model = options.encoder.model;
  scorer_options.tokenizer = options.encoder.tokenizer;
  scorer_options.hps_antialias = options.encoder.hps_antialias;
  scorer_options.threads = context.threads;
  const auto scorer = Scorer::load(folder, scorer_options);
  Prober prober(scorer, inputs, options.seed);
  const auto items = draw_items(inputs, options.images, options.seed);
  std::map<std::string, std::uint64_t> failed;
  for (std::size_t i = 0; i < items.size(); ++i) {
    context.check_stop();
    context.report({.stage = "probes", .done = i, .total = items.size(), .note = ""});
    const auto& row = inputs.images[items[i].image];
    if (row.path.empty()) {
      ++failed[row.status.empty() || row.status == "ok" ? "not fetched" : row.status];
      continue;
    }
    // Neighbours in the drawn order are of other prompts, unless there is only one.
    const auto other = std::ranges::find_if(items, [&](const Item& item) { return item.text != items[i].text; });
    const auto& next = items[(i + 1) % items.size()];
    const auto swapped = next.text != items[i].text ? next.text : other != items.end() ? other->text : items[i].text;
    try {
      const auto image = shrunk(images::load_image(workspace.resolve(row)));
      prober.probe(image, items[i].text, swapped == items[i].text ? "" : inputs.dataset.prompts[swapped]);
    } catch (const Error& error) {
      if (error.code() == ErrorCode::kCancelled) throw;
      ++failed[images::failure_reason(error.code())];
    }
  }
  auto report = prober.report(options.draws);
  report.failed = std::move(failed);
  return report;
}

}  // namespace imagerank::cli
