#include "cli/evaluation_results.h"

#include <algorithm>
#include <cmath>

#include "core/atomic_file.h"
#include "core/fail.h"
#include "embeddings/encode.h"
#include "reward/head_kinds.h"

namespace imagerank::cli {
namespace {

constexpr std::size_t kBatch = 4096;  // pairs a call of the head

using evaluation::Metric;
using evaluation::Predictions;
using evaluation::SplitData;

std::optional<double> number_at(const nlohmann::json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number()) return std::nullopt;
  return found->get<double>();
}

std::vector<evaluation::EpochFacts> epoch_facts(const nlohmann::json& record) {
  std::vector<evaluation::EpochFacts> result;
  const auto epochs = record.find("epochs");
  if (epochs == record.end() || !epochs->is_array()) return result;
  for (const auto& epoch : *epochs) {
    evaluation::EpochFacts facts;
    facts.epoch = epoch.value("epoch", static_cast<int>(result.size()) + 1);
    facts.loss = number_at(epoch, "loss");
    if (const auto validation = epoch.find("validation"); validation != epoch.end() && validation->is_object()) {
      facts.validation_loss = number_at(*validation, "loss");
      facts.validation_accuracy = number_at(*validation, "accuracy");
      facts.validation_pair_accuracy = number_at(*validation, "pair_accuracy_strict");
    }
    result.push_back(facts);
  }
  return result;
}

evaluation::RewardFacts reward_facts(const std::string& name, const reward::Reward& reward) {
  evaluation::RewardFacts facts;
  facts.name = name;
  facts.head = reward.head();
  facts.loss = reward.loss();
  facts.encoder = reward.encoder();
  facts.model = reward.model();
  const auto& record = reward.record();
  const auto object = [&](const char* key) {
    const auto found = record.find(key);
    return found != record.end() && found->is_object() ? *found : nlohmann::json::object();
  };
  facts.used = object("data").value("train_used", std::uint64_t{0});
  facts.unit = object("data").value("train_unit", std::string("rows"));
  facts.limit = object("options").value("limit", std::uint64_t{0});
  facts.seed = object("options").value("seed", std::uint64_t{0});
  facts.best_epoch = record.value("best_epoch", 0);
  return facts;
}

evaluation::ResultFacts result_facts(const reward::Reward& reward, const EvaluationBasis& basis,
                                     const Predictions& predictions) {
  const auto& data = basis.inputs.facts;
  evaluation::ResultFacts facts;
  facts.split = data.split;
  facts.prompts = data.prompts;
  facts.labels = data.labels;
  facts.all_labels.resize(data.labels.size());
  for (const auto& points : basis.inputs.dataset.examples.points) {
    for (const auto& point : points) facts.all_labels[static_cast<std::size_t>(point.label)] += 1.0;
  }
  if (!predictions.classes.empty()) {
    facts.predicted.resize(data.labels.size());
    for (const auto predicted : predictions.classes) facts.predicted[static_cast<std::size_t>(predicted)] += 1.0;
  }
  const auto& a = predictions.pair_a;
  const auto& b = predictions.pair_b;
  facts.constant_utility = !a.empty() && std::ranges::equal(a, b);
  facts.prompt_overlap = data.prompt_overlap;
  facts.image_overlap = data.image_overlap;
  facts.images = data.images;
  facts.images_gone = data.images_gone;
  const auto untrained = reward.record().find("encoder_untrained");
  facts.untrained_encoder = untrained != reward.record().end() && untrained->is_boolean() && untrained->get<bool>();
  return facts;
}

}  // namespace

std::optional<evaluation::PairCalibration> recorded_calibration(const reward::Reward& reward) {
  const auto found = reward.record().find("calibration");
  if (found == reward.record().end() || !found->is_object()) return std::nullopt;
  const auto temperature = number_at(*found, "temperature");
  if (!temperature || !(*temperature > 0.0)) return std::nullopt;
  return evaluation::PairCalibration{*temperature, number_at(*found, "tie_width")};
}

CachedVectors::CachedVectors(const workspace::Workspace& workspace, const reward::Reward& reward,
                             const std::filesystem::path& place, bool beside_inputs) {
  using embeddings::EmbeddingCache;
  const auto is_cross = [](const reward::EncoderNeed& need) { return need.kind == reward::EncoderKind::kCross; };
  const bool skip_first = beside_inputs && !is_cross(reward.needs().front());
  for (const reward::EncoderNeed& need : reward.needs().subspan(skip_first ? 1 : 0)) {
    Cache& cache = caches_.emplace_back();
    cache.encoder = encoder_for(workspace, need, place);
    const auto folder = workspace.embeddings_dir(cache.encoder);
    if (is_cross(need)) {
      cache.pairs.emplace(embeddings::open_scores(folder));
    } else {
      cache.images.emplace(EmbeddingCache::open(folder, "image"));
      cache.texts.emplace(EmbeddingCache::open(folder, "text"));
    }
  }
}

bool CachedVectors::has(const std::string& image_uid, const std::string& prompt) const {
  constexpr auto kNone = embeddings::EmbeddingCache::npos;
  return std::ranges::all_of(caches_, [&](const Cache& cache) {
    if (cache.pairs) return cache.pairs->find(embeddings::score_key(image_uid, prompt)) != kNone;
    return cache.images->find(image_uid) != kNone && cache.texts->find(prompt) != kNone;
  });
}

void CachedVectors::append(std::size_t index, const std::string& image_uid, const std::string& prompt,
                           BlockRows& rows) const {
  const Cache& cache = caches_[index];
  const auto add = [&](const embeddings::EmbeddingCache& side, const std::string& key, const char* what,
                       const std::string& shown, std::vector<float>& out) {
    const std::size_t row = side.find(key);
    if (row == embeddings::EmbeddingCache::npos) {
      fail(ErrorCode::kNotFound, "embeddings/{}: expected a {} of '{}', found none; run `encode` with it again",
           cache.encoder, what, shown.substr(0, 60));
    }
    const std::vector<float> vector = side.row(row);
    out.insert(out.end(), vector.begin(), vector.end());
  };
  if (cache.pairs) {
    add(*cache.pairs, embeddings::score_key(image_uid, prompt), "score", fmt::format("{}: {}", image_uid, prompt),
        rows.pairs);
    return;
  }
  add(*cache.images, image_uid, "vector", image_uid, rows.images);
  add(*cache.texts, prompt, "vector", prompt, rows.texts);
}

HeadScores::HeadScores(const reward::Reward& reward, const EvaluationInputs& inputs, const CachedVectors& further,
                       const RunContext& context)
    : classifier_(reward.is_classifier()),
      utility_only_(reward.is_utility()),
      calibration_(recorded_calibration(reward).value_or(evaluation::PairCalibration{})),
      class_count_(static_cast<std::size_t>(inputs.dataset.examples.class_count)) {
  const auto& examples = inputs.dataset.examples;
  const std::size_t dim = examples.images.dim;
  if (reward.dim() != dim) {
    fail(ErrorCode::kInvalidArgument, "reward: takes vectors of {} numbers, the cache of {} holds {}", reward.dim(),
         reward.encoder(), dim);
  }
  if (classifier_ && reward.class_count() != examples.class_count) {
    fail(ErrorCode::kInvalidArgument,
         "reward: answers {} labels, the workspace now has {}; train it again, or run `label` as it was",
         reward.class_count(), examples.class_count);
  }
  collect(inputs.measured.rows);
  collect(inputs.validation.rows);
  const std::size_t own = reward.needs().size() - further.size();  // of the inputs: 1, or 0 before a cross-encoder
  for (std::size_t begin = 0; begin < asked_.size(); begin += kBatch) {
    context.check_stop();
    const std::size_t count = std::min(kBatch, asked_.size() - begin);
    std::vector<BlockRows> rows(reward.needs().size());
    for (std::size_t i = begin; i < begin + count; ++i) {
      const auto& [image, text] = asked_[i];
      if (own != 0) {
        const auto image_row = std::span(examples.images.values).subspan(image * dim, dim);
        const auto text_row = std::span(examples.texts.values).subspan(text * dim, dim);
        rows[0].images.insert(rows[0].images.end(), image_row.begin(), image_row.end());
        rows[0].texts.insert(rows[0].texts.end(), text_row.begin(), text_row.end());
      }
      for (std::size_t k = 0; k < further.size(); ++k) {
        further.append(k, inputs.dataset.image_uids[image], inputs.dataset.prompts[text], rows[own + k]);
      }
    }
    std::vector<reward::VectorBlock> blocks;
    for (const BlockRows& each : rows) blocks.push_back(each.block());
    const auto said = reward.score(blocks, count);
    scores_.insert(scores_.end(), said.score.begin(), said.score.end());
    probabilities_.insert(probabilities_.end(), said.probabilities.begin(), said.probabilities.end());
    check_finite(said.score, begin, inputs);
    check_finite(said.probabilities, begin, inputs);
    context.report({.stage = "score", .done = begin + count, .total = asked_.size(), .note = ""});
  }
}

void HeadScores::check_finite(std::span<const float> answers, std::size_t first, const EvaluationInputs& inputs) const {
  const auto bad = std::ranges::find_if_not(answers, [](float value) { return std::isfinite(value); });
  if (bad == answers.end()) return;
  const std::size_t answers_each = answers.size() / std::min(kBatch, asked_.size() - first);
  const auto& [image, text] = asked_[first + static_cast<std::size_t>(bad - answers.begin()) / answers_each];
  fail(ErrorCode::kCorruptData,
       "reward: the answer for image {} and prompt '{}' is {}, expected a finite number: did training diverge?",
       inputs.dataset.image_uids[image], inputs.dataset.prompts[text].substr(0, 60), *bad);
}

void HeadScores::collect(const evaluation::SplitRows& rows) {
  const auto add = [&](std::uint32_t image, std::uint32_t text) {
    if (places_.try_emplace(pair_key(image, text), asked_.size()).second) asked_.emplace_back(image, text);
  };
  for (std::size_t i = 0; i < rows.point_text.size(); ++i) add(rows.point_image[i], rows.point_text[i]);
  for (std::size_t i = 0; i < rows.pair_text.size(); ++i) {
    add(rows.pair_image_a[i], rows.pair_text[i]);
    add(rows.pair_image_b[i], rows.pair_text[i]);
  }
  for (std::size_t i = 0; i < rows.candidate_text.size(); ++i) add(rows.candidate_image[i], rows.candidate_text[i]);
}

double HeadScores::score(std::uint32_t image, std::uint32_t text) const {
  return double{scores_[places_.at(pair_key(image, text))]};
}

Predictions HeadScores::predict(const SplitData& data) const {
  auto predictions = evaluation::predict_preferences(
      data, [this](std::uint32_t image, std::uint32_t text) { return score(image, text); });
  add_point_answers(data, predictions);
  if (utility_only_) {  // such a loss fits the probability that a wins, which is all that it states
    for (std::size_t i = 0; i < predictions.pair_a.size(); ++i) {
      predictions.pair_probabilities.push_back(
          evaluation::pair_probability(predictions.pair_a[i], predictions.pair_b[i], calibration_));
    }
  }
  return predictions;
}

void HeadScores::add_point_answers(const SplitData& data, Predictions& predictions) const {
  const auto classes = data.truth.class_count;
  std::vector<double> numbers;
  for (std::size_t i = 0; i < data.truth.points(); ++i) {
    const auto place = places_.at(pair_key(data.rows.point_image[i], data.rows.point_text[i]));
    numbers.push_back(double{scores_[place]});
    if (!classifier_) continue;
    for (std::size_t c = 0; c < class_count_; ++c) {
      predictions.probabilities.push_back(double{probabilities_[place * class_count_ + c]});
    }
  }
  if (classifier_) {
    predictions.class_scores = predictions.probabilities;
    predictions.classes = evaluation::likeliest_classes(predictions.probabilities, classes);
    predictions.values = std::move(numbers);
    return;
  }
  // A utility orders rows, which is all that AUC needs with two classes; it is on no label's scale.
  if (!utility_only_ || classes == 2) predictions.class_scores = evaluation::closeness_scores(numbers, classes);
  if (utility_only_) return;
  predictions.classes = evaluation::nearest_labels(numbers, classes);
  predictions.values = std::move(numbers);
}

EvaluationBasis load_evaluation_basis(const workspace::Workspace& workspace, const std::string& encoder,
                                      const std::string& split, std::uint64_t draws, const RunContext& context) {
  constexpr std::uint64_t kMostDraws = 10000;
  if (draws > kMostDraws) {
    fail(ErrorCode::kInvalidArgument, "--bootstrap: expected 0 to {}, found {}", kMostDraws, draws);
  }
  auto inputs = load_evaluation_inputs(workspace, encoder, split);
  context.check_stop();
  context.report({.stage = "baselines", .done = 0, .total = 0, .note = encoder});
  evaluation::Bootstrap bootstrap(inputs.measured.truth.prompt_count, draws);
  auto baselines = evaluation::measure_baselines(inputs.vectors(), inputs.train, inputs.validation, inputs.measured,
                                                 inputs.oracle(), bootstrap);
  context.check_stop();
  return {std::move(inputs), std::move(bootstrap), std::move(baselines)};
}

EvaluatedReward evaluate_reward(const std::string& name, const reward::Reward& reward, const EvaluationBasis& basis,
                                const HeadScores& scores) {
  const auto& inputs = basis.inputs;
  EvaluatedReward result;
  const auto on_validation = scores.predict(inputs.validation);
  const evaluation::Bootstrap validation_bootstrap(inputs.validation.truth.prompt_count, basis.bootstrap.draws());
  auto& report = result.report;
  report.pickscore_threshold = evaluation::threshold_from_validation(inputs.validation.truth, on_validation);
  result.validation = evaluation::at(
      evaluation::measure(inputs.validation.truth, on_validation, report.pickscore_threshold, validation_bootstrap),
      Metric::kPairStrictMicro);
  result.predictions = scores.predict(inputs.measured);
  const auto& truth = inputs.measured.truth;
  report.reward = reward_facts(name, reward);
  report.data = inputs.facts;
  report.metrics = evaluation::measure(truth, result.predictions, report.pickscore_threshold, basis.bootstrap);
  report.subject = evaluation::subject_of(result.predictions);
  if (report.subject == evaluation::Subject::kPairs) report.calibration = recorded_calibration(reward);
  for (std::size_t i = 0; i < evaluation::kBaselineCount; ++i) {
    report.baselines[i] = report.subject == evaluation::Subject::kPairs
                              ? evaluation::measurement_on_pairs(static_cast<evaluation::Baseline>(i),
                                                                 basis.baselines[i], truth, basis.bootstrap)
                              : basis.baselines[i].measurement;
  }
  report.warnings = evaluation::find_warnings(result_facts(reward, basis, result.predictions), report.metrics);
  report.verdict = evaluation::judge(truth, result.predictions, report.metrics, basis.baselines, basis.bootstrap);
  report.way_to_oracle = evaluation::way_to_oracle(report.metrics, basis.baselines);
  report.confusion = evaluation::confusion_matrix(truth, result.predictions);
  report.reliability = evaluation::reliability_bins(truth, result.predictions);
  report.slices = evaluation::measure_slices(truth, result.predictions, basis.baselines, report.pickscore_threshold,
                                             basis.bootstrap, make_slices(inputs, reward));
  report.bootstrap_draws = basis.bootstrap.draws();
  report.epochs = epoch_facts(reward.record());
  return result;
}

std::filesystem::path write_report(const workspace::Workspace& workspace, const std::string& name,
                                   const std::string& page, nlohmann::ordered_json& json) {
  const auto folder = workspace.report_dir(name);
  auto path = folder / "report.html";
  json["report"] = path.string();
  write_file_atomically(path, page);
  // Prompts come from anywhere: bytes that are no UTF-8 must not cost the report.
  write_file_atomically(folder / "report.json",
                        json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
  return path;
}

std::string reward_name(const std::filesystem::path& folder) {
  const auto whole = std::filesystem::absolute(folder).lexically_normal();
  return (whole.has_filename() ? whole : whole.parent_path()).filename().string();
}

}  // namespace imagerank::cli
