#include <array>
#include <cctype>
#include <string_view>
#include <utility>
#include <vector>

#include "simulation/grammar.h"

namespace imagerank::simulation {
namespace {

constexpr std::array<std::string_view, 3> kBlurWords = {"blurry", "blurred", "out of focus"};
constexpr std::array<std::string_view, 3> kNoiseWords = {"noisy", "grainy", "speckled"};
constexpr std::array<std::string_view, 3> kFadingWords = {"low contrast", "washed out", "faded"};
constexpr std::array<std::string_view, 3> kCleanWords = {"sharp and clean", "crisp and clear", "high quality"};

std::string_view degree(double strength, Random& random) {
  if (strength >= 0.65) return random.chance(0.7) ? "very " : "";
  if (strength < 0.45) return random.chance(0.7) ? "slightly " : "";
  return "";
}

}  // namespace

QualityWords describe_quality(const Quality& quality, Random& random) {
  std::string words;
  if (quality.is_clean()) {
    words = kCleanWords[random.below(kCleanWords.size())];
  } else {
    const std::array<std::pair<double, const std::array<std::string_view, 3>*>, 3> kinds = {
        {{quality.blur, &kBlurWords}, {quality.noise, &kNoiseWords}, {quality.fading, &kFadingWords}}};
    for (const auto& [strength, choices] : kinds) {
      if (strength <= 0.0) continue;
      if (!words.empty()) words += " and ";
      words.append(degree(strength, random)).append((*choices)[random.below(choices->size())]);
    }
  }
  if (random.chance(0.5)) return {words + ", ", ""};
  return {"", ", " + words};
}

std::string write_caption(const Scene& scene, const Quality& quality, Random& random) {
  const Prompt prompt = write_prompt(scene, caption_grammar(), random);
  const bool english = prompt.style == Style::kSentence || prompt.style == Style::kTags;
  if (!english || !random.chance(0.7)) return prompt.text;
  const auto [before, after] = describe_quality(quality, random);
  return before + prompt.text + after;
}

}  // namespace imagerank::simulation
