// One epoch of each of the seed's heads on random vectors, batch 64, Adam at a constant rate, everything that `train`
// does in it included. The vectors are float16, as the cache has them.
//
// usage: train_heads [ROWS=76332] [DIM=2048] [EPOCHS=1] [THREADS=1] [FOLDER] [HEAD] [fp32|bf16]
//
// DIM is that of [image | text]. With a FOLDER the vectors are mapped from files in it, written if they are not there:
// for data larger than memory. A peer in PyTorch trains the same layers on a random [ROWS, DIM] matrix; quote the ratio
// from one run on one machine.
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "core/half.h"
#include "core/mapped_file.h"
#include "core/random.h"
#include "reward/trainer.h"

namespace {

using imagerank::reward::Examples;
using imagerank::reward::VectorTable;

/// Random float16 numbers. Uniform, not normal: only their number matters for the time.
std::vector<std::uint16_t> random_halves(std::size_t count, std::uint64_t seed) {
  imagerank::Random random(seed);
  std::vector<std::uint16_t> halves(count);
  for (std::uint16_t& value : halves) value = imagerank::half_from_float(static_cast<float>(random.uniform(-1.7, 1.7)));
  return halves;
}

VectorTable memory_table(std::size_t rows, std::size_t dim, std::uint64_t seed) {
  const auto halves = std::make_shared<std::vector<std::uint16_t>>(random_halves(rows * dim, seed));
  return {.dim = dim, .values = {}, .halves = *halves, .owner = halves};
}

VectorTable mapped_table(const std::filesystem::path& path, std::size_t rows, std::size_t dim, std::uint64_t seed) {
  if (!std::filesystem::exists(path)) {
    constexpr std::size_t kRowsAtOnce = 10000;
    std::ofstream out(path, std::ios::binary);
    for (std::size_t row = 0; row < rows; row += kRowsAtOnce) {
      const auto halves = random_halves(std::min(kRowsAtOnce, rows - row) * dim, seed + row);
      out.write(reinterpret_cast<const char*>(halves.data()), static_cast<std::streamsize>(2 * halves.size()));
    }
  }
  const auto file = std::make_shared<imagerank::MappedFile>(path);
  const auto* const first = reinterpret_cast<const std::uint16_t*>(file->bytes().data());
  return {.dim = dim, .values = {}, .halves = {first, rows * dim}, .owner = file};
}

Examples random_examples(std::uint32_t rows, std::size_t dim, const std::filesystem::path& folder) {
  Examples examples;
  examples.images = folder.empty() ? memory_table(rows, dim, 1) : mapped_table(folder / "images.f16", rows, dim, 1);
  examples.texts = folder.empty() ? memory_table(rows, dim, 2) : mapped_table(folder / "texts.f16", rows, dim, 2);
  imagerank::Random random(3);
  for (std::uint32_t i = 0; i < rows; ++i) {
    examples.points[0].push_back({i, i, static_cast<std::int32_t>(random.below(3))});
  }
  return examples;
}

}  // namespace

int main(int argc, char** argv) {
  const auto argument = [&](int index, int otherwise) { return argc > index ? std::atoi(argv[index]) : otherwise; };
  const auto rows = static_cast<std::uint32_t>(argument(1, 76332));
  const auto dim = static_cast<std::size_t>(argument(2, 2048)) / 2;
  const Examples examples = random_examples(rows, dim, argc > 5 ? argv[5] : "");
  const std::filesystem::path folder = std::filesystem::temp_directory_path() / "imagerank_train_heads";
  imagerank::RunContext context;
  context.threads = argument(4, 1);
  const std::pair<const char*, const char*> heads[] = {{"mlp", "mse"}, {"lstm", "ce"}, {"cnn", "ce"}};
  for (const auto& [head, loss] : heads) {
    if (argc > 6 && *argv[6] != '\0' && std::string(argv[6]) != head) continue;
    std::filesystem::remove_all(folder);
    imagerank::reward::TrainOptions options;
    options.head = head;
    options.loss = loss;
    options.epochs = argument(3, 1);
    options.optimizer = "adam";
    options.schedule = "constant";
    options.warm_up = 0.0;
    options.learning_rate = 1e-3;
    options.bfloat16 = argc > 7 && std::string(argv[7]) == "bf16";
    const std::clock_t started = std::clock();
    const auto report =
        imagerank::reward::train_reward(examples, options, {{"encoder", "random"}, {"model", ""}}, folder, context);
    const double cpu = static_cast<double>(std::clock() - started) / CLOCKS_PER_SEC;
    std::cout << fmt::format("{}: {:.2f} s/epoch ({} threads; with set-up {:.2f} CPU-s/epoch; loss {:.4f})\n", head,
                             report.record["seconds"].get<double>() / options.epochs, context.thread_count(),
                             cpu / options.epochs, report.record["epochs"].back()["loss"].get<double>())
              << std::flush;
  }
  std::filesystem::remove_all(folder);
}
