#include "cli/commands.h"

#include <array>

#include "cli/command_coverage.h"
#include "cli/command_duplicates.h"
#include "cli/command_export.h"
#include "cli/command_fetch.h"
#include "cli/command_import.h"
#include "cli/command_info.h"
#include "cli/command_label.h"
#include "cli/command_perturb.h"
#include "cli/command_pull.h"
#include "cli/command_simulate.h"
#include "cli/model_commands.h"

namespace imagerank::cli {

std::span<const Command> commands() {
  static const std::array kCommands = {
      Command{"simulate", "a made-up world: images, noisy annotators, and the truth", add_simulate},
      Command{"import", "public preference data into a workspace", add_import},
      Command{"pull", "a public dataset from a hub, resumed and checked, then imported", add_pull},
      Command{"info", "what a workspace holds: ties, conflicts, biases, agreement, dead links", add_info},
      Command{"label", "labelled points and pairs from rankings, split, with conflicts and leak counted", add_label},
      Command{"perturb", "wrong prompts for each right one: another prompt, or one thing changed", add_perturb},
      Command{"fetch", "images by their URLs: concurrent, retried, resumed", add_fetch},
      Command{"coverage", "what dead links leave, and whether it is still a fair sample", add_coverage},
      Command{"duplicates", "images that are the same, or look it; how many stand in both train and test",
              add_duplicates},
      Command{"encode", "every unique image and prompt as a CLIP vector, once", model_command("encode")},
      Command{"pretrain", "a CLIP model from scratch, on images and what they show", model_command("pretrain")},
      Command{"finetune", "a CLIP model whose towers learn from preference pairs", model_command("finetune")},
      Command{"train", "a reward: a head on the vectors, fitted to labels or to preference pairs",
              model_command("train")},
      Command{"mix", "a reward that is a weighted sum of others, standardised", model_command("mix")},
      Command{"eval", "one reward beside its baselines: metrics, intervals, warnings, a report", model_command("eval")},
      Command{"compare", "several rewards in one table, the best chosen on validation", model_command("compare")},
      Command{"rank", "images for one prompt, best first", model_command("rank")},
      Command{"score", "a table of images and prompts, or vectors, scored", model_command("score")},
      Command{"bench", "a leaderboard of image generators by any rewards", model_command("bench")},
      Command{"serve", "rewards over HTTP, for training loops and pages", model_command("serve")},
      Command{"export", "tables, pairs, images and vectors as the files that other tools read", add_export},
      Command{"tokenize", "texts as the token ids a text tower takes", model_command("tokenize")},
      Command{"preprocess", "images as the tensor a vision tower takes, equal to Pillow's",
              model_command("preprocess")},
      Command{"embed", "images, texts, pixels or tokens as vectors in a .npy file", model_command("embed")},
      Command{"models", "the encoders there are; pulled ones; what one holds; one of random weights",
              model_command("models")},
      Command{"run", "the stages of a TOML file in order, unchanged ones skipped", model_command("run")},
  };
  return kCommands;
}

}  // namespace imagerank::cli
