#include "perturbations/perturb.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <functional>
#include <thread>
#include <utility>
#include <vector>

#include "core/fail.h"
#include "perturbations/attribute.h"
#include "perturbations/phrase.h"
#include "perturbations/prompt_words.h"
#include "perturbations/queries.h"
#include "perturbations/swap.h"
#include "workspace/database.h"

namespace imagerank::perturbations {
namespace {

constexpr std::int64_t kChunk = 1 << 15;  ///< prompts in memory as text at a time
constexpr std::size_t kMostPerPrompt = 100;

std::string_view mode_name(PerturbMode mode) { return mode == PerturbMode::kSwap ? "swap" : "attribute"; }

/// Calls work(i) for i in [0, count) on several threads.
void for_each_index(std::size_t count, int threads, const std::function<void(std::size_t)>& work) {
  constexpr std::size_t kGrain = 64;
  std::atomic<std::size_t> next = 0;
  const auto run = [&] {
    for (std::size_t first = next.fetch_add(kGrain); first < count; first = next.fetch_add(kGrain))
      for (std::size_t i = first; i < std::min(count, first + kGrain); ++i) work(i);
  };
  std::vector<std::jthread> workers;
  for (int i = 1; i < threads; ++i) workers.emplace_back(run);
  run();
}

/// One database and what the two modes share.
class Perturbing {
 public:
  Perturbing(const workspace::Workspace& workspace, const PerturbSettings& settings, const RunContext& context)
      : workspace_(workspace), settings_(settings), context_(context), database_(context.threads, workspace.root()) {}

  PerturbCounts run() {
    database_.execute("SET memory_limit = '2GB'");  // beyond that it spills into the workspace's folder
    read_prompts();
    database_.execute(
        "CREATE TABLE made (r INTEGER, place INTEGER, perturbed_prompt VARCHAR, kind VARCHAR, what_changed VARCHAR)");
    if (settings_.mode == PerturbMode::kSwap) {
      swap();
    } else {
      attribute();
    }
    context_.check_stop();
    count_rows();
    database_.write_parquet(queries::table(mode_name(settings_.mode)), workspace_.table_path("perturbed"));
    return std::move(counts_);
  }

 private:
  void read_prompts() {
    if (workspace_.has_table("ratings")) {
      workspace_.attach_or_empty(database_, "rankings");
    } else {
      workspace_.attach(database_, "rankings");
    }
    for (const char* table : {"ratings", "images", "perturbed"}) workspace_.attach_or_empty(database_, table);
    database_.execute(queries::prompt_texts());
    counts_.prompts = database_.query_integer("SELECT count(*) FROM prompt_text WHERE judged");
    if (counts_.prompts == 0) {
      fail(ErrorCode::kCorruptData, "{}: expected rankings or ratings, found empty tables", workspace_.root().string());
    }
    database_.execute(queries::unique_prompts());
    database_.execute(queries::shared_images());
    database_.execute(queries::right_prompts());
    skip("empty", counts_.prompts - database_.query_integer("SELECT count(*) FROM right_prompt"));
  }

  void skip(const std::string& reason, std::int64_t count) {
    if (count != 0) counts_.skipped[reason] += count;
  }

  /// Calls `use` with the first row's number and the columns of each chunk of a table that is numbered by `number`.
  void for_each_chunk(const char* stage, const char* columns, const char* table, const char* number, std::int64_t total,
                      const std::function<void(std::int64_t, const workspace::Table&)>& use) {
    for (std::int64_t first = 0; first < total; first += kChunk) {
      const std::int64_t end = std::min(first + kChunk, total);
      use(first, database_.query(fmt::format("SELECT {0} FROM {1} WHERE {2} >= {3} AND {2} < {4} ORDER BY {2}", columns,
                                             table, number, first, end)));
      context_.report({stage, static_cast<std::uint64_t>(end), static_cast<std::uint64_t>(total), ""});
      context_.check_stop();
    }
  }

  void swap() {
    PromptIndex index;
    std::vector<std::uint64_t> seeds;
    const std::int64_t total = database_.query_integer("SELECT count(*) FROM unique_prompt WHERE judged");
    for_each_chunk("read prompts", "norm", "unique_prompt", "id", total,
                   [&](std::int64_t, const workspace::Table& rows) {
                     for (const std::string& text : rows.columns[0].text) {
                       index.add(text);
                       seeds.push_back(text_hash(text) ^ settings_.seed);
                     }
                   });
    const workspace::Table shared = database_.query("SELECT id, image FROM shared ORDER BY id, image");
    std::vector<std::pair<std::uint32_t, std::uint32_t>> pairs(shared.row_count);
    for (std::size_t i = 0; i < pairs.size(); ++i) {
      pairs[i] = {static_cast<std::uint32_t>(shared.columns[0].integer[i]),
                  static_cast<std::uint32_t>(shared.columns[1].integer[i])};
    }
    index.set_shared_images(pairs);
    index.build(settings_.seed);
    choose_swaps(index, seeds);
    database_.execute(queries::swapped());
    count_short("no_prompt_at_this_distance");
  }

  void choose_swaps(const PromptIndex& index, const std::vector<std::uint64_t>& seeds) {
    database_.execute("CREATE TABLE chosen (id INTEGER, place INTEGER, other INTEGER, distance DOUBLE)");
    workspace::Database::Appender appender(database_, "chosen");
    constexpr auto kStep = static_cast<std::size_t>(kChunk);
    for (std::size_t first = 0; first < index.size(); first += kStep) {
      std::vector<std::vector<Swap>> chosen(std::min(kStep, index.size() - first));
      for_each_index(chosen.size(), context_.thread_count(), [&](std::size_t i) {
        chosen[i] = index.choose(static_cast<std::uint32_t>(first + i), settings_.per_prompt, settings_.distance,
                                 seeds[first + i]);
      });
      for (std::size_t i = 0; i < chosen.size(); ++i) {
        for (std::size_t place = 0; place < chosen[i].size(); ++place) {
          appender.append(static_cast<std::int32_t>(first + i));
          appender.append(static_cast<std::int32_t>(place));
          appender.append(static_cast<std::int32_t>(chosen[i][place].prompt));
          appender.append(chosen[i][place].distance);
          appender.end_row();
        }
      }
      context_.report({"choose prompts", first + chosen.size(), index.size(), ""});
      context_.check_stop();
    }
    appender.close();
  }

  void attribute() {
    workspace::Database::Appender appender(database_, "made");
    std::int64_t left_alone = 0;
    const std::int64_t total = database_.query_integer("SELECT count(*) FROM right_prompt");
    for_each_chunk("change prompts", "prompt, shares", "right_prompt", "r", total,
                   [&](std::int64_t first, const workspace::Table& rows) {
                     left_alone += append_wrong_prompts(appender, static_cast<std::int32_t>(first), rows);
                   });
    appender.close();
    database_.execute(queries::drop_right_ones());
    database_.execute(queries::drop_surplus(settings_.per_prompt));
    skip("sexual_content", left_alone);
    count_short("nothing_found", left_alone);
  }

  /// @return how many prompts were left alone for what they say.
  std::int64_t append_wrong_prompts(workspace::Database::Appender& appender, std::int32_t first,
                                    const workspace::Table& rows) const {
    // A wrong prompt may turn out to be right for an image of its prompt: a few to spare take its place.
    constexpr std::size_t kSpare = 4;
    const std::vector<std::string>& texts = rows.columns[0].text;
    std::vector<std::vector<WrongPrompt>> wrong(texts.size());
    for_each_index(texts.size(), context_.thread_count(), [&](std::size_t i) {
      const std::size_t spare = rows.columns[1].integer[i] != 0 ? kSpare : 0;
      wrong[i] = wrong_prompts(texts[i], settings_.per_prompt + spare, settings_.seed);
    });
    std::int64_t left_alone = 0;
    for (std::size_t i = 0; i < wrong.size(); ++i) {
      if (wrong[i].empty() && PromptWords(texts[i]).sexualizes_the_young()) ++left_alone;
      append(appender, first + static_cast<std::int32_t>(i), wrong[i]);
    }
    return left_alone;
  }

  static void append(workspace::Database::Appender& appender, std::int32_t r, const std::vector<WrongPrompt>& wrong) {
    for (std::size_t place = 0; place < wrong.size(); ++place) {
      appender.append(r);
      appender.append(static_cast<std::int32_t>(place));
      appender.append(wrong[place].text);
      appender.append(change_name(wrong[place].change));
      appender.append(wrong[place].what_changed);
      appender.end_row();
    }
  }

  /// Prompts with no row, and with fewer than were asked for.
  void count_short(const std::string& none, std::int64_t already_counted = 0) {
    const std::string rows = "(SELECT r, count(m.r) AS n FROM right_prompt LEFT JOIN made m USING (r) GROUP BY r)";
    skip(none, database_.query_integer("SELECT count(*) FROM " + rows + " WHERE n = 0") - already_counted);
    skip("fewer_than_asked", database_.query_integer(fmt::format("SELECT count(*) FROM {} WHERE n > 0 AND n < {}", rows,
                                                                 settings_.per_prompt)));
  }

  void count_rows() {
    const workspace::Table kinds = database_.query("SELECT kind, count(*) FROM made GROUP BY kind ORDER BY kind");
    for (std::size_t i = 0; i < kinds.row_count; ++i) {
      counts_.by_kind[kinds.columns[0].text[i]] = kinds.columns[1].integer[i];
      counts_.perturbed += kinds.columns[1].integer[i];
    }
    counts_.kept = database_.query_integer(
        fmt::format("SELECT count(*) FROM perturbed WHERE mode <> '{}'", mode_name(settings_.mode)));
  }

  const workspace::Workspace& workspace_;
  const PerturbSettings& settings_;
  const RunContext& context_;
  workspace::Database database_;
  PerturbCounts counts_;
};

double distance_of(std::string_view text, std::string_view whole) {
  double value = -1.0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !(value >= 0.0 && value <= 1.0)) {
    fail(ErrorCode::kInvalidArgument, "--distance: expected MIN..MAX of 0 to 1, such as 0.3..0.8, found '{}'", whole);
  }
  return value;
}

}  // namespace

PerturbMode perturb_mode_of(std::string_view name) {
  if (name == "swap") return PerturbMode::kSwap;
  if (name == "attribute") return PerturbMode::kAttribute;
  fail(ErrorCode::kInvalidArgument, "--mode: expected one of swap, attribute, found '{}'", name);
}

DistanceRange distance_range_of(std::string_view text) {
  const std::size_t dots = text.find("..");
  if (dots == std::string_view::npos) distance_of("", text);
  return {distance_of(text.substr(0, dots), text), distance_of(text.substr(dots + 2), text)};
}

void PerturbSettings::validate() const {
  if (per_prompt < 1 || per_prompt > kMostPerPrompt)
    fail(ErrorCode::kInvalidArgument, "--per-prompt: expected 1 to {}, found {}", kMostPerPrompt, per_prompt);
  if (!(distance.min >= 0.0 && distance.min <= distance.max && distance.max <= 1.0)) {
    fail(ErrorCode::kInvalidArgument, "--distance: expected MIN..MAX of 0 to 1, MIN not above MAX, found {}..{}",
         distance.min, distance.max);
  }
}

PerturbCounts perturb_prompts(const workspace::Workspace& workspace, const PerturbSettings& settings,
                              const RunContext& context) {
  settings.validate();
  return Perturbing(workspace, settings, context).run();
}

}  // namespace imagerank::perturbations
