#include "labels/points.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <memory>
#include <optional>
#include <string_view>

#include "core/threads.h"
#include "workspace/csv_writer.h"
#include "workspace/keys.h"
#include "workspace/parquet_writer.h"

namespace imagerank::labels {
namespace {

constexpr std::uint8_t kNoLabel = 255;

/// An entry's tag: where its ranking goes, and the bit that says what the image's place in it is.
std::uint8_t tag_of(std::uint8_t held, std::uint8_t bit) { return static_cast<std::uint8_t>(held << 3 | bit); }

}  // namespace

/// One (image, prompt).
struct Points::Group {
  std::uint32_t image = 0;  // in its part
  std::uint32_t prompt = 0;
  std::uint32_t votes = 0;
  std::array<std::uint32_t, 3> labels = {};  // how often each, in the most held-out split
  std::uint8_t held = kNowhere + 1;          // the most held-out split
  std::uint8_t splits = 0;                   // a bit for each value of `held`
  std::uint8_t bits = 0;
};

/// A group that is a point, unless a random split of it says otherwise.
struct Points::Candidate {
  const char* text = nullptr;
  std::uint32_t size = 0;
  std::uint32_t image = 0;
  std::uint32_t prompt = 0;
  std::uint8_t label = 0, held = 0;
  std::uint64_t hash = 0;  // of the random split
};

/// A thread's tables, whose memory is kept from part to part.
struct Points::Scratch {
  workspace::TextNumbers images;
  std::vector<std::uint32_t> slots;  // a group's number + 1, 0: free
  std::vector<Group> groups;
  std::vector<Candidate> candidates;
  std::vector<std::uint8_t> trained;  // images
};

/// One thread's rows on their way into the files.
class Points::Output {
 public:
  Output(workspace::ParquetWriter& points, workspace::CsvWriter* csv, const PromptTexts& prompts)
      : prompts_(prompts), rows_(points) {
    if (csv != nullptr) csv_.emplace(*csv);
  }

  void add(const Candidate& point, Held held) {
    static constexpr std::array<std::int32_t, 3> kLabels = {0, 1, 2};
    static constexpr std::array<std::string_view, 3> kSplits = {"test", "validation", "train"};
    const std::string_view image(point.text, point.size);
    auto& [images, prompts, labels, splits] = columns_;
    images.values.push_back(image);
    prompts.values.push_back(prompts_.text(point.prompt));
    prompts.numbers.push_back(point.prompt);
    labels.values.emplace_back(reinterpret_cast<const char*>(&kLabels[point.label]), sizeof kLabels[0]);
    labels.numbers.push_back(point.label);
    splits.values.push_back(kSplits[held]);
    splits.numbers.push_back(held);
    if (csv_) {
      csv_->add(image);
      csv_->add_field(prompts_.csv_field(point.prompt));
      csv_->add(kLabels[point.label]);
      csv_->end_row();
    }
    constexpr std::size_t kRows = 2048;
    if (images.values.size() == kRows) pass_on();
  }

  void flush() {
    pass_on();
    rows_.flush();
    if (csv_) csv_->flush();
  }

 private:
  void pass_on() {
    const std::size_t count = columns_[0].values.size();
    for (workspace::ColumnRows& column : columns_) column.definition.assign(count, 1);
    rows_.add(columns_, count);
    for (workspace::ColumnRows& column : columns_) column.clear();
  }

  const PromptTexts& prompts_;
  workspace::ParquetWriter::Rows rows_;
  std::optional<workspace::CsvWriter::Rows> csv_;
  std::array<workspace::ColumnRows, 4> columns_;
};

/// What a thread has counted.
struct Points::Tally {
  Scratch scratch;
  LabelCounts counts;
  std::vector<std::uint64_t> hashes;
  std::vector<std::uint32_t> tests;  // points of a prompt in test
  std::vector<bool> trained;         // prompts
  std::int64_t leaking_images = 0;   // points in test whose image is in train
  std::unique_ptr<Output> output;
};

Points::Points(const LabelSettings& settings, const PromptTexts& prompts, const RunContext& context,
               const std::filesystem::path& folder, const PointMemory& most)
    : settings_(settings),
      prompts_(prompts),
      context_(context),
      random_(settings.split == SplitRule::kRandom),
      straddles_(!random_ && settings.split != SplitRule::kPrompt),
      seed_(workspace::stable_hash("point", settings.seed) / 2 + 1),
      most_group_bytes_(most.groups),
      parts_(folder, most.texts),
      candidates_(workspace::TextParts::kParts) {}

Points::~Points() = default;

std::uint8_t Points::label_of(const Group& group) const {
  const auto& [lost, tied, best] = group.labels;
  switch (settings_.conflicts) {
    case ConflictRule::kKeepMax:
      return best > 0 ? 2 : tied > 0 ? 1 : 0;
    case ConflictRule::kMajority:
      return best >= std::max(tied, lost) ? 2 : tied >= lost ? 1 : 0;
    case ConflictRule::kDrop:
      return lost + tied == 0 ? 2 : lost + best == 0 ? 1 : tied + best == 0 ? 0 : kNoLabel;
  }
  return kNoLabel;
}

void Points::group_part(std::size_t index, Scratch& scratch) const {
  const workspace::TextParts::Part part = parts_.part(index);
  scratch.images.reset(part.size());
  scratch.groups.clear();
  const std::size_t slots = std::bit_ceil(std::max<std::size_t>(2 * part.size(), 16));
  scratch.slots.assign(slots, 0);
  part.for_each([&](const workspace::TextEntry& entry) {
    const std::uint32_t image = scratch.images.find_or_add(entry);
    const std::uint64_t key = std::uint64_t{image} << 32 | entry.number;
    std::size_t slot = (key * 0x9e3779b97f4a7c15ULL >> 32) & (slots - 1);
    for (; scratch.slots[slot] != 0; slot = (slot + 1) & (slots - 1)) {
      const Group& group = scratch.groups[scratch.slots[slot] - 1];
      if (group.image == image && group.prompt == entry.number) break;
    }
    if (scratch.slots[slot] == 0) {
      scratch.groups.emplace_back().image = image;
      scratch.groups.back().prompt = entry.number;
      scratch.slots[slot] = static_cast<std::uint32_t>(scratch.groups.size());
    }
    Group& group = scratch.groups[scratch.slots[slot] - 1];
    const auto held = static_cast<std::uint8_t>(entry.tag >> 3), bit = static_cast<std::uint8_t>(entry.tag & 7);
    ++group.votes;
    group.bits |= bit;
    group.splits = static_cast<std::uint8_t>(group.splits | 1U << held);
    if (held > group.held) return;
    if (held < group.held) group.labels = {};
    group.held = held;
    ++group.labels[bit >> 1];
  });
}

void Points::count_groups(const Scratch& scratch, Tally& tally) const {
  LabelCounts& counts = tally.counts;
  for (const Group& group : scratch.groups) {
    const std::uint8_t label = label_of(group);
    counts.rows += group.votes;
    counts.distinct += std::popcount(group.bits);
    counts.conflicts += std::popcount(group.bits) > 1 ? 1 : 0;
    counts.winners += group.bits >= 4 ? 1 : 0;
    counts.winners_that_lost += group.bits >= 4 && (group.bits & 1) != 0 ? 1 : 0;
    counts.dropped_conflicts += label == kNoLabel ? 1 : 0;
    counts.few_votes += label != kNoLabel && group.votes < settings_.min_votes ? 1 : 0;
    if (straddles_) counts.straddling_points += std::max(std::popcount(group.splits & 7U) - 1, 0);
    if (random_) {
      tally.hashes.push_back(workspace::stable_hash(scratch.images.at(group.image), seed_ + group.prompt));
    }
  }
  counts.kept += static_cast<std::int64_t>(scratch.groups.size());
}

void Points::find_candidates(Scratch& scratch) const {
  const bool binary = settings_.variant != LabelVariant::kThree;
  scratch.candidates.clear();
  for (const Group& group : scratch.groups) {
    const std::uint8_t label = label_of(group);
    if (label == kNoLabel || group.votes < settings_.min_votes || group.held == kNowhere) continue;
    if (settings_.variant == LabelVariant::kDropTies && label == 1) continue;
    const std::string_view image = scratch.images.at(group.image);
    Candidate& point = scratch.candidates.emplace_back();
    point.text = image.data();
    point.size = static_cast<std::uint32_t>(image.size());
    point.image = group.image;
    point.prompt = group.prompt;
    point.label = binary ? label / 2 : label;
    point.held = group.held;
    if (random_) point.hash = workspace::stable_hash(image, seed_ + group.prompt);
  }
}

/// The hashes at the shares of test, and of test and validation, of all of them in their order.
void Points::find_cut(std::vector<std::uint64_t> hashes) {
  const auto total = static_cast<double>(hashes.size());
  auto end = hashes.end();
  const auto at_share = [&](double share) {
    const double place = std::max(total - std::floor(total - share * total), 1.0);
    const auto at = hashes.begin() + (static_cast<std::ptrdiff_t>(place) - 1);
    std::nth_element(hashes.begin(), at, end);
    end = at + 1;
    return *at;
  };
  validation_below_ = at_share(settings_.test + settings_.validation);
  test_below_ = at_share(settings_.test);
}

Held Points::held_of(const Candidate& point) const {
  if (!random_) return static_cast<Held>(point.held);
  return point.hash < test_below_ ? kTest : point.hash < validation_below_ ? kValidation : kTrain;
}

workspace::TextParts::Adder& Points::adder() {
  return adders_.get([&] { return std::make_unique<workspace::TextParts::Adder>(parts_); });
}

void Points::add(const PlacedRanking& ranking, workspace::TextParts::Adder& adder) const {
  constexpr std::uint8_t kLost = 1, kTied = 2, kBest = 4;
  const Held held = random_ ? kTest : ranking.held;
  std::int32_t first_rank = PlacedRanking::kNoRank;
  if (ranking.ranks) {
    for (const std::int32_t rank : *ranking.ranks) {
      if (rank != PlacedRanking::kNoRank && (first_rank == PlacedRanking::kNoRank || rank < first_rank))
        first_rank = rank;
    }
  }
  for (std::size_t i = 0; i < ranking.images.size(); ++i) {
    std::uint8_t bit = kLost;
    if (ranking.best > 0) {
      if (i + 1 == ranking.best) bit = kBest;
    } else if (!ranking.ranks || ((*ranking.ranks)[i] == first_rank && first_rank != PlacedRanking::kNoRank)) {
      bit = kTied;
    }
    adder.add(ranking.images[i], ranking.prompt, tag_of(held, bit));
  }
}

void Points::group(LabelCounts& counts) {
  adders_.for_each([](workspace::TextParts::Adder& adder) { adder.finish(); });
  parts_.finish();

  const auto count_part = [&](std::size_t part, Tally& tally) {
    group_part(part, tally.scratch);
    count_groups(tally.scratch, tally);
    find_candidates(tally.scratch);
    parts_.forget(part);
    const std::size_t bytes = tally.scratch.candidates.size() * sizeof(Candidate);
    const std::size_t before = candidate_bytes_.fetch_add(bytes);
    if (before + bytes <= most_group_bytes_) candidates_[part] = tally.scratch.candidates;
  };
  const auto tallies = workspace::for_each_part<Tally>(context_, count_part, [](Tally& tally) { tally.scratch = {}; });
  std::vector<std::uint64_t> hashes;
  for (const auto& tally : tallies) {
    counts.rows += tally->counts.rows;
    counts.distinct += tally->counts.distinct;
    counts.kept += tally->counts.kept;
    counts.conflicts += tally->counts.conflicts;
    counts.winners += tally->counts.winners;
    counts.winners_that_lost += tally->counts.winners_that_lost;
    counts.dropped_conflicts += tally->counts.dropped_conflicts;
    counts.few_votes += tally->counts.few_votes;
    counts.straddling_points += tally->counts.straddling_points;
    hashes.insert(hashes.end(), tally->hashes.begin(), tally->hashes.end());
    tally->hashes = {};
  }
  if (random_) find_cut(std::move(hashes));
}

void Points::write(AtomicFile& points, AtomicFile* csv, LabelCounts& counts) {
  using workspace::ParquetType;
  // Prompts are in no order here: a group holds most of them.
  workspace::ParquetWriter parquet(points,
                                   {{"image_uid", ParquetType::kText},
                                    {"prompt", ParquetType::kText},
                                    {"label", ParquetType::kInt32},
                                    {"split", ParquetType::kText}},
                                   4 * workspace::ParquetWriter::kRowGroup);
  std::optional<workspace::CsvWriter> csv_writer;
  if (csv != nullptr) csv_writer.emplace(*csv, "image_uid,prompt,label");
  const auto write_part = [&](std::size_t part, Tally& tally) {
    if (tally.output == nullptr) {
      tally.output = std::make_unique<Output>(parquet, csv_writer ? &*csv_writer : nullptr, prompts_);
      tally.tests.resize(prompts_.size());
      tally.trained.resize(prompts_.size());
    }
    Scratch& scratch = tally.scratch;
    scratch.candidates = std::move(candidates_[part]);
    if (scratch.candidates.empty()) {
      group_part(part, scratch);
      find_candidates(scratch);
    }
    scratch.trained.assign(parts_.part(part).size(), 0);
    for (const Candidate& point : scratch.candidates) {
      const Held held = held_of(point);
      ++tally.counts.labels[point.label];
      ++tally.counts.splits[kTrain - held];
      if (held == kTest) ++tally.tests[point.prompt];
      if (held != kTrain) continue;
      tally.trained[point.prompt] = true;
      scratch.trained[point.image] = 1;
    }
    for (const Candidate& point : scratch.candidates) {
      const Held held = held_of(point);
      tally.leaking_images += held == kTest ? scratch.trained[point.image] : 0;
      tally.output->add(point, held);
    }
    parts_.forget(part);
  };
  const auto tallies = workspace::for_each_part<Tally>(context_, write_part, [](Tally& tally) {
    if (tally.output != nullptr) tally.output->flush();
  });
  parquet.finish();

  std::int64_t leaking_images = 0, leaking_prompts = 0;
  for (const auto& tally : tallies) {
    for (std::size_t i = 0; i < counts.labels.size(); ++i) {
      counts.labels[i] += tally->counts.labels[i];
      counts.splits[i] += tally->counts.splits[i];
    }
    leaking_images += tally->leaking_images;
  }
  for (std::size_t prompt = 0; prompt < prompts_.size(); ++prompt) {
    std::int64_t tests = 0;
    bool trained = false;
    for (const auto& tally : tallies) {
      if (tally->tests.empty()) continue;
      tests += tally->tests[prompt];
      trained = trained || tally->trained[prompt];
    }
    leaking_prompts += trained ? tests : 0;
  }
  if (counts.splits[2] == 0) return;
  counts.image_overlap = static_cast<double>(leaking_images) / static_cast<double>(counts.splits[2]);
  counts.prompt_overlap = static_cast<double>(leaking_prompts) / static_cast<double>(counts.splits[2]);
}

}  // namespace imagerank::labels
