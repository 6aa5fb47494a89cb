#include "cli/commands.h"

#include <array>

#include "cli/command_compare.h"
#include "cli/command_embed.h"
#include "cli/command_encode.h"
#include "cli/command_eval.h"
#include "cli/command_fetch.h"
#include "cli/command_import.h"
#include "cli/command_label.h"
#include "cli/command_models.h"
#include "cli/command_preprocess.h"
#include "cli/command_pretrain.h"
#include "cli/command_rank.h"
#include "cli/command_run.h"
#include "cli/command_score.h"
#include "cli/command_simulate.h"
#include "cli/command_tokenize.h"
#include "cli/command_train.h"

namespace imagerank::cli {

std::span<const Command> commands() {
  static constexpr std::array kCommands = {
      Command{"simulate", "a made-up world: images, noisy annotators, and the truth", add_simulate},
      Command{"import", "public preference data into a workspace", add_import},
      Command{"label", "labelled points and pairs from rankings, split, with conflicts and leak counted", add_label},
      Command{"fetch", "images by their URLs: concurrent, retried, resumed", add_fetch},
      Command{"encode", "every unique image and prompt as a CLIP vector, once", add_encode},
      Command{"pretrain", "a CLIP model from scratch, on images and what they show", add_pretrain},
      Command{"train", "a reward: a head on the vectors, fitted to labels or to preference pairs", add_train},
      Command{"eval", "one reward beside its baselines: metrics, intervals, warnings, a report", add_eval},
      Command{"compare", "several rewards in one table, the best chosen on validation", add_compare},
      Command{"rank", "images for one prompt, best first", add_rank},
      Command{"score", "a table of images and prompts, or vectors, scored", add_score},
      Command{"tokenize", "texts as the token ids a text tower takes", add_tokenize},
      Command{"preprocess", "images as the tensor a vision tower takes, equal to Pillow's", add_preprocess},
      Command{"embed", "images, texts, pixels or tokens as vectors in a .npy file", add_embed},
      Command{"models", "the encoders there are; what one holds; one of random weights", add_models},
      Command{"run", "the stages of a TOML file in order, unchanged ones skipped", add_run},
  };
  return kCommands;
}

}  // namespace imagerank::cli
