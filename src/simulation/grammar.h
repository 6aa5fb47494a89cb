#pragma once

#include <string>
#include <vector>

#include "core/random.h"
#include "simulation/quality.h"
#include "simulation/scene.h"

namespace imagerank::simulation {

enum class Style { kSentence, kTags, kEmoji, kFrench, kChinese, kEmpty };

/// Which attributes of a group the words tell; its shape always is.
struct GroupMention {
  bool colour = false;
  bool count = false;
  bool size = false;
  bool place = false;
};

/// A text and what it says: `scene` where `mentions` (parallel to its groups) and `mentions_background` allow.
/// An empty prompt has a scene without groups.
struct Prompt {
  std::string text;
  Style style = Style::kEmpty;
  Scene scene;
  std::vector<GroupMention> mentions;
  bool mentions_background = false;
};

/// How talkative a writer is: probabilities of mentioning an attribute, and of tails such as "digital art, 8k".
struct GrammarOptions {
  double colour = 0.94;
  double count = 0.9;
  double size = 0.25;
  double place = 0.35;
  double background = 0.65;
  double decoration = 0.3;
  double capital = 0.2;      ///< of a capital at the start of an English text
  double not_ascii = 0.045;  ///< share of emoji, French and Chinese together
};

/// What captions of pictures use: nearly everything is said, nothing else is.
[[nodiscard]] GrammarOptions caption_grammar() noexcept;

/// Words for a scene, of varied length, order and choice. Never empty.
[[nodiscard]] Prompt write_prompt(const Scene& scene, const GrammarOptions& options, Random& random);
/// The same in a style of the caller's choice.
[[nodiscard]] Prompt write_prompt(const Scene& scene, Style style, const GrammarOptions& options, Random& random);

/// How well a picture of `scene` fits a prompt, 0..1: the weighted share of what is mentioned that is there, under the
/// best assignment of groups to groups; a count off by one earns half, each group too many costs 0.1.
/// A prompt that says nothing fits everything half.
[[nodiscard]] double match(const Prompt& prompt, const Scene& scene);

/// English words for a picture's quality, in front of or behind a caption: "a blurry ", ", very grainy".
struct QualityWords {
  std::string before;
  std::string after;
};
[[nodiscard]] QualityWords describe_quality(const Quality& quality, Random& random);

/// An exact caption in English, French or Chinese: nearly every attribute, and in English often the quality.
[[nodiscard]] std::string write_caption(const Scene& scene, const Quality& quality, Random& random);

}  // namespace imagerank::simulation
