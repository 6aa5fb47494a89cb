#include "simulation/grammar.h"

#include <array>
#include <string_view>

#include "simulation/vocabulary.h"

namespace imagerank::simulation {
namespace {

std::string_view pick(std::span<const std::string_view> words, Random& random) {
  // The plainest word half of the time: real vocabularies are skewed too.
  return random.chance(0.5) ? words.front() : words[random.below(words.size())];
}

/// Joins non-empty parts with spaces.
void append(std::string& text, std::string_view part) {
  if (part.empty()) return;
  if (!text.empty()) text += ' ';
  text += part;
}

GroupMention draw_mention(const Group& group, const GrammarOptions& options, Random& random) {
  GroupMention mention;
  mention.colour = random.chance(options.colour);
  // One is always told by the singular.
  mention.count = group.count == 1 || random.chance(options.count);
  mention.size = random.chance(options.size);
  mention.place = random.chance(options.place);
  return mention;
}

std::string english_noun_phrase(const Group& group, const GroupMention& mention, bool article, Random& random) {
  std::string adjectives;
  if (mention.size) append(adjectives, pick(english_adjectives(group.size), random));
  if (mention.colour) append(adjectives, pick(english_adjectives(group.colour), random));
  const auto nouns = english_nouns(group.shape);
  const Noun& noun = random.chance(0.6) ? nouns.front() : nouns[random.below(nouns.size())];
  append(adjectives, group.count == 1 ? noun.singular : noun.plural);
  std::string text;
  if (group.count > 1) {
    append(text,
           mention.count ? pick(english_numbers(group.count), random) : (random.chance(0.5) ? "some" : "several"));
  } else if (article) {
    const bool vowel = std::string_view("aeiou").find(adjectives.front()) != std::string_view::npos;
    append(text, random.chance(0.12) ? "one" : vowel ? "an" : "a");
  }
  append(text, adjectives);
  return text;
}

/// @param place_first  whether the place may stand in front, which reads badly behind "a picture of".
std::string english_group(const Group& group, const GroupMention& mention, bool place_first, Random& random) {
  std::string noun_phrase = english_noun_phrase(group, mention, true, random);
  if (!mention.place) return noun_phrase;
  const std::string place(pick(english_phrases(group.place), random));
  return place_first && random.chance(0.35) ? place + " " + noun_phrase : noun_phrase + " " + place;
}

std::string english_groups(const Prompt& prompt, bool place_first, Random& random) {
  constexpr std::array<std::string_view, 4> kJoints = {" and ", ", ", " with ", " next to "};
  std::string text;
  for (std::size_t i = 0; i < prompt.scene.groups.size(); ++i) {
    if (i > 0) {
      const bool last = i + 1 == prompt.scene.groups.size();
      text += last ? kJoints[random.below(kJoints.size())] : std::string_view(", ");
    }
    text += english_group(prompt.scene.groups[i], prompt.mentions[i], place_first, random);
  }
  return text;
}

std::string english_sentence(const Prompt& prompt, Random& random) {
  constexpr std::array<std::string_view, 8> kOpenings = {
      "a picture of ", "an image of ", "a photo of ", "a drawing of ", "I want ", "imagine ", "I see ", "draw "};
  const std::string opening(random.chance(0.4) ? kOpenings[random.below(kOpenings.size())] : std::string_view());
  const std::string groups = english_groups(prompt, opening.empty(), random);
  if (!prompt.mentions_background) return opening + groups;
  const std::string background(pick(english_phrases(prompt.scene.background), random));
  if (opening.empty() && random.chance(0.35)) return background + ", " + groups;
  return opening + groups + (random.chance(0.7) ? " " : ", ") + background;
}

std::string english_tags(const Prompt& prompt, Random& random) {
  std::vector<std::string> tags;
  for (std::size_t i = 0; i < prompt.scene.groups.size(); ++i) {
    const GroupMention& mention = prompt.mentions[i];
    std::string tag = english_noun_phrase(prompt.scene.groups[i], mention, false, random);
    if (mention.place) append(tag, pick(english_phrases(prompt.scene.groups[i].place), random));
    tags.push_back(std::move(tag));
  }
  if (prompt.mentions_background) {
    const auto at = tags.begin() + static_cast<std::ptrdiff_t>(random.below(tags.size() + 1));
    tags.insert(at, std::string(pick(english_phrases(prompt.scene.background), random)));
  }
  std::string text;
  for (const std::string& tag : tags) text += (text.empty() ? "" : ", ") + tag;
  return text;
}

std::string with_emoji(std::string text, const Prompt& prompt, Random& random) {
  constexpr std::array<std::string_view, 4> kOrnaments = {"✨", "🎨", "🖼️", "🎀"};
  const std::string ornament(kOrnaments[random.below(kOrnaments.size())]);
  if (prompt.mentions_background) append(text, emoji(prompt.scene.background));
  return random.chance(0.5) ? ornament + " " + text : text + " " + ornament + ornament;
}

std::string_view agree(const FrenchAdjective& adjective, bool feminine, bool plural) noexcept {
  if (plural) return feminine ? adjective.feminine_plural : adjective.masculine_plural;
  return feminine ? adjective.feminine : adjective.masculine;
}

std::string french_group(const Group& group, const GroupMention& mention) {
  constexpr std::array<std::string_view, kMaxObjects> kNumbers = {"", "deux", "trois", "quatre"};
  const FrenchNoun& noun = french_noun(group.shape);
  const bool plural = group.count > 1;
  std::string text;
  if (!plural) {
    append(text, noun.feminine ? "une" : "un");
  } else {
    append(text, mention.count ? kNumbers[static_cast<std::size_t>(group.count - 1)] : "quelques");
  }
  if (mention.size) append(text, agree(french_adjective(group.size), noun.feminine, plural));
  append(text, plural ? noun.plural : noun.singular);
  if (mention.colour) append(text, agree(french_adjective(group.colour), noun.feminine, plural));
  if (mention.place) append(text, french_phrase(group.place));
  return text;
}

std::string french_sentence(const Prompt& prompt, Random& random) {
  // Accents in every sentence, whatever the nouns.
  std::string text = random.chance(0.5) ? "un tableau très coloré : " : "une image créée à la main : ";
  for (std::size_t i = 0; i < prompt.scene.groups.size(); ++i) {
    if (i > 0) text += i + 1 == prompt.scene.groups.size() ? " et " : ", ";
    text += french_group(prompt.scene.groups[i], prompt.mentions[i]);
  }
  if (prompt.mentions_background) append(text, french_phrase(prompt.scene.background));
  return text;
}

std::string chinese_sentence(const Prompt& prompt, Random& random) {
  std::string text;
  if (prompt.mentions_background) text += chinese_phrase(prompt.scene.background);
  for (std::size_t i = 0; i < prompt.scene.groups.size(); ++i) {
    const Group& group = prompt.scene.groups[i];
    const GroupMention& mention = prompt.mentions[i];
    if (!text.empty()) text += i == 0 ? "" : "，";
    if (mention.place) text += chinese_phrase(group.place);
    if (mention.place || (i == 0 && prompt.mentions_background)) text += "有";
    text += mention.count ? chinese_number(group.count) : std::string_view("几个");
    if (mention.size) text += chinese_adjective(group.size);
    if (mention.colour) text += chinese_adjective(group.colour);
    text += chinese_noun(group.shape);
  }
  return random.chance(0.3) ? "一张图片：" + text : text;
}

/// ", digital art, 8k": one to three, rarely a whole litany as people paste it. Says nothing about the scene.
std::string decoration(Random& random) {
  constexpr std::array<std::string_view, 16> kTails = {
      "digital art", "flat illustration", "8k",        "highly detailed",   "trending on artstation", "vector art",
      "minimalist",  "studio lighting",   "cartoon",   "award winning",     "poster design",          "children's book",
      "masterpiece", "concept art",       "paper cut", "by a famous artist"};
  const std::size_t count = random.chance(0.04) ? 8 + random.below(20) : 1 + random.below(3);
  std::string text;
  for (std::size_t i = 0; i < count; ++i) text.append(", ").append(kTails[random.below(kTails.size())]);
  return text;
}

Style draw_style(const GrammarOptions& options, Random& random) {
  const double u = random.uniform();
  if (u < options.not_ascii * 0.35) return Style::kEmoji;
  if (u < options.not_ascii * 0.6) return Style::kFrench;
  if (u < options.not_ascii) return Style::kChinese;
  return random.chance(0.2) ? Style::kTags : Style::kSentence;
}

std::string put_into_words(const Prompt& prompt, Random& random) {
  switch (prompt.style) {
    case Style::kSentence:
      return english_sentence(prompt, random);
    case Style::kTags:
      return english_tags(prompt, random);
    case Style::kEmoji:
      return with_emoji(english_tags(prompt, random), prompt, random);
    case Style::kFrench:
      return french_sentence(prompt, random);
    case Style::kChinese:
      return chinese_sentence(prompt, random);
    case Style::kEmpty:
      break;
  }
  return {};
}

}  // namespace

GrammarOptions caption_grammar() noexcept {
  GrammarOptions options;
  options.colour = 0.97;
  options.count = 0.96;
  options.size = 0.55;
  options.place = 0.65;
  options.background = 0.9;
  options.decoration = 0.0;
  options.capital = 0.0;
  return options;
}

Prompt write_prompt(const Scene& scene, const GrammarOptions& options, Random& random) {
  return write_prompt(scene, draw_style(options, random), options, random);
}

Prompt write_prompt(const Scene& scene, Style style, const GrammarOptions& options, Random& random) {
  Prompt prompt;
  prompt.style = style;
  if (style == Style::kEmpty) return prompt;
  prompt.scene = scene;
  random.shuffle(prompt.scene.groups);
  for (const Group& group : prompt.scene.groups) prompt.mentions.push_back(draw_mention(group, options, random));
  prompt.mentions_background = random.chance(options.background);
  prompt.text = put_into_words(prompt, random);
  const bool english = style == Style::kSentence || style == Style::kTags;
  if (english && random.chance(options.decoration)) prompt.text += decoration(random);
  if (english && random.chance(options.capital))
    prompt.text.front() = static_cast<char>(std::toupper(prompt.text.front()));
  if (style == Style::kSentence && options.decoration > 0.0 && random.chance(0.1)) prompt.text += '.';
  return prompt;
}

}  // namespace imagerank::simulation
