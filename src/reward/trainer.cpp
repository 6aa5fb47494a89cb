#include "reward/trainer.h"

#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "core/atomic_file.h"
#include "core/fail.h"
#include "core/hash.h"
#include "reward/calibration.h"
#include "reward/inference.h"
#include "reward/losses.h"
#include "reward/reward.h"
#include "reward/reward_files.h"
#include "reward/training.h"
#include "reward/work_crew.h"

namespace imagerank::reward {
namespace {

/// Raised when the same options would no longer give the same bytes.
constexpr int kTrainerVersion = 5;

/// glibc hands a step's freed tensors back to the system and gets them again, page by page, in the next: two thirds of
/// a CNN's time. It keeps them from now on, in the whole process.
void keep_freed_memory() {
#if defined(__GLIBC__)
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
#endif
}

/// One call of train_reward().
struct Job {
  const Examples& examples;
  const TrainOptions& options;
  const Settings settings;
  const nlohmann::json& origin;
  const std::filesystem::path& folder;
  const RunContext& context;
};

nlohmann::json data_record(const Examples& examples, std::size_t used, Loss loss) {
  const auto rows = [](const auto& splits, Split split) { return splits[static_cast<std::size_t>(split)].size(); };
  nlohmann::json data = {{"train_used", used},
                         {"train_unit", unit_name(loss)},
                         {"train_points", rows(examples.points, Split::kTrain)},
                         {"train_pairs", rows(examples.pairs, Split::kTrain)},
                         {"validation_points", rows(examples.points, Split::kValidation)},
                         {"validation_pairs", rows(examples.pairs, Split::kValidation)}};
  if (uses_lists(loss)) {
    data["train_rankings"] = rows(examples.lists, Split::kTrain);
    data["validation_rankings"] = rows(examples.lists, Split::kValidation);
  }
  return data;
}

/// Weight, temperature, and how low the auxiliary loss can go: a loss near its floor has nothing left to teach.
nlohmann::json prompt_record(const Objective& objective) {
  const PromptClassification& prompts = objective.options().prompts;
  if (prompts.weight <= 0.0) return nullptr;
  const double range = objective.score_range();
  return {{"weight", prompts.weight},
          {"temperature", prompts.temperature},
          {"wrong_prompts", prompts.wrong_count},
          {"score_range", std::isfinite(range) ? nlohmann::json(range) : nlohmann::json(nullptr)},
          {"floor",
           prompt_classification_floor(range, prompts.temperature, static_cast<std::size_t>(prompts.wrong_count))}};
}

/// The fields that a reward of one head and an ensemble share.
nlohmann::json base_record(const Job& job, const std::string& key) {
  nlohmann::json record = job.origin;
  record["head"] = job.options.head;
  record["loss"] = job.options.loss;
  record["dim"] = job.examples.images.dim;
  record["hidden"] = job.options.hidden;
  record["rank"] = job.options.rank;
  record["layers"] = job.options.layers;
  record["ensemble"] = job.options.ensemble;
  record["class_count"] = job.examples.class_count;
  record["options"] = options_json(job.options, job.settings);
  record["key"] = key;
  return record;
}

nlohmann::json make_record(const Job& job, const Training& training, const std::string& key) {
  const TrainingState& state = training.state();
  nlohmann::json warnings = training.set().warnings;
  if (training.set().validation.size() == 0) {
    warnings.push_back(fmt::format("the validation split has no {}: the last epoch was kept, not the best",
                                   unit_name(job.settings.loss)));
  }
  if (!state.collapse.empty()) warnings.push_back(state.collapse);
  nlohmann::json record = base_record(job, key);
  record["class_weights"] = training.set().class_weights;
  record["prompt_classification"] = prompt_record(training.objective());
  record["data"] = data_record(job.examples, training.set().train.size(), job.settings.loss);
  record["epochs"] = state.history;
  record["best_epoch"] = state.best_epoch;
  record["seconds"] = state.seconds;
  record["warnings"] = warnings;
  return record;
}

/// Scores of rows of the examples by a reward, a block at a time.
ScoreRows score_rows(const Reward& reward, const Examples& examples) {
  return [&](std::span<const std::uint32_t> images, std::span<const std::uint32_t> texts) {
    constexpr std::size_t kRowsAtOnce = 1024;
    const std::size_t dim = examples.images.dim;
    std::vector<float> scores;
    std::vector<float> image_rows(kRowsAtOnce * dim);
    std::vector<float> text_rows(kRowsAtOnce * dim);
    for (std::size_t begin = 0; begin < images.size(); begin += kRowsAtOnce) {
      const std::size_t count = std::min(kRowsAtOnce, images.size() - begin);
      for (std::size_t i = 0; i < count; ++i) {
        examples.images.copy_row(images[begin + i], std::span(image_rows).subspan(i * dim, dim));
        examples.texts.copy_row(texts[begin + i], std::span(text_rows).subspan(i * dim, dim));
      }
      const Scores said =
          reward.score(std::span(image_rows).first(count * dim), std::span(text_rows).first(count * dim), count);
      scores.insert(scores.end(), said.score.begin(), said.score.end());
    }
    return scores;
  };
}

void save_calibrated(const Job& job, nlohmann::json& record, const StoredTensors& tensors) {
  const Reward reward = Reward::from_tensors(record, tensors, job.folder.string());
  record["calibration"] = calibrate(job.examples, score_rows(reward, job.examples));
  save_reward(job.folder, record, tensors);
}

int train_one(const Job& job, const std::string& key, nlohmann::json& record) {
  Training training(job.examples, job.options, job.settings, job.context);
  const int resumed_from = training.resume(job.folder, key);
  training.run(job.folder, key);
  record = make_record(job, training, key);
  save_calibrated(job, record, store_tensors(training.parameters(), training.state().best, training.set().scaler));
  remove_checkpoint(job.folder);
  return resumed_from;
}

/// The mean of a number over objects that have it; null if none has.
nlohmann::json mean_of(const nlohmann::json& objects, const nlohmann::json::json_pointer& field) {
  double sum = 0.0;
  int count = 0;
  for (const nlohmann::json& object : objects) {
    if (!object.contains(field) || !object.at(field).is_number()) continue;
    sum += object.at(field).get<double>();
    ++count;
  }
  return count == 0 ? nlohmann::json(nullptr) : nlohmann::json(sum / count);
}

/// The members' histories as one: means over those that reached an epoch.
nlohmann::json mean_history(const std::vector<nlohmann::json>& members) {
  nlohmann::json history = nlohmann::json::array();
  for (std::size_t epoch = 0;; ++epoch) {
    nlohmann::json reached = nlohmann::json::array();
    for (const nlohmann::json& member : members) {
      if (epoch < member.at("epochs").size()) reached.push_back(member.at("epochs")[epoch]);
    }
    if (reached.empty()) return history;
    nlohmann::json mean = reached.front();
    const nlohmann::json flat = mean.flatten();
    for (const auto& [path, value] : flat.items()) {
      const nlohmann::json::json_pointer pointer(path);
      if (path != "/epoch") mean[pointer] = mean_of(reached, pointer);
    }
    history.push_back(std::move(mean));
  }
}

/// Heads of other seeds, each trained in a folder of its own below, then put into one reward.
int train_ensemble(const Job& job, const std::string& key, nlohmann::json& record) {
  std::vector<nlohmann::json> members;
  StoredTensors tensors;
  int resumed_from = 0;
  const auto member_folder = [&](int k) { return job.folder / fmt::format(".member{}", k); };
  for (int k = 0; k < job.options.ensemble; ++k) {
    TrainOptions options = job.options;
    options.ensemble = 1;
    options.seed += static_cast<std::uint64_t>(k);
    if (!options.tensorboard.empty()) options.tensorboard /= fmt::format("member{}", k);
    const TrainReport report = train_reward(job.examples, options, job.origin, member_folder(k), job.context);
    resumed_from += report.up_to_date ? static_cast<int>(report.record.at("epochs").size()) : report.resumed_from;
    for (auto& [name, tensor] : load_tensors(member_folder(k))) {
      tensors.emplace(member_prefix(k, job.options.ensemble) + name, std::move(tensor));
    }
    members.push_back(report.record);
  }
  record = base_record(job, key);
  for (const char* field : {"class_weights", "prompt_classification", "data", "best_epoch"}) {
    record[field] = members.front().at(field);
  }
  record["epochs"] = mean_history(members);
  record["seconds"] = 0.0;
  record["members"] = nlohmann::json::array();
  record["warnings"] = nlohmann::json::array();
  for (const nlohmann::json& member : members) {
    record["seconds"] = record["seconds"].get<double>() + member.at("seconds").get<double>();
    const nlohmann::json& mean = member.at("calibration").at("mean");
    record["members"].push_back({{"seed", member.at("options").at("seed")},
                                 {"best_epoch", member.at("best_epoch")},
                                 {"centre", mean.is_number() ? mean : nlohmann::json(0.0)}});
    for (const nlohmann::json& warning : member.at("warnings")) {
      if (std::ranges::find(record["warnings"], warning) == record["warnings"].end()) {
        record["warnings"].push_back(warning);
      }
    }
  }
  save_calibrated(job, record, tensors);
  for (int k = 0; k < job.options.ensemble; ++k) std::filesystem::remove_all(member_folder(k));
  return resumed_from;
}

}  // namespace

std::string training_key(const Examples& examples, const TrainOptions& options, const nlohmann::json& origin) {
  const Settings settings = check_options(options, examples.class_count);
  const nlohmann::json identity = {{"version", kTrainerVersion},
                                   {"options", options_json(options, settings)},
                                   {"encoder", origin.at("encoder")},
                                   {"data", fingerprint(examples)}};
  return sha256_hex(identity.dump());
}

TrainReport train_reward(const Examples& examples, const TrainOptions& options, const nlohmann::json& origin,
                         const std::filesystem::path& folder, const RunContext& context) {
  const Job job{examples, options, check_options(options, examples.class_count), origin, folder, context};
  const std::string key = training_key(examples, options, origin);
  TrainReport report;
  if (auto finished = find_finished(folder, key)) {
    report.record = std::move(*finished);
    report.up_to_date = true;
    return report;
  }
  try {
    std::filesystem::create_directories(folder);
    remove_stale_temporaries(folder);
    keep_freed_memory();
    const TorchThreads threads(1);  // libtorch's own wait for each other longer than they work in steps this small
    const WorkCrew crew(context.thread_count());
    report.resumed_from =
        options.ensemble == 1 ? train_one(job, key, report.record) : train_ensemble(job, key, report.record);
  } catch (const c10::Error& error) {
    fail(ErrorCode::kResourceLimit, "train {}: {}", options.head, error.what_without_backtrace());
  } catch (const std::filesystem::filesystem_error& error) {
    fail(ErrorCode::kIo, "reward {}: {}", folder.string(), error.code().message());
  }
  return report;
}

}  // namespace imagerank::reward
