#include "reward/mixture.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/atomic_file.h"
#include "core/fail.h"
#include "reward/published_scorers.h"

namespace imagerank::reward {
namespace {

constexpr std::size_t kMostTerms = 64;
constexpr int kMostNested = 8;

/// Whether one encoder's vectors serve both.
bool is_same(const EncoderNeed& a, const EncoderNeed& b) {
  return a.kind == b.kind && a.encoder == b.encoder && a.model == b.model && a.reads_text == b.reads_text &&
         a.options.precision == b.options.precision && a.options.tokenizer_dir == b.options.tokenizer_dir &&
         a.options.text_cleaning == b.options.text_cleaning && a.options.rules == b.options.rules;
}

MixtureTerm parse_term(const nlohmann::json& object) {
  MixtureTerm term;
  term.place = object.at("reward").get<std::string>();
  term.weight = object.at("weight").get<double>();
  term.mean = object.at("mean").get<double>();
  term.deviation = object.at("standard_deviation").get<double>();
  term.encoder.model = object.value("model", "");
  term.encoder.tokenizer = object.value("tokenizer", "");
  if (object.contains("hps_antialias")) term.encoder.hps_antialias = object.at("hps_antialias").get<bool>();
  term.encoders = object.value("encoders", std::vector<std::string>());
  return term;
}

std::filesystem::path place_of(const MixtureTerm& term, const std::filesystem::path& folder) {
  const std::filesystem::path place(term.place);
  return place.is_absolute() || find_scorer(term.place) != nullptr ? place : folder / place;
}

}  // namespace

nlohmann::json mixture_record(std::span<const MixtureTerm> terms, const nlohmann::json& more) {
  nlohmann::json record = more;
  record["format"] = 1;
  record["head"] = "mixture";
  record["loss"] = "";
  record["terms"] = nlohmann::json::array();
  for (const MixtureTerm& term : terms) {
    nlohmann::json object = {{"reward", term.place},        {"weight", term.weight},
                             {"mean", term.mean},           {"standard_deviation", term.deviation},
                             {"model", term.encoder.model}, {"tokenizer", term.encoder.tokenizer},
                             {"encoders", term.encoders}};
    if (term.encoder.hps_antialias) object["hps_antialias"] = *term.encoder.hps_antialias;
    record["terms"].push_back(std::move(object));
  }
  return record;
}

std::vector<MixtureTerm> parse_mixture(const nlohmann::json& record, const std::string& where) {
  std::vector<MixtureTerm> terms;
  try {
    for (const nlohmann::json& object : record.at("terms")) terms.push_back(parse_term(object));
  } catch (const nlohmann::json::exception&) {
    fail(ErrorCode::kCorruptData,
         "{}: terms: expected a list of {{\"reward\", \"weight\", \"mean\", \"standard_deviation\"}}, found term {} "
         "otherwise",
         where, terms.size());
  }
  if (terms.empty() || terms.size() > kMostTerms) {
    fail(ErrorCode::kCorruptData, "{}: terms: expected 1 to {}, found {}", where, kMostTerms, terms.size());
  }
  for (const MixtureTerm& term : terms) {
    if (!std::isfinite(term.weight) || !std::isfinite(term.mean) || !std::isfinite(term.deviation) ||
        !(term.deviation > 0.0)) {
      fail(ErrorCode::kCorruptData,
           "{}: term {}: expected finite numbers and a standard deviation above 0, found weight {}, mean {}, standard "
           "deviation {}",
           where, term.place, term.weight, term.mean, term.deviation);
    }
  }
  return terms;
}

void save_mixture(const std::filesystem::path& folder, const nlohmann::json& record) {
  write_file_atomically(folder / "reward.json", record.dump(2) + "\n");
}

Mixture::Mixture(const std::vector<MixtureTerm>& terms, const std::filesystem::path& folder,
                 const EncoderPlace& encoder) {
  static thread_local int nested = 0;
  struct Depth {
    Depth() { ++nested; }
    ~Depth() { --nested; }
  } const depth;
  if (nested > kMostNested) {
    fail(ErrorCode::kCorruptData, "reward {}: expected mixtures at most {} deep, found more: does one hold itself?",
         folder.string(), kMostNested);
  }
  for (const MixtureTerm& term : terms) {
    Part part{Reward::load(place_of(term, folder), encoder == EncoderPlace{} ? term.encoder : encoder), term, {}};
    std::size_t index = 0;
    for (EncoderNeed need : part.reward.needs()) {
      // What it was mixed on is what it must be given again.
      if (need.encoder.empty() && index < term.encoders.size()) need.encoder = term.encoders[index];
      ++index;
      const auto known = std::ranges::find_if(needs_, [&](const EncoderNeed& other) { return is_same(need, other); });
      part.blocks.push_back(static_cast<std::size_t>(known - needs_.begin()));
      if (known == needs_.end()) needs_.push_back(std::move(need));
    }
    parts_.push_back(std::move(part));
  }
}

Scores Mixture::score(std::span<const VectorBlock> blocks, std::size_t count) const {
  std::vector<double> sums(count);
  for (const Part& part : parts_) {
    std::vector<VectorBlock> own;
    for (const std::size_t block : part.blocks) own.push_back(blocks[block]);
    const Scores said = part.reward.score(own, count);
    for (std::size_t i = 0; i < count; ++i) {
      sums[i] += part.term.weight * (double{said.score[i]} - part.term.mean) / part.term.deviation;
    }
  }
  Scores scores;
  for (const double sum : sums) scores.score.push_back(static_cast<float>(sum));
  return scores;
}

}  // namespace imagerank::reward
