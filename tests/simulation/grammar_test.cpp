#include "simulation/grammar.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <set>
#include <string>

#include "simulation/vocabulary.h"

namespace imagerank::simulation {
namespace {

std::string lower(std::string text) {
  for (char& letter : text) letter = static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
  return text;
}

bool is_letter(char letter) { return std::isalnum(static_cast<unsigned char>(letter)) != 0; }

/// Whole words only: "ring" is not in "string".
bool has_words(const std::string& text, std::string_view words) {
  for (std::size_t at = text.find(words); at != std::string::npos; at = text.find(words, at + 1)) {
    const std::size_t end = at + words.size();
    if ((at == 0 || !is_letter(text[at - 1])) && (end == text.size() || !is_letter(text[end]))) return true;
  }
  return false;
}

template <typename Words>
bool has_any(const std::string& text, const Words& words) {
  return std::ranges::any_of(words, [&](std::string_view word) { return has_words(text, word); });
}

bool has_shape(const std::string& text, Shape shape) {
  return std::ranges::any_of(english_nouns(shape), [&](const Noun& noun) {
    return has_words(text, noun.singular) || has_words(text, noun.plural);
  });
}

bool is_ascii(const std::string& text) {
  return std::ranges::all_of(text, [](char letter) { return static_cast<unsigned char>(letter) < 128; });
}

void expect_says_what_it_mentions(const Prompt& prompt) {
  const std::string text = lower(prompt.text);
  ASSERT_EQ(prompt.mentions.size(), prompt.scene.groups.size());
  std::set<Shape> shapes;
  std::set<Colour> colours;
  for (std::size_t i = 0; i < prompt.mentions.size(); ++i) {
    const Group& group = prompt.scene.groups[i];
    shapes.insert(group.shape);
    if (prompt.mentions[i].colour) colours.insert(group.colour);
    if (prompt.mentions[i].size) {
      EXPECT_TRUE(has_any(text, english_adjectives(group.size))) << text;
    }
    if (prompt.mentions[i].place) {
      EXPECT_TRUE(has_any(text, english_phrases(group.place))) << text;
    }
    if (prompt.mentions[i].count && group.count > 1) {
      EXPECT_TRUE(has_any(text, english_numbers(group.count))) << text;
    }
  }
  // What is said is there, and nothing else of the kind.
  for (std::size_t s = 0; s < kShapeCount; ++s) {
    const auto shape = static_cast<Shape>(s);
    EXPECT_EQ(has_shape(text, shape), shapes.contains(shape)) << "shape " << s << " in: " << text;
  }
  for (std::size_t c = 0; c < kColourCount; ++c) {
    const auto colour = static_cast<Colour>(c);
    EXPECT_EQ(has_any(text, english_adjectives(colour)), colours.contains(colour)) << "colour " << c << " in: " << text;
  }
  for (std::size_t b = 0; b < kBackgroundCount; ++b) {
    const auto background = static_cast<Background>(b);
    EXPECT_EQ(has_any(text, english_phrases(background)),
              prompt.mentions_background && prompt.scene.background == background)
        << "background " << b << " in: " << text;
  }
}

TEST(WritePrompt, EnglishSaysExactlyWhatItMentions) {
  Random random(1);
  for (int i = 0; i < 3000; ++i) {
    const Style style = i % 3 == 0 ? Style::kTags : i % 3 == 1 ? Style::kSentence : Style::kEmoji;
    expect_says_what_it_mentions(write_prompt(random_scene(random), style, GrammarOptions{}, random));
    if (HasFailure()) return;
  }
}

TEST(WritePrompt, FrenchAndChineseSayWhatTheyMention) {
  Random random(2);
  for (int i = 0; i < 500; ++i) {
    const Prompt french = write_prompt(random_scene(random), Style::kFrench, GrammarOptions{}, random);
    const Prompt chinese = write_prompt(random_scene(random), Style::kChinese, GrammarOptions{}, random);
    for (std::size_t k = 0; k < french.mentions.size(); ++k) {
      const Group& group = french.scene.groups[k];
      EXPECT_NE(french.text.find(french_noun(group.shape).singular.substr(0, 4)), std::string::npos) << french.text;
      if (french.mentions[k].colour) {
        EXPECT_NE(french.text.find(french_adjective(group.colour).masculine.substr(0, 4)), std::string::npos)
            << french.text;
      }
      if (french.mentions[k].place) {
        EXPECT_NE(french.text.find(french_phrase(group.place)), std::string::npos) << french.text;
      }
    }
    for (std::size_t k = 0; k < chinese.mentions.size(); ++k) {
      const Group& group = chinese.scene.groups[k];
      EXPECT_NE(chinese.text.find(chinese_noun(group.shape)), std::string::npos) << chinese.text;
      if (chinese.mentions[k].colour) {
        EXPECT_NE(chinese.text.find(chinese_adjective(group.colour)), std::string::npos) << chinese.text;
      }
      if (chinese.mentions[k].count) {
        EXPECT_NE(chinese.text.find(chinese_number(group.count)), std::string::npos) << chinese.text;
      }
    }
    EXPECT_FALSE(is_ascii(french.text));
    EXPECT_FALSE(is_ascii(chinese.text));
  }
}

TEST(WritePrompt, FrenchAgrees) {
  Random random(3);
  GrammarOptions options;
  options.colour = options.size = options.count = options.place = options.background = 1.0;
  const Scene scene{Background::kSnow, {{Shape::kStar, Colour::kGreen, Size::kSmall, 3, Place::kLeft}}};
  const Prompt prompt = write_prompt(scene, Style::kFrench, options, random);
  EXPECT_NE(prompt.text.find("trois petites étoiles vertes à gauche dans la neige"), std::string::npos) << prompt.text;
}

TEST(WritePrompt, LengthsAndWordsVary) {
  Random random(4);
  const Scene scene = random_scene(random);
  std::set<std::string> texts;
  std::size_t shortest = 1000;
  std::size_t longest = 0;
  int foreign = 0;
  for (int i = 0; i < 3000; ++i) {
    const Prompt prompt = write_prompt(random_scene(random), GrammarOptions{}, random);
    ASSERT_FALSE(prompt.text.empty());
    shortest = std::min(shortest, prompt.text.size());
    longest = std::max(longest, prompt.text.size());
    foreign += is_ascii(prompt.text) ? 0 : 1;
    if (i < 200) texts.insert(write_prompt(scene, GrammarOptions{}, random).text);
  }
  EXPECT_LT(shortest, 16U);
  EXPECT_GT(longest, 300U);
  EXPECT_NEAR(foreign / 3000.0, 0.045, 0.015);
  EXPECT_GT(texts.size(), 120U) << "one scene, two hundred prompts";
}

TEST(WritePrompt, EmptySaysNothing) {
  Random random(5);
  const Prompt prompt = write_prompt(random_scene(random), Style::kEmpty, GrammarOptions{}, random);
  EXPECT_EQ(prompt.text, "");
  EXPECT_TRUE(prompt.scene.groups.empty());
}

TEST(Match, WorkedExample) {
  Prompt prompt;
  prompt.scene = {Background::kSea,
                  {{Shape::kStar, Colour::kRed, Size::kLarge, 2, Place::kLeft},
                   {Shape::kMoon, Colour::kBlue, Size::kSmall, 1, Place::kRight}}};
  prompt.mentions = {{true, true, false, false}, {true, true, false, true}};
  prompt.mentions_background = true;
  // Weights: background 1; star 1 + 1 + 0.6; moon 1 + 1 + 0.6 + 0.4; together 6.6.
  EXPECT_DOUBLE_EQ(match(prompt, prompt.scene), 1.0);

  Scene changed = prompt.scene;
  std::swap(changed.groups[0], changed.groups[1]);
  EXPECT_DOUBLE_EQ(match(prompt, changed), 1.0) << "the order of groups does not matter";

  changed = prompt.scene;
  changed.groups[0].size = Size::kSmall;
  changed.groups[0].place = Place::kTop;
  EXPECT_DOUBLE_EQ(match(prompt, changed), 1.0) << "what was not asked for does not matter";

  changed = prompt.scene;
  changed.groups[0].count = 3;  // off by one: half of 0.6
  changed.background = Background::kSand;
  EXPECT_DOUBLE_EQ(match(prompt, changed), (6.6 - 0.3 - 1.0) / 6.6);

  changed = prompt.scene;
  std::swap(changed.groups[0].colour, changed.groups[1].colour);
  EXPECT_DOUBLE_EQ(match(prompt, changed), (6.6 - 2.0) / 6.6);

  changed = prompt.scene;
  changed.groups.pop_back();
  EXPECT_DOUBLE_EQ(match(prompt, changed), (6.6 - 3.0) / 6.6);

  changed = prompt.scene;
  changed.groups.push_back({Shape::kHeart, Colour::kBlack, Size::kSmall, 1, Place::kTop});
  EXPECT_DOUBLE_EQ(match(prompt, changed), 0.9);
}

TEST(Match, AnEmptyPromptFitsEverythingHalf) {
  Random random(6);
  EXPECT_DOUBLE_EQ(match(Prompt{}, random_scene(random)), 0.5);
}

TEST(Match, FallsWithSeverity) {
  Random random(7);
  double last = 1.1;
  for (const double severity : {0.0, 0.25, 0.5, 0.75, 1.0}) {
    double sum = 0.0;
    for (int i = 0; i < 500; ++i) {
      const Prompt prompt = write_prompt(random_scene(random), GrammarOptions{}, random);
      sum += match(prompt, misread_scene(prompt.scene, severity, random, HoldOut::kNone));
    }
    EXPECT_LT(sum / 500.0, last - 0.04) << severity;
    last = sum / 500.0;
  }
}

TEST(WriteCaption, TellsTheQuality) {
  Random random(8);
  const Scene scene = random_scene(random);
  int clean = 0;
  int blurred = 0;
  for (int i = 0; i < 400; ++i) {
    const std::string sharp = write_caption(scene, {}, random);
    const std::string blurry = write_caption(scene, {0.9, 0.0, 0.0}, random);
    const auto tells_blur = [](const std::string& text) {
      return has_words(text, "blurry") || has_words(text, "blurred") || has_words(text, "out of focus");
    };
    EXPECT_FALSE(tells_blur(sharp)) << sharp;
    EXPECT_FALSE(has_words(blurry, "sharp") || has_words(blurry, "crisp") || has_words(blurry, "quality")) << blurry;
    clean += has_words(sharp, "sharp") || has_words(sharp, "crisp") || has_words(sharp, "quality") ? 1 : 0;
    blurred += tells_blur(blurry) ? 1 : 0;
  }
  EXPECT_GT(clean, 200);
  EXPECT_GT(blurred, 200);
}

TEST(DescribeQuality, NamesEveryFaultAndItsDegree) {
  Random random(9);
  bool very = false;
  bool slightly = false;
  for (int i = 0; i < 100; ++i) {
    const QualityWords words = describe_quality({0.9, 0.3, 0.0}, random);
    const std::string text = words.before + words.after;
    EXPECT_NE(text.find(" and "), std::string::npos) << text;
    very = very || text.find("very ") != std::string::npos;
    slightly = slightly || text.find("slightly ") != std::string::npos;
  }
  EXPECT_TRUE(very);
  EXPECT_TRUE(slightly);
}

}  // namespace
}  // namespace imagerank::simulation
