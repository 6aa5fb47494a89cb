#include "cli/small_world.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <sstream>

#include "cli/commands.h"
#include "clip/model_config.h"
#include "clip/models.h"
#include "clip/tokenizer_files.h"
#include "core/atomic_file.h"
#include "core/hash.h"
#include "core/mapped_file.h"
#include "core/npy.h"
#include "core/random.h"
#include "core/safetensors.h"
#include "core/tar.h"
#include "images/decode.h"
#include "images/encode.h"
#include "support/test_support.h"
#include "workspace/database.h"

namespace imagerank::cli {
namespace {

bool is_temporary(const std::filesystem::path& path) {
  return std::ranges::any_of(path,
                             [](const auto& part) { return part.string().size() > 1 && part.string()[0] == '.'; });
}

std::vector<std::filesystem::path> files_below(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  std::error_code error;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder, error)) {
    if (entry.is_regular_file() && !is_temporary(entry.path().lexically_relative(folder)))
      files.push_back(entry.path());
  }
  std::ranges::sort(files);
  return files;
}

std::int64_t parquet_rows(const std::filesystem::path& path) {
  workspace::Database database;
  // Every value, not only the footer.
  database.execute(
      fmt::format("CREATE TABLE t AS SELECT * FROM read_parquet({})", workspace::sql_literal(path.string())));
  return database.query_integer("SELECT count(*) FROM t");
}

void open_whole(const std::filesystem::path& path) {
  const std::string extension = path.extension().string();
  if (extension == ".parquet") {
    parquet_rows(path);
  } else if (extension == ".npy") {
    const NpyFile array(path);
    const std::filesystem::path keys = std::filesystem::path(path).replace_extension(".parquet");
    // An array may be ahead of its keys after a crash between the two: the reader takes what the keys name.
    if (std::filesystem::exists(keys) && static_cast<std::size_t>(parquet_rows(keys)) > array.shape().at(0)) {
      throw std::runtime_error("fewer vectors than keys");
    }
  } else if (extension == ".safetensors") {
    const SafetensorsFile file(path);
  } else if (extension == ".json") {
    const auto parsed = nlohmann::json::parse(load_file(path));
    if (parsed.is_discarded()) throw std::runtime_error("not JSON");
  } else if (extension == ".png" || extension == ".jpg") {
    static_cast<void>(images::load_image(path));
  } else if (extension == ".tar") {
    const MappedFile file(path);
    TarReader reader(file.bytes(), path.string());
    while (const auto member = reader.next()) {
      if (member->name.ends_with(".png")) {
        static_cast<void>(images::decode_image(file.bytes().subspan(member->offset, member->size)));
      }
    }
  } else if (load_file(path).empty()) {
    throw std::runtime_error("an empty file");
  }
}

}  // namespace

LineRun run_line(const std::vector<std::string>& arguments) {
  std::vector<const char*> argv = {"imagerank"};
  for (const std::string& argument : arguments) argv.push_back(argument.c_str());
  std::ostringstream out;
  std::ostringstream err;
  LineRun run;
  run.code = run_command_line(static_cast<int>(argv.size()), argv.data(), out, err, {});
  run.out = out.str();
  run.err = err.str();
  return run;
}

std::string noisy_png(std::uint32_t seed, int side) {
  Random random(seed);
  images::Image image{side, side, {}};
  for (int i = 0; i < side * side * 3; ++i) image.pixels.push_back(static_cast<std::uint8_t>(random.below(256)));
  return images::encode_png(image);
}

void make_small_world(const std::filesystem::path& data, int prompts) {
  const auto workspace = workspace::Workspace::create(data);
  std::vector<workspace::Ranking> rankings;
  std::vector<workspace::Image> images;
  for (int prompt = 0; prompt < prompts; ++prompt) {
    workspace::Ranking ranking;
    ranking.ranking_id = fmt::format("r{:05}", prompt);
    ranking.dataset = "test";
    ranking.user_id = prompt % 2 == 0 ? "ann" : "bob";
    ranking.prompt = fmt::format("a picture of number {}", prompt);
    for (int candidate = 0; candidate < 4; ++candidate) {
      workspace::Image image;
      image.image_uid = fmt::format("i{:05}-{}", prompt, candidate);
      image.path = workspace::Workspace::image_path(image.image_uid, ".png");
      image.status = "ok";
      image.width = image.height = 16;
      const std::string bytes = noisy_png(static_cast<std::uint32_t>(prompt * 4 + candidate), 16);
      image.sha256 = sha256_hex(bytes);
      write_file_atomically(data / image.path, bytes, false);
      ranking.image_uids.push_back(image.image_uid);
      images.push_back(std::move(image));
    }
    if (prompt % 5 != 0) ranking.best_image_uid = ranking.image_uids[static_cast<std::size_t>(prompt % 4)];
    rankings.push_back(std::move(ranking));
  }
  workspace.write_rankings(rankings);
  workspace.write_images(images);
}

void make_tiny_model(const std::filesystem::path& folder) {
  const test::TemporaryFolder tokenizer;
  nlohmann::ordered_json vocabulary;
  for (const char* end : {"", "</w>"}) {
    for (const std::string& symbol : clip::byte_alphabet()) {
      const std::size_t id = vocabulary.size();
      vocabulary[symbol + end] = id;
    }
  }
  vocabulary["<|startoftext|>"] = 512;
  vocabulary["<|endoftext|>"] = 513;
  test::write_text(tokenizer / "vocab.json", vocabulary.dump());
  test::write_text(tokenizer / "merges.txt", "#version: 0.2\n");
  clip::write_random_model(clip::named_model_config("tiny"), folder, 1, tokenizer.path());
}

std::vector<std::string> broken_files(const std::filesystem::path& folder) {
  std::vector<std::string> broken;
  for (const auto& path : files_below(folder)) {
    try {
      open_whole(path);
    } catch (const std::exception& error) {
      broken.push_back(fmt::format("{}: {}", path.string(), error.what()));
    }
  }
  return broken;
}

std::vector<std::string> final_files(const std::filesystem::path& folder) {
  std::vector<std::string> files;
  for (const auto& path : files_below(folder)) {
    files.push_back(fmt::format("{} {}", path.lexically_relative(folder).string(), sha256_hex(load_file(path))));
  }
  std::ranges::sort(files);  // by text, which paths are not
  return files;
}

}  // namespace imagerank::cli
