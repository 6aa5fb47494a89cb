#include "reward/sweep.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <functional>
#include <optional>
#include <string_view>
#include <utility>

#include "core/fail.h"
#include "core/hash.h"
#include "reward/reward_files.h"
#include "reward/training.h"

namespace imagerank::reward {
namespace {

constexpr std::size_t kMostCombinations = 64;

struct Option {
  std::string_view name;
  void (*set)(TrainOptions&, double);
};

std::int64_t whole(double value) { return std::llround(std::clamp(value, -1e15, 1e15)); }

constexpr std::array kOptions = {
    Option{"lr", [](TrainOptions& o, double v) { o.learning_rate = v; }},
    Option{"weight-decay", [](TrainOptions& o, double v) { o.weight_decay = v; }},
    Option{"dropout", [](TrainOptions& o, double v) { o.dropout = v; }},
    Option{"hidden", [](TrainOptions& o, double v) { o.hidden = whole(v); }},
    Option{"rank", [](TrainOptions& o, double v) { o.rank = whole(v); }},
    Option{"layers", [](TrainOptions& o, double v) { o.layers = whole(v); }},
    Option{"batch",
           [](TrainOptions& o, double v) { o.batch = static_cast<int>(std::min<std::int64_t>(whole(v), 1 << 30)); }},
    Option{"epochs",
           [](TrainOptions& o, double v) { o.epochs = static_cast<int>(std::min<std::int64_t>(whole(v), 1 << 30)); }},
    Option{"warm-up", [](TrainOptions& o, double v) { o.warm_up = v; }},
    Option{"clip-norm", [](TrainOptions& o, double v) { o.clip_norm = v; }},
    Option{"prompt-loss", [](TrainOptions& o, double v) { o.prompts.weight = v; }},
    Option{"prompt-temperature", [](TrainOptions& o, double v) { o.prompts.temperature = v; }}};

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

double parse_number(std::string_view text, std::string_view where) {
  double value = 0.0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) {
    fail(ErrorCode::kInvalidArgument, "--sweep: {}: expected numbers apart by colons, found '{}'", where, text);
  }
  return value;
}

/// The values of each combination, parallel to the axes; the last axis runs fastest.
std::vector<std::vector<double>> combinations(const std::vector<SweepAxis>& axes) {
  std::vector<std::vector<double>> all = {{}};
  for (const SweepAxis& axis : axes) {
    std::vector<std::vector<double>> longer;
    for (const auto& start : all) {
      for (const double value : axis.values) {
        longer.push_back(start);
        longer.back().push_back(value);
      }
    }
    all = std::move(longer);
  }
  return all;
}

const nlohmann::json& best_epoch(const nlohmann::json& record) {
  return record.at("epochs").at(record.at("best_epoch").get<std::size_t>() - 1);
}

std::optional<nlohmann::json> find_swept(const std::filesystem::path& folder, const std::string& key) {
  try {
    const nlohmann::json record = load_record(folder);
    if (!record.contains("sweep") || record.at("sweep").value("key", "") != key) return std::nullopt;
    return find_finished(folder, record.value("key", ""));
  } catch (const Error&) {  // none there, or none usable
    return std::nullopt;
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;
  }
}

}  // namespace

void set_option(TrainOptions& options, const std::string& name, double value) {
  const auto found = std::ranges::find(kOptions, name, &Option::name);
  if (found != kOptions.end()) return found->set(options, value);
  std::string names;
  for (const Option& option : kOptions) names += (names.empty() ? "" : ", ") + std::string(option.name);
  fail(ErrorCode::kInvalidArgument, "--sweep: expected one of {}, found '{}'", names, name);
}

std::vector<SweepAxis> parse_sweep(const std::string& text) {
  std::vector<SweepAxis> axes;
  std::size_t count = 1;
  for (const std::string_view part : split(text, ',')) {
    const std::size_t equals = part.find('=');
    if (equals == std::string_view::npos || equals == 0) {
      fail(ErrorCode::kInvalidArgument, "--sweep: expected option=value:value, found '{}'", part);
    }
    SweepAxis axis{std::string(part.substr(0, equals)), {}};
    for (const std::string_view value : split(part.substr(equals + 1), ':')) {
      axis.values.push_back(parse_number(value, axis.option));
    }
    TrainOptions ignored;
    set_option(ignored, axis.option, axis.values.front());
    count *= axis.values.size();
    axes.push_back(std::move(axis));
    if (count > kMostCombinations) {
      fail(ErrorCode::kInvalidArgument, "--sweep: expected at most {} combinations, found {} and more",
           kMostCombinations, count);
    }
  }
  return axes;
}

TrainReport train_sweep(const Examples& examples, const TrainOptions& options, const std::vector<SweepAxis>& axes,
                        const nlohmann::json& origin, const std::filesystem::path& folder, const RunContext& context) {
  nlohmann::json spec = nlohmann::json::array();
  for (const SweepAxis& axis : axes) spec.push_back({axis.option, axis.values});
  const std::string key = sha256_hex(training_key(examples, options, origin) + spec.dump());
  TrainReport report;
  if (auto finished = find_swept(folder, key)) {
    report.record = std::move(*finished);
    report.up_to_date = true;
    return report;
  }
  const auto part = [&](std::size_t i) { return folder / fmt::format(".sweep{}", i); };
  nlohmann::json tried = nlohmann::json::array();
  std::optional<std::size_t> chosen;
  const std::vector<std::vector<double>> all = combinations(axes);
  for (std::size_t i = 0; i < all.size(); ++i) {
    TrainOptions one = options;
    nlohmann::json values;
    for (std::size_t k = 0; k < axes.size(); ++k) {
      set_option(one, axes[k].option, all[i][k]);
      values[axes[k].option] = all[i][k];
    }
    if (!one.tensorboard.empty()) one.tensorboard /= fmt::format("sweep{}", i);
    const nlohmann::json record = train_reward(examples, one, origin, part(i), context).record;
    const nlohmann::json& validation = best_epoch(record).at("validation");
    if (!validation.at("loss").is_number()) {
      fail(ErrorCode::kNotFound, "--sweep: expected a validation split to choose by, found no rows in it");
    }
    tried.push_back({{"options", values},
                     {"loss", validation.at("loss")},
                     {"pair_accuracy_strict", validation.at("pair_accuracy_strict")},
                     {"best_epoch", record.at("best_epoch")}});
    if (!chosen || tried[i].at("loss") < tried[*chosen].at("loss")) chosen = i;
  }
  report.record = load_record(part(*chosen));
  report.record["sweep"] = {{"key", key}, {"tried", tried}, {"chosen", *chosen}};
  save_reward(folder, report.record, load_tensors(part(*chosen)));
  for (std::size_t i = 0; i < all.size(); ++i) std::filesystem::remove_all(part(i));
  return report;
}

}  // namespace imagerank::reward
