#include "cli/command_preprocess.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <atomic>
#include <exception>
#include <limits>
#include <memory>
#include <optional>
#include <ostream>
#include <span>
#include <thread>

#include "clip/encoder.h"
#include "clip/models.h"
#include "core/atomic_file.h"
#include "core/item_failure.h"
#include "core/npy.h"
#include "images/decode.h"
#include "images/preprocess.h"

namespace imagerank::cli {
namespace {

/// Bytes of tensor held at once, whatever the number of images.
constexpr std::size_t kMaxBatchBytes = std::size_t{256} << 20;

/// `row` becomes the image's tensor, or NaN and a failure.
std::optional<ItemFailure> preprocess_one(const std::filesystem::path& path, const images::PreprocessOptions& options,
                                          std::span<float> row) {
  try {
    const std::vector<float> tensor = images::preprocess(images::load_image(path), options);
    std::ranges::copy(tensor, row.begin());
    return std::nullopt;
  } catch (const Error& error) {
    std::ranges::fill(row, std::numeric_limits<float>::quiet_NaN());
    return ItemFailure{path.string(), images::failure_reason(error.code()), error.what()};
  }
}

/// Images [0, paths.size()) into rows of `tensor`, on all threads.
/// @return one entry an image, in order.
std::vector<std::optional<ItemFailure>> preprocess_batch(std::span<const std::filesystem::path> paths,
                                                         const images::PreprocessOptions& options, int threads,
                                                         std::span<float> tensor) {
  const std::size_t row = tensor.size() / paths.size();
  std::vector<std::optional<ItemFailure>> failures(paths.size());
  std::atomic<std::size_t> next = 0;
  const auto work = [&] {
    for (std::size_t i = next++; i < paths.size(); i = next++)
      failures[i] = preprocess_one(paths[i], options, tensor.subspan(i * row, row));
  };
  const std::size_t workers = std::min(paths.size(), static_cast<std::size_t>(std::max(threads, 1)));
  std::vector<std::exception_ptr> escaped(workers);  // out of memory, say: ends the command, not the process
  {
    std::vector<std::jthread> pool;
    for (std::size_t worker = 0; worker < workers; ++worker) {
      pool.emplace_back([&, worker] {
        try {
          work();
        } catch (...) {
          escaped[worker] = std::current_exception();
        }
      });
    }
  }
  for (const std::exception_ptr& exception : escaped) {
    if (exception) std::rethrow_exception(exception);
  }
  return failures;
}

}  // namespace

int run_preprocess(const PreprocessOptions& options, Terminal& terminal) {
  images::PreprocessOptions settings = clip::load_preprocessing(clip::resolve_model(options.model));
  settings.exif_orientation |= options.exif_orientation;
  const RunContext context = terminal.context();
  const std::size_t count = options.images.size();
  const auto size = static_cast<std::size_t>(settings.crop_size);
  const std::size_t row = 3 * size * size;
  const std::size_t batch = std::clamp<std::size_t>(kMaxBatchBytes / (row * sizeof(float)), 1, 256);

  AtomicFile file(options.out);
  file.write(npy_header(NpyType::kFloat32, std::array{count, std::size_t{3}, size, size}));
  std::vector<ItemFailure> failed;
  std::vector<float> tensor;
  for (std::size_t begin = 0; begin < count; begin += batch) {
    context.check_stop();
    const auto paths = std::span(options.images).subspan(begin, std::min(batch, count - begin));
    tensor.resize(paths.size() * row);
    for (auto& failure : preprocess_batch(paths, settings, context.thread_count(), tensor)) {
      if (failure) failed.push_back(std::move(*failure));
    }
    file.write(std::as_bytes(std::span(tensor)));
    context.report({"preprocess images", begin + paths.size(), count, ""});
  }

  const bool all_failed = count != 0 && failed.size() == count;
  const bool written = !all_failed && (failed.empty() || !options.strict);
  if (written) file.commit();
  nlohmann::ordered_json object;
  object["images"] = count;
  object["size"] = size;
  object["failed"] = nlohmann::ordered_json::array();
  for (const ItemFailure& failure : failed)
    object["failed"].push_back({{"item", failure.item}, {"reason", failure.reason}, {"detail", failure.detail}});
  terminal.result(object, [&](std::ostream& out) {
    if (written)
      out << fmt::format("{}: float32 [{}, 3, {}, {}], {} failed\n", options.out.string(), count, size, size,
                         failed.size());
    for (const ItemFailure& failure : failed) out << fmt::format("{:<10}{}\n", failure.reason, failure.detail);
  });
  if (!written) {
    terminal.warn(fmt::format("{} of {} images failed, {} not written; the first: {}", failed.size(), count,
                              options.out.string(), failed.front().detail));
  }
  return written ? 0 : 1;
}

std::function<int(Terminal&)> add_preprocess(CLI::App& command) {
  const auto options = std::make_shared<PreprocessOptions>();
  command.add_option("--model", options->model, "builtin/sample, or a folder with preprocessor_config.json")
      ->required();
  command.add_option("images", options->images, "JPEG, PNG, WebP or GIF files")->required();
  command.add_option("--out", options->out, "The .npy file to write: float32 [N, 3, S, S]")->required();
  command.add_flag("--exif-orientation", options->exif_orientation, "Turn images as their EXIF says");
  command.add_flag("--strict", options->strict, "Fail, and write nothing, if any image fails");
  command.footer("Example:\n  imagerank preprocess --model clip-vit-base-patch32 a.jpg b.png --out pixels.npy");
  return [options](Terminal& terminal) { return run_preprocess(*options, terminal); };
}

}  // namespace imagerank::cli
