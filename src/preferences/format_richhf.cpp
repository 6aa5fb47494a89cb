#include <array>

#include "core/fail.h"
#include "preferences/formats.h"
#include "preferences/tfrecord.h"

namespace imagerank::preferences {
namespace {

struct Aspect {
  std::string_view feature;
  std::string_view name;
};

// Higher is better in all of them, "artifact" too.
constexpr std::array kAspects = {Aspect{"aesthetics_score", "aesthetics"}, Aspect{"artifact_score", "artifact"},
                                 Aspect{"misalignment_score", "misalignment"}, Aspect{"overall_score", "overall"}};
constexpr std::array<std::string_view, 5> kWanted = {"filename", "aesthetics_score", "artifact_score",
                                                     "misalignment_score", "overall_score"};

/// "train/<uid>.png" -> "<uid>"
std::string uid_of(std::string name) {
  name.erase(0, name.rfind('/') + 1);
  const std::size_t dot = name.rfind('.');
  return name.substr(0, dot);
}

/// Uids are plain ASCII; anything else could not be stored as text, and is counted as unsafe by what stands for it.
std::string printable(std::string uid) {
  for (char& c : uid) {
    if (static_cast<unsigned char>(c) >= 0x80) c = '/';
  }
  return uid;
}

void stage_example(workspace::Database::Appender& appender, const Example& example, std::int64_t number) {
  const auto name = example.find("filename");
  if (name == example.end() || name->second.bytes.size() != 1)
    fail(ErrorCode::kCorruptData, "record {}: expected a feature 'filename', found none", number);
  const std::string uid = printable(uid_of(name->second.bytes[0]));
  for (const Aspect& aspect : kAspects) {
    const auto score = example.find(aspect.feature);
    if (score == example.end() || score->second.floats.size() != 1)
      fail(ErrorCode::kCorruptData, "record {}: expected a float '{}', found {}", number, aspect.feature,
           score == example.end() ? "none" : "another number of them");
    appender.append(uid);
    appender.append(aspect.name);
    appender.append(static_cast<double>(score->second.floats[0]));
    appender.end_row();
  }
}

}  // namespace

void read_richhf(Incoming& incoming, const std::filesystem::path& file, const ImportOptions& options) {
  static_cast<void>(options);
  workspace::Database& database = incoming.database();
  database.execute("CREATE OR REPLACE TABLE richhf_score (image_uid VARCHAR, aspect VARCHAR, score DOUBLE)");
  workspace::Database::Appender appender(database, "richhf_score");
  const std::int64_t records = for_each_tfrecord(file, [&](std::span<const std::byte> payload, std::int64_t number) {
    if (number % 256 == 0) incoming.context().check_stop();
    Example example;
    try {
      example = parse_example(payload, kWanted);
    } catch (const Error& error) {
      fail(ErrorCode::kCorruptData, "record {}: expected a tf.train.Example, found: {}", number, error.what());
    }
    stage_example(appender, example, number);
  });
  appender.close();
  if (records == 0) fail(ErrorCode::kCorruptData, "expected a TFRecord file, found an empty one");

  // The scores come without prompts: those of the same images in the workspace, of its rankings first.
  incoming.workspace().attach_or_empty(database, "rankings");
  incoming.workspace().attach_or_empty(database, "images");
  database.execute(R"(
    CREATE OR REPLACE TABLE richhf_prompt AS
    SELECT image_uid, coalesce(nullif(max(r.prompt), ''), max(i.prompt), '') AS prompt
    FROM (SELECT DISTINCT image_uid FROM richhf_score) s
    LEFT JOIN (SELECT unnest(image_uids) AS image_uid, prompt FROM rankings) r USING (image_uid)
    LEFT JOIN (SELECT image_uid, prompt FROM images) i USING (image_uid)
    GROUP BY image_uid)");
  incoming.add_ratings(
      "SELECT image_uid, prompt, '', aspect, score FROM richhf_score JOIN richhf_prompt USING (image_uid)");
  const std::int64_t unknown = database.query_integer("SELECT count(*) FROM richhf_prompt WHERE prompt = ''");
  if (unknown != 0)
    incoming.note(
        fmt::format("{}: {} of {} images have no prompt in the workspace; `imagerank import pickapic` of Pick-a-Pic "
                    "v1, then this again, gives them theirs",
                    file.string(), unknown, records));
  for (const char* feature : {"artifact_map", "misalignment_map", "prompt_misalignment_label"})
    incoming.ignore_column(feature);
}

}  // namespace imagerank::preferences
