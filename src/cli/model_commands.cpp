#include "cli/model_commands.h"

#include <malloc.h>

#include <array>
#include <utility>

#include "cli/command_bench.h"
#include "cli/command_compare.h"
#include "cli/command_embed.h"
#include "cli/command_encode.h"
#include "cli/command_eval.h"
#include "cli/command_finetune.h"
#include "cli/command_mix.h"
#include "cli/command_models.h"
#include "cli/command_preprocess.h"
#include "cli/command_pretrain.h"
#include "cli/command_rank.h"
#include "cli/command_run.h"
#include "cli/command_score.h"
#include "cli/command_serve.h"
#include "cli/command_tokenize.h"
#include "cli/command_train.h"
#include "clip/models.h"

namespace imagerank::cli {
namespace {

/// Images come and go by the megabyte, and memory that was given back to the system is dear to get again: it would
/// take more time than a PNG's decoding.
void keep_freed_memory() {
  constexpr int kLargestBlock = 32 << 20, kSpare = 256 << 20;  // the first is the most that glibc takes
  mallopt(M_MMAP_THRESHOLD, kLargestBlock);
  mallopt(M_TRIM_THRESHOLD, kSpare);
}

/// The command, with libtorch and memory set up for it first.
template <AddCommand* kAdd>
std::function<int(Terminal&)> on_libtorch(CLI::App& command) {
  return [action = kAdd(command)](Terminal& terminal) {
    keep_freed_memory();
    if (terminal.options().threads > 0) clip::set_tower_threads(terminal.options().threads);
    if (const auto warning = clip::slow_blas_warning()) terminal.warn(*warning);
    return action(terminal);
  };
}

constexpr std::array<std::pair<std::string_view, AddCommand*>, 16> kModelCommands = {{
    {"encode", on_libtorch<add_encode>},
    {"pretrain", on_libtorch<add_pretrain>},
    {"finetune", on_libtorch<add_finetune>},
    {"train", on_libtorch<add_train>},
    {"mix", on_libtorch<add_mix>},
    {"eval", on_libtorch<add_eval>},
    {"compare", on_libtorch<add_compare>},
    {"rank", on_libtorch<add_rank>},
    {"score", on_libtorch<add_score>},
    {"bench", on_libtorch<add_bench>},
    {"serve", on_libtorch<add_serve>},
    {"tokenize", on_libtorch<add_tokenize>},
    {"preprocess", on_libtorch<add_preprocess>},
    {"embed", on_libtorch<add_embed>},
    {"models", on_libtorch<add_models>},
    {"run", on_libtorch<add_run>},
}};

}  // namespace

AddCommand* model_command(std::string_view name) noexcept {
  for (const auto& [candidate, add] : kModelCommands) {
    if (candidate == name) return add;
  }
  return nullptr;
}

ExportModel* model_export() noexcept { return run_export_onnx; }
ScoreForExport* export_scores() noexcept { return score_for_export; }

}  // namespace imagerank::cli
