// One epoch of each of the seed's heads on random vectors, batch 64, everything that `train` does in it included.
// usage: train_heads [ROWS=76332] [DIM=2048] [EPOCHS=1] [THREADS=1]     DIM is that of [image | text].
// A peer in PyTorch trains the same layers on a random [ROWS, DIM] matrix; quote the ratio from one run on one machine.
#include <fmt/format.h>

#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <iostream>
#include <string>

#include "core/random.h"
#include "reward/trainer.h"

namespace {

using imagerank::reward::Examples;

Examples random_examples(std::uint32_t rows, std::size_t dim) {
  imagerank::Random random(1);
  Examples examples;
  for (auto* const table : {&examples.images, &examples.texts}) {
    table->dim = dim;
    table->values.resize(rows * dim);
    // Uniform, not normal: only their number matters for the time.
    for (float& value : table->values) value = static_cast<float>(random.uniform(-1.7, 1.7));
  }
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
  const Examples examples = random_examples(rows, dim);
  const std::filesystem::path folder = std::filesystem::temp_directory_path() / "imagerank_train_heads";
  imagerank::RunContext context;
  context.threads = argument(4, 1);
  const std::pair<const char*, const char*> heads[] = {{"mlp", "mse"}, {"lstm", "ce"}, {"cnn", "ce"}};
  for (const auto& [head, loss] : heads) {
    std::filesystem::remove_all(folder);
    imagerank::reward::TrainOptions options;
    options.head = head;
    options.loss = loss;
    options.epochs = argument(3, 1);
    const std::clock_t started = std::clock();
    const auto report =
        imagerank::reward::train_reward(examples, options, {{"encoder", "random"}, {"model", ""}}, folder, context);
    const double cpu = static_cast<double>(std::clock() - started) / CLOCKS_PER_SEC;
    std::cout << fmt::format("{}: {:.2f} s/epoch ({} threads; with set-up {:.2f} CPU-s/epoch)\n", head,
                             report.record["seconds"].get<double>() / options.epochs, context.thread_count(),
                             cpu / options.epochs)
              << std::flush;
  }
  std::filesystem::remove_all(folder);
}
