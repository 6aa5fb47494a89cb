#include "cli/evaluation_inputs.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <system_error>
#include <unordered_set>

#include "core/atomic_file.h"
#include "core/fail.h"
#include "embeddings/embedding_cache.h"
#include "reward/published_scorers.h"
#include "scoring/rewarded_encoder.h"

namespace imagerank::cli {
namespace {

using evaluation::SplitData;

constexpr std::array<std::string_view, reward::kSplitCount> kSplitNames = {"train", "validation", "test"};

reward::Split parse_split(const std::string& name) {
  for (std::size_t i = 0; i < kSplitNames.size(); ++i) {
    if (name == kSplitNames[i]) return static_cast<reward::Split>(i);
  }
  fail(ErrorCode::kInvalidArgument, "--split: expected train, validation or test, found '{}'", name);
}

/// Numbers a split's prompts in the order of their first use.
class PromptNumbers {
 public:
  explicit PromptNumbers(SplitData& data) : data_(data) {}
  std::uint32_t number(std::uint32_t text) {
    const auto [at, added] = numbers_.try_emplace(text, static_cast<std::uint32_t>(data_.truth.prompt_count));
    if (added) ++data_.truth.prompt_count;
    return at->second;
  }

 private:
  SplitData& data_;
  std::unordered_map<std::uint32_t, std::uint32_t> numbers_;
};

/// Points and pairs of one split. @param numbers  those of `data`.
void fill_split(const reward::Examples& examples, reward::Split split, PromptNumbers& numbers, SplitData& data) {
  const auto index = static_cast<std::size_t>(split);
  data.truth.class_count = examples.class_count;
  data.truth.ranking_begin = {0};
  for (const auto& point : examples.points[index]) {
    data.truth.point_prompt.push_back(numbers.number(point.text));
    data.truth.point_label.push_back(point.label);
    data.rows.point_image.push_back(point.image);
    data.rows.point_text.push_back(point.text);
  }
  for (const auto& pair : examples.pairs[index]) {
    data.truth.pair_prompt.push_back(numbers.number(pair.text));
    data.truth.pair_p_a.push_back(double{pair.p_a});
    data.rows.pair_image_a.push_back(pair.image_a);
    data.rows.pair_image_b.push_back(pair.image_b);
    data.rows.pair_text.push_back(pair.text);
  }
}

/// Higher is better, 0 the least. All 0 for a tie.
std::vector<double> relevance_of(const workspace::Ranking& ranking) {
  std::vector<double> relevance(ranking.image_uids.size());
  if (ranking.ranks.size() == relevance.size() && !relevance.empty()) {
    const auto worst = *std::ranges::max_element(ranking.ranks);
    for (std::size_t i = 0; i < relevance.size(); ++i) relevance[i] = worst - ranking.ranks[i];
  } else if (ranking.best_image_uid) {
    for (std::size_t i = 0; i < relevance.size(); ++i)
      relevance[i] = ranking.image_uids[i] == *ranking.best_image_uid ? 1.0 : 0.0;
  }
  return relevance;
}

void count_votes(PromptVotes& votes, const std::vector<std::uint32_t>& images, const std::vector<double>& relevance) {
  const auto [least, best] = std::ranges::minmax_element(relevance);
  for (std::size_t i = 0; i < images.size(); ++i) {
    auto& count = votes[images[i]];
    if (*best <= *least) {
      ++count.tied;
    } else if (relevance[i] >= *best) {
      ++count.won;
    } else {
      ++count.lost;
    }
  }
}

/// The whole rankings behind the split's pairs: a pair knows its ranking, but not who else stood in it.
void add_rankings(EvaluationInputs& inputs, const std::vector<workspace::Ranking>& rankings, PromptNumbers& numbers) {
  const auto index = static_cast<std::size_t>(inputs.split);
  const auto& dataset = inputs.dataset;
  std::unordered_map<std::string, std::uint32_t> image_rows;
  for (std::uint32_t row = 0; row < dataset.image_uids.size(); ++row) image_rows[dataset.image_uids[row]] = row;
  // Ids are unique within a dataset only; with the prompt they are unique in practice.
  std::unordered_map<std::string, std::uint32_t> wanted;
  for (std::size_t i = 0; i < dataset.pair_rankings[index].size(); ++i) {
    const auto text = dataset.examples.pairs[index][i].text;
    wanted[dataset.pair_rankings[index][i] + '\n' + dataset.prompts[text]] = text;
  }
  auto& truth = inputs.measured.truth;
  for (const auto& ranking : rankings) {
    const auto found = wanted.find(ranking.ranking_id + '\n' + ranking.prompt);
    if (found == wanted.end()) continue;
    std::vector<std::uint32_t> images;
    for (const auto& uid : ranking.image_uids) {
      const auto row = image_rows.find(uid);
      if (row != image_rows.end() && dataset.has_pair(uid, ranking.prompt)) images.push_back(row->second);
    }
    if (images.size() != ranking.image_uids.size() || images.empty()) {
      ++inputs.facts.rankings_without_vectors;
      continue;
    }
    const auto relevance = relevance_of(ranking);
    truth.ranking_prompt.push_back(numbers.number(found->second));
    truth.ranking_begin.push_back(truth.ranking_begin.back() + images.size());
    truth.relevance.insert(truth.relevance.end(), relevance.begin(), relevance.end());
    auto& rows = inputs.measured.rows;
    rows.candidate_image.insert(rows.candidate_image.end(), images.begin(), images.end());
    rows.candidate_text.insert(rows.candidate_text.end(), images.size(), found->second);
    count_votes(inputs.votes[found->second], images, relevance);
  }
}

/// The split's true utilities, or none if one is missing: an oracle of a part would not be the best possible.
void add_truth(EvaluationInputs& inputs, const std::vector<workspace::Truth>& table) {
  if (table.empty()) return;
  std::unordered_map<std::string, double> known;
  for (const auto& row : table) known[row.image_uid + '\n' + row.prompt] = row.utility;
  const auto& dataset = inputs.dataset;
  bool complete = true;
  const auto add = [&](std::uint32_t image, std::uint32_t text) {
    const auto found = known.find(dataset.image_uids[image] + '\n' + dataset.prompts[text]);
    if (found == known.end()) {
      complete = false;
    } else {
      inputs.truth[pair_key(image, text)] = found->second;
    }
  };
  for (const auto* rows : {&inputs.measured.rows, &inputs.validation.rows}) {
    for (std::size_t i = 0; i < rows->pair_text.size(); ++i) {
      add(rows->pair_image_a[i], rows->pair_text[i]);
      add(rows->pair_image_b[i], rows->pair_text[i]);
    }
    for (std::size_t i = 0; i < rows->candidate_text.size(); ++i)
      add(rows->candidate_image[i], rows->candidate_text[i]);
  }
  if (!complete) inputs.truth.clear();
}

void count_conflicts(const std::vector<workspace::Ranking>& rankings, EvaluationInputs& inputs) {
  auto& facts = inputs.facts;
  constexpr unsigned kLost = 1;
  constexpr unsigned kTied = 2;
  constexpr unsigned kWon = 4;
  std::unordered_map<std::string, unsigned> labels;
  for (const auto& ranking : rankings) {
    ++facts.all_rankings;
    if (!ranking.best_image_uid) ++facts.all_ties;
    for (const auto& uid : ranking.image_uids) {
      const unsigned label = !ranking.best_image_uid ? kTied : uid == *ranking.best_image_uid ? kWon : kLost;
      labels[uid + '\n' + ranking.prompt] |= label;
    }
  }
  for (const auto& [key, seen] : labels) {
    if ((seen & (seen - 1)) != 0) ++facts.conflicts;
    if ((seen & kWon) != 0) ++facts.winners;
    if ((seen & kWon) != 0 && (seen & kLost) != 0) ++facts.winners_that_lost;
  }
  const auto& rows = inputs.measured.rows;
  const auto note = [&](std::uint32_t image, std::uint32_t text) {
    const auto found = labels.find(inputs.dataset.image_uids[image] + '\n' + inputs.dataset.prompts[text]);
    if (found != labels.end() && (found->second & (found->second - 1)) != 0) {
      inputs.conflicts.insert(pair_key(image, text));
    }
  };
  for (std::size_t i = 0; i < rows.pair_text.size(); ++i) {
    note(rows.pair_image_a[i], rows.pair_text[i]);
    note(rows.pair_image_b[i], rows.pair_text[i]);
  }
}

/// Share of the split's rows whose image or prompt also stands in train.
void measure_leak(EvaluationInputs& inputs) {
  const std::unordered_set<std::uint32_t> texts(inputs.train.rows.point_text.begin(),
                                                inputs.train.rows.point_text.end());
  const std::unordered_set<std::uint32_t> images(inputs.train.rows.point_image.begin(),
                                                 inputs.train.rows.point_image.end());
  const auto share = [](const std::vector<std::uint32_t>& rows, const std::unordered_set<std::uint32_t>& known) {
    const auto count = std::ranges::count_if(rows, [&](std::uint32_t row) { return known.contains(row); });
    return rows.empty() ? 0.0 : static_cast<double>(count) / static_cast<double>(rows.size());
  };
  inputs.facts.prompt_overlap = share(inputs.measured.rows.point_text, texts);
  inputs.facts.image_overlap = share(inputs.measured.rows.point_image, images);
}

std::vector<double> label_counts(const evaluation::SplitTruth& truth) {
  std::vector<double> counts(static_cast<std::size_t>(truth.class_count));
  for (const auto label : truth.point_label) counts[static_cast<std::size_t>(label)] += 1.0;
  return counts;
}

void count_facts(EvaluationInputs& inputs, const workspace::Workspace& workspace, const std::string& split) {
  auto& facts = inputs.facts;
  const auto& truth = inputs.measured.truth;
  const auto root = std::filesystem::absolute(workspace.root()).lexically_normal();
  facts.workspace = (root.has_filename() ? root : root.parent_path()).filename().string();
  facts.split = split;
  facts.prompts = truth.prompt_count;
  facts.points = truth.points();
  facts.pairs = truth.pairs();
  facts.strict_pairs = truth.strict_pairs();
  facts.rankings = truth.rankings();
  for (std::size_t i = 0; i < reward::kSplitCount; ++i) {
    facts.points_by_split[i] = inputs.dataset.examples.points[i].size();
    facts.pairs_by_split[i] = inputs.dataset.examples.pairs[i].size();
  }
  facts.labels = label_counts(truth);
  facts.train_labels = label_counts(inputs.train.truth);
  facts.points_without_vectors = inputs.dataset.points_without_vectors;
  facts.pairs_without_vectors = inputs.dataset.pairs_without_vectors;
  measure_leak(inputs);
}

/// The images table's rows of the images that have vectors; those of the split whose file is gone are counted.
void add_images(EvaluationInputs& inputs, const workspace::Workspace& workspace) {
  std::unordered_map<std::string, std::size_t> places;
  const auto& uids = inputs.dataset.image_uids;
  for (std::size_t row = 0; row < uids.size(); ++row) places.emplace(uids[row], row);
  inputs.images.resize(uids.size());
  for (auto& image : workspace.find_images()) {
    if (const auto place = places.find(image.image_uid); place != places.end()) {
      inputs.images[place->second] = std::move(image);
    }
  }
  const auto& rows = inputs.measured.rows;
  std::unordered_set<std::uint32_t> measured;
  for (const auto* side : {&rows.point_image, &rows.pair_image_a, &rows.pair_image_b, &rows.candidate_image}) {
    measured.insert(side->begin(), side->end());
  }
  inputs.facts.images = measured.size();
  for (const auto row : measured) {
    const auto& image = inputs.images[row];
    if (!image.path.empty() && !has_file(workspace.resolve(image))) ++inputs.facts.images_gone;
  }
}

void check_vectors(const std::string& encoder, const char* what, const reward::VectorTable& table,
                   const std::vector<std::string>& keys) {
  const auto bad = std::ranges::find_if_not(table.values, [](float value) { return std::isfinite(value); });
  if (bad == table.values.end()) return;
  const auto row = static_cast<std::size_t>(bad - table.values.begin()) / table.dim;
  fail(ErrorCode::kCorruptData,
       "embeddings/{}: the vector of {} '{}' holds {}, expected finite numbers; delete the folder and run `encode` "
       "again",
       encoder, what, keys[row].substr(0, 60), *bad);
}

void check_labels(const workspace::Workspace& workspace, const reward::Examples& examples) {
  for (const auto& points : examples.points) {
    for (const auto& point : points) {
      if (point.label < 0 || point.label >= examples.class_count) {
        fail(ErrorCode::kCorruptData, "{}: label {}, expected 0 to {}", workspace.table_path("points").string(),
             point.label, examples.class_count - 1);
      }
    }
  }
}

}  // namespace

evaluation::Vectors EvaluationInputs::vectors() const {
  return {dataset.examples.images.dim, dataset.examples.images.values, dataset.examples.texts.values};
}

evaluation::UtilityFunction EvaluationInputs::oracle() const {
  if (truth.empty()) return {};
  return [this](std::uint32_t image, std::uint32_t text) { return truth.at(pair_key(image, text)); };
}

EvaluationInputs load_evaluation_inputs(const workspace::Workspace& workspace, const std::string& encoder,
                                        const std::string& split) {
  EvaluationInputs inputs;
  inputs.split = parse_split(split);
  inputs.dataset = load_dataset(workspace, encoder);
  const auto& examples = inputs.dataset.examples;
  check_labels(workspace, examples);
  check_vectors(encoder, "image", examples.images, inputs.dataset.image_uids);
  check_vectors(encoder, "prompt", examples.texts, inputs.dataset.prompts);
  PromptNumbers train_numbers(inputs.train);
  PromptNumbers validation_numbers(inputs.validation);
  PromptNumbers numbers(inputs.measured);
  fill_split(examples, reward::Split::kTrain, train_numbers, inputs.train);
  fill_split(examples, reward::Split::kValidation, validation_numbers, inputs.validation);
  fill_split(examples, inputs.split, numbers, inputs.measured);
  if (inputs.measured.truth.points() == 0 && inputs.measured.truth.pairs() == 0) {
    fail(ErrorCode::kNotFound,
         "{}: the {} split has no labelled rows and no pairs with vectors; run `label`, then "
         "`encode`, or choose another --split",
         workspace.root().string(), split);
  }
  const auto rankings = workspace.load_rankings();
  add_rankings(inputs, rankings, numbers);
  count_conflicts(rankings, inputs);
  add_truth(inputs, workspace.find_truth());
  count_facts(inputs, workspace, split);
  add_images(inputs, workspace);
  return inputs;
}

std::filesystem::path find_reward_folder(const workspace::Workspace& workspace, const std::string& name_or_path) {
  std::error_code ignored;
  const auto holds_reward = [&](const std::filesystem::path& folder) {
    return std::filesystem::exists(folder / "reward.json", ignored);
  };
  const bool plain_name = !name_or_path.empty() && name_or_path.find('/') == std::string::npos;
  if (plain_name && holds_reward(workspace.reward_dir(name_or_path))) return workspace.reward_dir(name_or_path);
  if (holds_reward(name_or_path) || std::filesystem::is_regular_file(name_or_path, ignored)) return name_or_path;
  if (reward::find_scorer(name_or_path) != nullptr) return name_or_path;
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(workspace.root() / "rewards", ignored)) {
    if (holds_reward(entry.path())) names.push_back(entry.path().filename().string());
  }
  std::ranges::sort(names);
  fail(ErrorCode::kNotFound,
       "reward '{}': expected a name under {}, a folder with reward.json, a published head's file or one of {}; there "
       "is {}",
       name_or_path, (workspace.root() / "rewards").string(), fmt::join(reward::scorer_names(), ", "),
       names.empty() ? "none yet, run `train`" : fmt::format("{}", fmt::join(names, ", ")));
}

namespace {

/// What `encode` calls a published scorer's encoder; "" for a head whose encoder is not here.
std::string scorer_encoder(const reward::EncoderNeed& need) {
  if (need.scorer.empty()) return "";
  try {
    if (need.kind == reward::EncoderKind::kCross) return blip::cross_encoder_name(scoring::cross_place(need));
    return clip::encoder_name(need.model, scoring::whole_options(need));
  } catch (const Error& error) {
    if (need.reads_text || error.code() != ErrorCode::kNotFound) throw;
    return "";
  }
}

}  // namespace

std::string encoder_for(const workspace::Workspace& workspace, const reward::EncoderNeed& need,
                        const std::filesystem::path& place) {
  if (!need.encoder.empty()) return need.encoder;
  if (std::string name = scorer_encoder(need); !name.empty()) {
    if (!std::filesystem::exists(workspace.embeddings_dir(name))) {
      fail(ErrorCode::kNotFound, "{}: no {} of {}'s encoder {}; run `imagerank encode --data {} --reward {}` first",
           workspace.root().string(), need.kind == reward::EncoderKind::kCross ? "scores" : "vectors", need.scorer,
           name, workspace.root().string(), place.string());
    }
    return name;
  }
  std::vector<std::string> fitting, others;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(workspace.root() / "embeddings", ignored)) {
    const std::size_t dim = embeddings::EmbeddingCache::open(entry.path(), "image").dim();
    (dim == need.dim ? fitting : others).push_back(entry.path().filename().string());
  }
  if (fitting.size() == 1) return fitting.front();
  std::ranges::sort(fitting);
  fail(ErrorCode::kNotFound,
       "{}: a published head of {} numbers does not say which encoder is its own; expected one cache of such vectors, "
       "found {}",
       workspace.root().string(), need.dim,
       fitting.empty() ? fmt::format("none, and {} of others", others.size())
                       : fmt::format("{}", fmt::join(fitting, ", ")));
}

}  // namespace imagerank::cli
