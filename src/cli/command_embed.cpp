#include "cli/command_embed.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <optional>
#include <ostream>
#include <span>

#include "cli/encoder_options.h"
#include "clip/encoder.h"
#include "clip/models.h"
#include "core/atomic_file.h"
#include "core/fail.h"
#include "core/half.h"
#include "core/item_failure.h"
#include "core/npy.h"
#include "encoding/image_pipeline.h"

namespace imagerank::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kTextsPerCall = 1024;  // enough of like length to share passes
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/// Where vectors go, in order, and what went wrong on the way.
class Output {
 public:
  Output(const std::filesystem::path& path, std::size_t rows, std::size_t dim, bool normalize)
      : file_(path), rows_(rows), dim_(dim), normalize_(normalize) {
    file_.write(npy_header(NpyType::kFloat32, std::array{rows, dim}));
  }
  void add(std::span<float> vectors) {
    if (normalize_) {
      for (std::size_t i = 0; i < vectors.size(); i += dim_) normalize(vectors.subspan(i, dim_));
    }
    file_.write(std::as_bytes(std::span<const float>(vectors)));
  }
  void add_failure(ItemFailure failure) { failed_.push_back(std::move(failure)); }
  [[nodiscard]] const std::vector<ItemFailure>& failed() const noexcept { return failed_; }
  [[nodiscard]] std::size_t rows() const noexcept { return rows_; }
  [[nodiscard]] std::size_t dim() const noexcept { return dim_; }
  void commit() { file_.commit(); }

 private:
  static void normalize(std::span<float> vector) {
    double sum = 0.0;
    for (const float value : vector) sum += static_cast<double>(value) * static_cast<double>(value);
    if (sum == 0.0) return;
    const double scale = 1.0 / std::sqrt(sum);
    for (float& value : vector) value = static_cast<float>(static_cast<double>(value) * scale);
  }

  AtomicFile file_;
  std::size_t rows_;
  std::size_t dim_;
  bool normalize_;
  std::vector<ItemFailure> failed_;
};

bool is_image_name(const std::filesystem::path& path) {
  std::string extension = path.extension().string();
  std::ranges::transform(extension, extension.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  static constexpr std::array<std::string_view, 5> kExtensions = {".jpg", ".jpeg", ".png", ".webp", ".gif"};
  return std::ranges::find(kExtensions, extension) != kExtensions.end();
}

std::vector<std::string> read_lines(const std::filesystem::path& path) {
  const std::string text = load_file(path);
  std::vector<std::string> lines;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    std::string line = text.substr(begin, end - begin);
    if (line.ends_with('\r')) line.pop_back();
    lines.push_back(std::move(line));
    begin = end + 1;
  }
  return lines;
}

/// The files that --images names. Folders are searched below, in name order, by extension.
std::vector<std::filesystem::path> list_images(const std::vector<std::string>& arguments) {
  std::vector<std::filesystem::path> paths;
  for (const std::string& argument : arguments) {
    if (argument.starts_with('@')) {
      for (std::string& line : read_lines(argument.substr(1))) {
        if (!line.empty()) paths.emplace_back(std::move(line));
      }
    } else if (std::filesystem::is_directory(argument)) {
      std::vector<std::filesystem::path> found;
      for (const auto& entry : std::filesystem::recursive_directory_iterator(argument)) {
        if (entry.is_regular_file() && is_image_name(entry.path())) found.push_back(entry.path());
      }
      if (found.empty())
        fail(ErrorCode::kNotFound, "--images {}: expected .jpg, .jpeg, .png, .webp or .gif files, found none",
             argument);
      std::ranges::sort(found);
      paths.insert(paths.end(), found.begin(), found.end());
    } else {
      paths.emplace_back(argument);
    }
  }
  if (paths.empty()) fail(ErrorCode::kNotFound, "--images: expected at least one image, found an empty list");
  return paths;
}

/// A failed image is a row of NaN.
void embed_images(const std::vector<std::filesystem::path>& paths, const encoding::Tower& tower,
                  const RunContext& context, Output& output) {
  encoding::ImageList list;
  list.count = paths.size();
  list.source = [&](std::size_t i) { return encoding::ImageSource{paths[i].string(), paths[i]}; };
  std::vector<float> row(tower.dim);
  encoding::encode_images(tower, list, context, [&](encoding::ImageResult&& result) {
    if (result.failure) {
      std::ranges::fill(row, kNan);
      output.add_failure(std::move(*result.failure));
    } else {
      std::ranges::copy(result.vector, row.begin());
    }
    output.add(row);
    context.report({"embed images", result.index + 1, paths.size(), ""});
  });
}

/// One text a line, or, in .jsonl, one object with "text" a line; nullopt where a line has none.
std::vector<std::optional<std::string>> read_texts(const std::filesystem::path& path) {
  std::vector<std::optional<std::string>> texts;
  const bool json_lines = path.extension() == ".jsonl";
  for (std::string& line : read_lines(path)) {
    if (!json_lines) {
      texts.emplace_back(std::move(line));
      continue;
    }
    const nlohmann::json object = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
    const bool good = object.is_object() && object.contains("text") && object["text"].is_string();
    texts.push_back(good ? std::optional(object["text"].get<std::string>()) : std::nullopt);
  }
  if (texts.empty()) fail(ErrorCode::kNotFound, "{}: expected a text a line, found an empty file", path.string());
  return texts;
}

/// @return how many texts did not fit the context.
std::size_t embed_texts(const std::vector<std::optional<std::string>>& texts, const std::filesystem::path& path,
                        const clip::Encoder& encoder, const RunContext& context, Output& output) {
  std::size_t truncated = 0;
  for (std::size_t begin = 0; begin < texts.size(); begin += kTextsPerCall) {
    context.check_stop();
    const std::size_t count = std::min(kTextsPerCall, texts.size() - begin);
    std::vector<std::string> good;
    for (std::size_t i = begin; i < begin + count; ++i) {
      if (texts[i]) good.push_back(*texts[i]);
    }
    const clip::TextEmbeddings embeddings = encoder.embed_texts(good);
    truncated += static_cast<std::size_t>(std::ranges::count(embeddings.truncated, true));
    std::vector<float> vectors(count * encoder.dim(), kNan);
    auto source = embeddings.values.begin();
    for (std::size_t i = 0; i < count; ++i) {
      if (texts[begin + i]) {
        std::copy_n(source, encoder.dim(), vectors.begin() + static_cast<std::ptrdiff_t>(i * encoder.dim()));
        source += static_cast<std::ptrdiff_t>(encoder.dim());
      } else {
        const std::string item = fmt::format("{}:{}", path.string(), begin + i + 1);
        output.add_failure({item, "corrupt", item + ": expected a JSON object with a string \"text\""});
      }
    }
    output.add(vectors);
    context.report({"embed texts", begin + count, texts.size(), ""});
  }
  return truncated;
}

/// Rows [first, first + count) of a floating array, without converting the whole of it.
std::vector<float> read_rows(const NpyFile& file, std::size_t first, std::size_t count) {
  const std::size_t row = file.element_count() / file.shape()[0];
  std::vector<float> values(count * row);
  const auto convert = [&]<typename T>(T, auto to_float) {
    const std::byte* source = file.bytes().data() + first * row * sizeof(T);
    for (std::size_t i = 0; i < values.size(); ++i) {
      T element;
      std::memcpy(&element, source + i * sizeof(T), sizeof(T));
      values[i] = to_float(element);
    }
  };
  switch (file.type()) {
    case NpyType::kFloat32:
      convert(float{}, [](float value) { return value; });
      break;
    case NpyType::kFloat64:
      convert(double{}, [](double value) { return static_cast<float>(value); });
      break;
    case NpyType::kFloat16:
      convert(std::uint16_t{}, float_from_half);
      break;
    case NpyType::kInt32:
    case NpyType::kInt64:
      fail(ErrorCode::kCorruptData, "expected floats, found integers");
  }
  return values;
}

void check_pixels(const NpyFile& file, const std::filesystem::path& path, std::size_t size) {
  const std::vector<std::size_t>& shape = file.shape();
  if (shape.size() != 4 || shape[0] == 0 || shape[1] != 3 || shape[2] != size || shape[3] != size) {
    fail(ErrorCode::kCorruptData, "{}: expected floats [N, 3, {}, {}], found [{}]", path.string(), size, size,
         fmt::join(shape, ", "));
  }
  if (file.type() == NpyType::kInt32 || file.type() == NpyType::kInt64) {
    fail(ErrorCode::kCorruptData, "{}: expected floats [N, 3, {}, {}], found integers", path.string(), size, size);
  }
}

void embed_pixels(const NpyFile& file, const clip::Encoder& encoder, std::size_t batch_size, const RunContext& context,
                  Output& output) {
  const std::size_t rows = file.shape()[0], dim = encoder.dim();
  if (batch_size == 0) batch_size = 4 * encoder.group_size();  // turns for several threads
  for (std::size_t begin = 0; begin < rows; begin += batch_size) {
    context.check_stop();
    const std::size_t count = std::min(batch_size, rows - begin);
    const std::vector<float> pixels = read_rows(file, begin, count);
    std::vector<float> vectors = encoder.embed_pixels(pixels, count);
    const std::size_t row = pixels.size() / count;
    for (std::size_t i = 0; i < count; ++i) {
      const auto values = std::span(pixels).subspan(i * row, row);
      if (std::ranges::all_of(values, [](float value) { return std::isfinite(value); })) continue;
      std::fill_n(vectors.begin() + static_cast<std::ptrdiff_t>(i * dim), dim, kNan);
      output.add_failure({fmt::format("row {}", begin + i), "not_finite",
                          fmt::format("row {}: expected finite pixels, found NaN or infinity", begin + i)});
    }
    output.add(vectors);
    context.report({"embed pixels", begin + count, rows, ""});
  }
}

void embed_tokens(const std::vector<std::int64_t>& tokens, std::size_t rows, const clip::Encoder& encoder,
                  const RunContext& context, Output& output) {
  const std::size_t length = tokens.size() / rows;
  for (std::size_t begin = 0; begin < rows; begin += kTextsPerCall) {
    context.check_stop();
    const std::size_t count = std::min(kTextsPerCall, rows - begin);
    const auto part = std::span(tokens).subspan(begin * length, count * length);
    std::vector<float> vectors;
    try {
      vectors = encoder.embed_tokens(part, count);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kInvalidArgument) throw;
      // Some row is wrong: one by one, to find which, and to keep the others.
      for (std::size_t i = 0; i < count; ++i) {
        std::vector<float> vector(encoder.dim(), kNan);
        try {
          vector = encoder.embed_tokens(part.subspan(i * length, length), 1);
        } catch (const Error& row_error) {
          if (row_error.code() != ErrorCode::kInvalidArgument) throw;
          const std::string item = fmt::format("row {}", begin + i);
          output.add_failure({item, "corrupt", item + " of " + row_error.what()});
        }
        vectors.insert(vectors.end(), vector.begin(), vector.end());
      }
    }
    output.add(vectors);
    context.report({"embed tokens", begin + count, rows, ""});
  }
}

clip::Encoder load_encoder(const EmbedOptions& options, Terminal& terminal) {
  clip::EncoderOptions settings;
  settings.precision = clip::parse_precision(options.precision);
  settings.device = device_of(options.device);
  settings.tokenizer_dir = options.tokenizer;
  settings.need.images = !options.images.empty() || !options.pixels.empty();
  settings.need.texts = !settings.need.images;
  settings.need_tokenizer = !options.texts.empty();
  settings.allow_untrained = true;
  if (options.text_cleaning == "openai") {
    settings.text_cleaning = clip::TextCleaning::kOpenAi;
  } else if (options.text_cleaning != "huggingface") {
    fail(ErrorCode::kInvalidArgument, "--text-cleaning: expected huggingface or openai, found '{}'",
         options.text_cleaning);
  }
  clip::Encoder encoder = clip::Encoder::load(options.model, settings);
  if (encoder.untrained() && !options.allow_untrained) {
    terminal.note(
        fmt::format("{}: random weights, never trained: these vectors mean nothing", encoder.folder().string()));
  }
  return encoder;
}

void check_options(const EmbedOptions& options) {
  const int inputs = (options.images.empty() ? 0 : 1) + (options.texts.empty() ? 0 : 1) +
                     (options.pixels.empty() ? 0 : 1) + (options.tokens.empty() ? 0 : 1);
  if (inputs != 1)
    fail(ErrorCode::kInvalidArgument, "expected one of --images, --texts, --pixels and --tokens, found {}", inputs);
  if (options.batch > 4096) fail(ErrorCode::kInvalidArgument, "--batch: expected 1 to 4096, found {}", options.batch);
}

int finish(const EmbedOptions& options, const clip::Encoder& encoder, Output& output, double seconds,
           std::size_t truncated, Terminal& terminal) {
  const std::vector<ItemFailure>& failed = output.failed();
  const bool written = failed.size() < output.rows() && (failed.empty() || !options.strict);
  if (written) output.commit();
  nlohmann::ordered_json object = {{"encoder", encoder.name()},
                                   {"rows", output.rows()},
                                   {"dim", output.dim()},
                                   {"seconds", seconds},
                                   {"rows_per_s", static_cast<double>(output.rows()) / std::max(seconds, 1e-9)},
                                   {"truncated", truncated},
                                   {"untrained", encoder.untrained()},
                                   {"failed", nlohmann::ordered_json::array()}};
  for (const ItemFailure& failure : failed) {
    object["failed"].push_back({{"item", failure.item}, {"reason", failure.reason}, {"detail", failure.detail}});
  }
  terminal.result(object, [&](std::ostream& out) {
    if (written) {
      out << fmt::format("{}: float32 [{}, {}], {:.1f} rows a second, {} failed\n", options.out.string(), output.rows(),
                         output.dim(), static_cast<double>(output.rows()) / std::max(seconds, 1e-9), failed.size());
    }
    if (truncated != 0)
      out << fmt::format("{} texts were longer than {} tokens and cut\n", truncated, encoder.context_length());
    for (const ItemFailure& failure : failed) out << fmt::format("{:<10}{}\n", failure.reason, failure.detail);
  });
  if (!written) {
    terminal.warn(fmt::format("{} of {} inputs failed, {} not written; the first: {}", failed.size(), output.rows(),
                              options.out.string(), failed.front().detail));
  }
  return written ? 0 : 1;
}

}  // namespace

int run_embed(const EmbedOptions& options, Terminal& terminal) {
  check_options(options);
  const RunContext context = terminal.context();
  clip::set_tower_threads(context.thread_count());
  // Inputs before the model: a wrong path is told at once.
  std::vector<std::filesystem::path> images;
  std::vector<std::optional<std::string>> texts;
  std::optional<NpyFile> array;
  std::vector<std::int64_t> tokens;
  std::size_t rows = 0;
  if (!options.images.empty()) {
    images = list_images(options.images);
    rows = images.size();
  } else if (!options.texts.empty()) {
    texts = read_texts(options.texts);
    rows = texts.size();
  } else {
    const std::filesystem::path& path = options.pixels.empty() ? options.tokens : options.pixels;
    array.emplace(path);
    if (!options.tokens.empty()) {
      if (array->shape().size() != 2 || array->element_count() == 0) {
        fail(ErrorCode::kCorruptData, "{}: expected integers [N, T], found [{}]", path.string(),
             fmt::join(array->shape(), ", "));
      }
      tokens = array->to_int64();
    }
    rows = array->shape().empty() ? 0 : array->shape()[0];
  }
  const clip::Encoder encoder = load_encoder(options, terminal);
  if (!options.pixels.empty()) check_pixels(*array, options.pixels, encoder.image_size());

  Output output(options.out, rows, encoder.dim(), options.normalize);
  std::size_t truncated = 0;
  const Clock::time_point start = Clock::now();
  if (!images.empty()) {
    encoding::Tower tower = encoding::vision_tower(encoder, options.batch);
    tower.preprocessing.exif_orientation |= options.exif_orientation;
    embed_images(images, tower, context, output);
  } else if (!texts.empty()) {
    truncated = embed_texts(texts, options.texts, encoder, context, output);
  } else if (!options.pixels.empty()) {
    embed_pixels(*array, encoder, options.batch, context, output);
  } else {
    embed_tokens(tokens, rows, encoder, context, output);
  }
  return finish(options, encoder, output, seconds_since(start), truncated, terminal);
}

std::function<int(Terminal&)> add_embed(CLI::App& command) {
  const auto options = std::make_shared<EmbedOptions>();
  command.add_option("--model", options->model, "builtin/sample, a pulled hub id or open_clip pair, or a folder")
      ->required();
  auto* images = command.add_option("--images", options->images, "Image files, folders, or @LIST with a path a line");
  command.add_flag("--exif-orientation", options->exif_orientation, "Turn images as their EXIF says")->needs(images);
  command.add_option("--texts", options->texts, "A text a line; .jsonl: {\"text\"} a line");
  command.add_option("--pixels", options->pixels, ".npy of floats [N, 3, S, S], as `preprocess` writes them");
  command.add_option("--tokens", options->tokens, ".npy of integers [N, T], each row with its end of text");
  command.add_option("--out", options->out, "The .npy file to write: float32 [N, D]")->required();
  command.add_option("--precision", options->precision, "fp32 | bf16 | int8")->capture_default_str();
  command.add_option("--device", options->device, "cpu | cuda")->capture_default_str();
  command.add_flag("--normalize", options->normalize, "Divide each vector by its length");
  command.add_option("--tokenizer", options->tokenizer, "Folder of the tokenizer, if not the model's");
  command
      .add_option("--text-cleaning", options->text_cleaning,
                  "huggingface | openai: html unescape and ftfy's repairs first")
      ->capture_default_str();
  command.add_option("--batch", options->batch, "Images a tower call; if not given, what suits the encoder")
      ->check(CLI::Range(1, 4096));
  command.add_flag("--strict", options->strict, "Fail, and write nothing, if any input fails");
  command.add_flag("--allow-untrained", options->allow_untrained, "Say nothing about random weights");
  command.footer(
      "Example:\n  imagerank embed --model builtin/sample --images photos --out image.npy\n"
      "  imagerank embed --model builtin/sample --texts prompts.txt --out text.npy --normalize");
  return [options](Terminal& terminal) { return run_embed(*options, terminal); };
}

}  // namespace imagerank::cli
