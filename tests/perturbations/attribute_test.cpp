#include "perturbations/attribute.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "perturbations/phrase.h"

namespace imagerank::perturbations {
namespace {

using ::testing::Contains;
using ::testing::Each;
using ::testing::IsEmpty;
using ::testing::IsSupersetOf;
using ::testing::Not;

/// Every wrong prompt that the grammar can make.
std::vector<WrongPrompt> all_of(std::string_view prompt) { return wrong_prompts(prompt, 10000, 1); }

std::set<std::string> texts_of(std::string_view prompt, Change change) {
  std::set<std::string> texts;
  for (const WrongPrompt& wrong : all_of(prompt))
    if (wrong.change == change) texts.insert(wrong.text);
  return texts;
}

std::vector<std::string> changed_texts(std::string_view prompt) {
  std::vector<std::string> texts;
  for (const WrongPrompt& wrong : all_of(prompt)) texts.push_back(wrong.text);
  return texts;
}

TEST(Attribute, NumberTakesTheNounAndTheArticleWithIt) {
  EXPECT_EQ(texts_of("a red apple", Change::kNumber),
            (std::set<std::string>{"two red apples", "three red apples", "four red apples", "five red apples",
                                   "six red apples"}));
  EXPECT_EQ(texts_of("three dogs", Change::kNumber),
            (std::set<std::string>{"a dog", "two dogs", "four dogs", "five dogs", "six dogs"}));
  EXPECT_THAT(texts_of("two old owls", Change::kNumber), Contains("an old owl"));
  EXPECT_THAT(texts_of("two owls", Change::kNumber), Contains("an owl"));
  EXPECT_THAT(texts_of("a photo of a wolf", Change::kNumber), Contains("a photo of three wolves"));
  EXPECT_THAT(texts_of("a mouse", Change::kNumber), Contains("two mice"));
}

TEST(Attribute, VerbsAgree) {
  EXPECT_THAT(texts_of("Two dogs are running", Change::kNumber), Contains("A dog is running"));
  EXPECT_THAT(texts_of("a cat was sleeping", Change::kNumber), Contains("three cats were sleeping"));
}

TEST(Attribute, NumbersThatCannotChangeStay) {
  EXPECT_THAT(texts_of("a man holding his hat", Change::kNumber), IsEmpty());  // three men holding his hat
  EXPECT_THAT(texts_of("a dog house", Change::kNumber), Not(Contains("two dogs house")));
  EXPECT_THAT(texts_of("a dog runs", Change::kNumber), IsEmpty());  // three dogs runs
  EXPECT_THAT(texts_of("a cat in a car", Change::kNumber), Not(Contains("a cat in two cars")));
  EXPECT_THAT(texts_of("a 16 years old wizard", Change::kNumber), IsEmpty());
  EXPECT_THAT(texts_of("the two dogs", Change::kNumber), Not(Contains("the a dog")));
  EXPECT_THAT(texts_of("a black cat and dog", Change::kNumber), IsEmpty());
}

TEST(Attribute, DigitsStayDigits) {
  const std::set<std::string> texts = texts_of("2 dogs", Change::kNumber);
  EXPECT_EQ(texts.size(), 7U);
  EXPECT_THAT(texts, Contains("9 dogs"));
  EXPECT_THAT(texts_of("3D render, 8k, 80mm", Change::kNumber), IsEmpty());
}

TEST(Attribute, OrangeIsAColourBeforeAThingAndAFruitAlone) {
  EXPECT_THAT(texts_of("an orange cat", Change::kColour), Contains("a red cat"));
  EXPECT_THAT(texts_of("an orange cat", Change::kObject), Each(::testing::StartsWith("an orange ")));
  EXPECT_THAT(texts_of("an orange on a table", Change::kColour), IsEmpty());
  EXPECT_THAT(texts_of("an orange on a table", Change::kObject), Contains("a pear on a table"));
  EXPECT_THAT(texts_of("an orange on a table", Change::kObject), Contains("an apple on a table"));
  EXPECT_THAT(texts_of("a woman in orange", Change::kColour), Contains("a woman in green"));
  EXPECT_THAT(texts_of("orange and blue stripes", Change::kColour), Contains("red and blue stripes"));
  EXPECT_THAT(texts_of("an orange tree", Change::kColour), IsEmpty());
}

TEST(Attribute, ColoursOfOneFamilyOrOfTheSamePromptAreNotOffered) {
  const std::set<std::string> texts = texts_of("a navy blue and red flag", Change::kColour);
  EXPECT_THAT(texts, Contains("a green and red flag"));  // a shade goes with its colour
  EXPECT_THAT(texts, Not(Contains("a red and red flag")));
  EXPECT_THAT(texts, Not(Contains("a navy blue and blue flag")));
  EXPECT_THAT(texts_of("a crimson flag", Change::kColour), Not(Contains("a red flag")));
  EXPECT_THAT(texts_of("a gold ring", Change::kColour), (std::set<std::string>{"a silver ring", "a bronze ring"}));
}

TEST(Attribute, BlackAndWhiteIsAToneOrTwoColours) {
  EXPECT_EQ(texts_of("a lion, 1940 illustration, black and white", Change::kColour),
            (std::set<std::string>{"a lion, 1940 illustration, colorful"}));
  EXPECT_EQ(texts_of("a lion in black and white", Change::kColour), (std::set<std::string>{"a lion in full color"}));
  EXPECT_THAT(texts_of("a black and white cat", Change::kColour), Contains("a brown and white cat"));
}

TEST(Attribute, SkinIsNoColour) {
  EXPECT_THAT(texts_of("a black man", Change::kColour), IsEmpty());
  EXPECT_THAT(texts_of("a white middle aged woman", Change::kColour), IsEmpty());
  EXPECT_FALSE(texts_of("a man in a black suit", Change::kColour).empty());
}

TEST(Attribute, SizesHaveTheirOpposites) {
  EXPECT_EQ(texts_of("a huge dog", Change::kSize), (std::set<std::string>{"a small dog", "a tiny dog"}));
  EXPECT_EQ(texts_of("an enormous owl", Change::kSize), (std::set<std::string>{"a small owl", "a tiny owl"}));
  EXPECT_EQ(texts_of("a short man", Change::kSize), (std::set<std::string>{"a tall man"}));
  EXPECT_EQ(texts_of("a man with short hair", Change::kSize), (std::set<std::string>{"a man with long hair"}));
  EXPECT_THAT(texts_of("fight against a giant", Change::kSize), IsEmpty());
  EXPECT_THAT(texts_of("a short film, long exposure", Change::kSize), IsEmpty());
}

TEST(Attribute, RelationsTurnRound) {
  EXPECT_THAT(texts_of("a dog in front of a house", Change::kRelation), Contains("a dog behind a house"));
  EXPECT_THAT(texts_of("a cup on a table", Change::kRelation), Contains("a cup under a table"));
  EXPECT_THAT(texts_of("a cup on top of a table", Change::kRelation), Contains("a cup underneath a table"));
  EXPECT_THAT(texts_of("a woman with a hat", Change::kRelation), Contains("a woman without a hat"));
  EXPECT_THAT(texts_of("a dog next to a cat", Change::kRelation), Contains("a dog far from a cat"));
  EXPECT_THAT(texts_of("a lion on fire", Change::kRelation), IsEmpty());
  EXPECT_THAT(texts_of("trending on artstation", Change::kRelation), IsEmpty());
  EXPECT_THAT(texts_of("covered with a blanket", Change::kRelation), IsEmpty());
}

TEST(Attribute, BackgroundsAreWholePhrases) {
  EXPECT_THAT(texts_of("a wolf in the dark forest at night", Change::kBackground),
              IsSupersetOf({"a wolf on a beach at night", "a wolf in the dark forest at noon"}));
  EXPECT_THAT(texts_of("a wolf in a forest", Change::kBackground), Not(Contains("a wolf in a jungle fire")));
  EXPECT_THAT(texts_of("a wolf in a forest fire", Change::kBackground), IsEmpty());
  EXPECT_THAT(texts_of("a cat, desert background", Change::kBackground), Contains("a cat, forest background"));
  EXPECT_THAT(texts_of("a rainy day", Change::kBackground), Contains("a sunny day"));
  EXPECT_THAT(texts_of("a cat, sunset", Change::kBackground), Contains("a cat, noon"));
}

TEST(Attribute, ObjectsKeepKindAndNumber) {
  const std::set<std::string> texts = texts_of("two cats", Change::kObject);
  EXPECT_THAT(texts, IsSupersetOf({"two dogs", "two wolves", "two sheep"}));
  EXPECT_THAT(texts, Not(Contains("two kittens")));   // a kitten is a cat
  EXPECT_THAT(texts, Not(Contains("two tractors")));  // another kind
  EXPECT_THAT(texts_of("a poodle", Change::kObject), Contains("a bulldog"));
  EXPECT_THAT(texts_of("a poodle", Change::kObject), Not(Contains("a dog")));
  EXPECT_THAT(texts_of("a car", Change::kObject), IsSupersetOf({"a bus", "an airplane"}));
  EXPECT_THAT(texts_of("the dog's bowl", Change::kObject), Contains("the wolf's bowl"));
  EXPECT_THAT(texts_of("two deer", Change::kObject), Contains("two goats"));
  EXPECT_THAT(texts_of("a teddy bear", Change::kObject), Contains("a puppet"));
  EXPECT_THAT(texts_of("a teddy bear", Change::kObject), Not(Contains("a teddy dog")));
  EXPECT_THAT(texts_of("a dog and a cat", Change::kObject), Not(Contains("a cat and a cat")));
  EXPECT_THAT(texts_of("no dogs, without a hat", Change::kObject), IsEmpty());
}

TEST(Attribute, PronounsAreNotContradicted) {
  EXPECT_THAT(texts_of("a knight holding his sword", Change::kObject), Not(Contains("a queen holding his sword")));
  EXPECT_THAT(texts_of("a knight", Change::kObject), Contains("a queen"));
}

TEST(Attribute, CaseFollows) {
  EXPECT_THAT(texts_of("A BIG RED CAR", Change::kColour), Contains("A BIG BLUE CAR"));
  EXPECT_THAT(texts_of("A BIG RED CAR", Change::kNumber), Contains("TWO BIG RED CARS"));
  EXPECT_THAT(texts_of("a big TV", Change::kObject), Contains("a big Clock"));
  EXPECT_THAT(texts_of("Red car", Change::kColour), Contains("Blue car"));
  EXPECT_THAT(texts_of("An Orange Cat", Change::kColour), Contains("A Red Cat"));
  EXPECT_THAT(texts_of("A Teddy Bear", Change::kObject), Contains("A Rubber Duck"));
}

TEST(Attribute, NamesCompoundsAndSetPhrasesStay) {
  for (const char* prompt :
       {"a portrait of Jack Black", "iron man, spider-man", "the White House at work", "a black hole", "ice cream",
        "catalog of doghouses", "a red-brick tower", "o'clock", "cat_game_art"}) {
    EXPECT_THAT(changed_texts(prompt), IsEmpty()) << prompt;
  }
  EXPECT_THAT(texts_of("a red-haired knight", Change::kColour), Contains("a green-haired knight"));
}

TEST(Attribute, WhatFollowsNegativePromptStays) {
  EXPECT_THAT(texts_of("a dog Negative prompt: cats, red hats", Change::kObject),
              Each(::testing::EndsWith("cats, red hats")));
}

TEST(Attribute, EachIsTaggedWithWhatChanged) {
  for (const WrongPrompt& wrong : all_of("a huge red dog on a table in a forest")) {
    EXPECT_THAT(wrong.what_changed, ::testing::StartsWith(std::string(change_name(wrong.change)) + ": "));
    if (wrong.change == Change::kColour && wrong.text == "a huge blue dog on a table in a forest") {
      EXPECT_EQ(wrong.what_changed, "colour: red -> blue");
    }
    if (wrong.text == "two huge red dogs on a table in a forest") {
      EXPECT_EQ(wrong.what_changed, "number: a -> two");
    }
  }
}

TEST(Attribute, DistinctWrongAndTheSameForASeed) {
  const std::string prompt = "A small red bird and two big dogs on a table in the city at night";
  for (const std::size_t count : {1U, 5U, 60U}) {
    const auto wrong = wrong_prompts(prompt, count, 3);
    EXPECT_EQ(wrong.size(), count);
    std::set<std::string> seen = {normalized(prompt)};
    for (const WrongPrompt& each : wrong) EXPECT_TRUE(seen.insert(normalized(each.text)).second) << each.text;
    const auto again = wrong_prompts(prompt, count, 3);
    for (std::size_t i = 0; i < count; ++i) EXPECT_EQ(wrong[i].text, again[i].text);
  }
  const auto one = wrong_prompts(prompt, 20, 3), other = wrong_prompts(prompt, 20, 4);
  EXPECT_TRUE(std::ranges::any_of(one, [&, i = 0](const WrongPrompt& each) mutable {
    return each.text != other[static_cast<std::size_t>(i++)].text;
  }));
}

TEST(Attribute, KindsTakeTurns) {
  std::map<Change, int> kinds;
  for (const WrongPrompt& wrong : wrong_prompts("a small red bird on a table in the city", 6, 1)) ++kinds[wrong.change];
  EXPECT_EQ(kinds.size(), 6U);
}

TEST(Attribute, NothingIsFoundInOtherLanguagesAndNonsense) {
  for (const char* prompt : {"", "   ", "ein roter Apfel", "一只红色的猫", "!!!", "xkcd 1234", "\xff\xfe broken \x80"})
    EXPECT_THAT(changed_texts(prompt), IsEmpty()) << prompt;
}

TEST(Attribute, ChildrenAreNeverPutIntoAPrompt) {
  for (const char* prompt : {"a woman on a beach", "two men", "a girl", "a baby in a garden"}) {
    for (const WrongPrompt& wrong : all_of(prompt)) {
      const std::string arrow = wrong.what_changed.substr(wrong.what_changed.find("->"));
      for (const char* child : {"girl", "boy", "baby", "babies"})
        EXPECT_EQ(arrow.find(child), std::string::npos) << arrow;
    }
  }
  EXPECT_THAT(changed_texts("a sexy young woman in a red dress"), IsEmpty());
  EXPECT_THAT(texts_of("a 12 year old girl", Change::kObject), IsEmpty());
}

}  // namespace
}  // namespace imagerank::perturbations
