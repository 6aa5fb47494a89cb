#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "probes/edits.h"

// Letters of 5 by 7 dots of our own: fonts of the machine would make a probe's result the machine's.

namespace imagerank::probes {
namespace {

constexpr std::int32_t kLetterWidth = 5;
constexpr std::int32_t kLetterHeight = 7;
constexpr std::int32_t kAdvance = 6;     // dots from letter to letter
constexpr std::int32_t kLineHeight = 9;  // dots from line to line

struct Letter {
  char name;
  std::array<const char*, kLetterHeight> rows;
};

constexpr std::array<Letter, 46> kLetters = {{
    {'A', {".###.", "#...#", "#...#", "#####", "#...#", "#...#", "#...#"}},
    {'B', {"####.", "#...#", "#...#", "####.", "#...#", "#...#", "####."}},
    {'C', {".###.", "#...#", "#....", "#....", "#....", "#...#", ".###."}},
    {'D', {"####.", "#...#", "#...#", "#...#", "#...#", "#...#", "####."}},
    {'E', {"#####", "#....", "#....", "####.", "#....", "#....", "#####"}},
    {'F', {"#####", "#....", "#....", "####.", "#....", "#....", "#...."}},
    {'G', {".###.", "#...#", "#....", "#.###", "#...#", "#...#", ".###."}},
    {'H', {"#...#", "#...#", "#...#", "#####", "#...#", "#...#", "#...#"}},
    {'I', {".###.", "..#..", "..#..", "..#..", "..#..", "..#..", ".###."}},
    {'J', {"..###", "...#.", "...#.", "...#.", "...#.", "#..#.", ".##.."}},
    {'K', {"#...#", "#..#.", "#.#..", "##...", "#.#..", "#..#.", "#...#"}},
    {'L', {"#....", "#....", "#....", "#....", "#....", "#....", "#####"}},
    {'M', {"#...#", "##.##", "#.#.#", "#.#.#", "#...#", "#...#", "#...#"}},
    {'N', {"#...#", "##..#", "##..#", "#.#.#", "#..##", "#..##", "#...#"}},
    {'O', {".###.", "#...#", "#...#", "#...#", "#...#", "#...#", ".###."}},
    {'P', {"####.", "#...#", "#...#", "####.", "#....", "#....", "#...."}},
    {'Q', {".###.", "#...#", "#...#", "#...#", "#.#.#", "#..#.", ".##.#"}},
    {'R', {"####.", "#...#", "#...#", "####.", "#.#..", "#..#.", "#...#"}},
    {'S', {".####", "#....", "#....", ".###.", "....#", "....#", "####."}},
    {'T', {"#####", "..#..", "..#..", "..#..", "..#..", "..#..", "..#.."}},
    {'U', {"#...#", "#...#", "#...#", "#...#", "#...#", "#...#", ".###."}},
    {'V', {"#...#", "#...#", "#...#", "#...#", ".#.#.", ".#.#.", "..#.."}},
    {'W', {"#...#", "#...#", "#...#", "#.#.#", "#.#.#", "##.##", "#...#"}},
    {'X', {"#...#", "#...#", ".#.#.", "..#..", ".#.#.", "#...#", "#...#"}},
    {'Y', {"#...#", "#...#", ".#.#.", "..#..", "..#..", "..#..", "..#.."}},
    {'Z', {"#####", "....#", "...#.", "..#..", ".#...", "#....", "#####"}},
    {'0', {".###.", "#...#", "#..##", "#.#.#", "##..#", "#...#", ".###."}},
    {'1', {"..#..", ".##..", "..#..", "..#..", "..#..", "..#..", ".###."}},
    {'2', {".###.", "#...#", "....#", "...#.", "..#..", ".#...", "#####"}},
    {'3', {"####.", "....#", "....#", ".###.", "....#", "....#", "####."}},
    {'4', {"...#.", "..##.", ".#.#.", "#..#.", "#####", "...#.", "...#."}},
    {'5', {"#####", "#....", "####.", "....#", "....#", "#...#", ".###."}},
    {'6', {".###.", "#....", "#....", "####.", "#...#", "#...#", ".###."}},
    {'7', {"#####", "....#", "...#.", "..#..", "..#..", ".#...", ".#..."}},
    {'8', {".###.", "#...#", "#...#", ".###.", "#...#", "#...#", ".###."}},
    {'9', {".###.", "#...#", "#...#", ".####", "....#", "....#", ".###."}},
    {'.', {".....", ".....", ".....", ".....", ".....", ".##..", ".##.."}},
    {',', {".....", ".....", ".....", ".....", ".##..", "..#..", ".#..."}},
    {'-', {".....", ".....", ".....", ".###.", ".....", ".....", "....."}},
    {'\'', {"..#..", "..#..", ".#...", ".....", ".....", ".....", "....."}},
    {'!', {"..#..", "..#..", "..#..", "..#..", "..#..", ".....", "..#.."}},
    {'?', {".###.", "#...#", "....#", "...#.", "..#..", ".....", "..#.."}},
    {':', {".....", ".##..", ".##..", ".....", ".##..", ".##..", "....."}},
    {'/', {"....#", "....#", "...#.", "..#..", ".#...", "#....", "#...."}},
    {'(', {"...#.", "..#..", ".#...", ".#...", ".#...", "..#..", "...#."}},
    {')', {".#...", "..#..", "...#.", "...#.", "...#.", "..#..", ".#..."}},
}};

const Letter* find_letter(char name) {
  const auto found = std::ranges::find(kLetters, name, &Letter::name);
  return found == kLetters.end() ? nullptr : &*found;
}

/// Capitals; words joined by one space, what cannot be drawn a space too.
std::string drawable(std::string_view words) {
  std::string text;
  for (char c : words) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    if (find_letter(c) != nullptr) {
      text += c;
    } else if (!text.empty() && text.back() != ' ') {
      text += ' ';
    }
  }
  if (!text.empty() && text.back() == ' ') text.pop_back();
  return text;
}

/// Up to three lines of at most `longest` letters, broken at spaces where that is possible; the rest is left out.
std::vector<std::string> broken(const std::string& text, std::size_t longest) {
  constexpr std::size_t kMostLines = 3;
  std::vector<std::string> lines;
  std::size_t at = 0;
  while (at < text.size() && lines.size() < kMostLines) {
    std::size_t end = std::min(at + longest, text.size());
    if (end < text.size() && text[end] != ' ') {
      const auto space = text.rfind(' ', end);
      if (space != std::string::npos && space > at) end = space;
    }
    lines.push_back(text.substr(at, end - at));
    at = end;
    while (at < text.size() && text[at] == ' ') ++at;
  }
  return lines;
}

void fill(images::Image& image, std::int32_t left, std::int32_t top, std::int32_t width, std::int32_t height,
          std::uint8_t value) {
  for (std::int32_t y = std::max(0, top); y < std::min(image.height, top + height); ++y) {
    for (std::int32_t x = std::max(0, left); x < std::min(image.width, left + width); ++x) {
      const auto at =
          (static_cast<std::size_t>(y) * static_cast<std::size_t>(image.width) + static_cast<std::size_t>(x)) * 3;
      std::fill_n(image.pixels.begin() + static_cast<std::ptrdiff_t>(at), 3, value);
    }
  }
}

void draw_letter(images::Image& image, const Letter& letter, std::int32_t left, std::int32_t top, std::int32_t dot) {
  for (std::int32_t y = 0; y < kLetterHeight; ++y) {
    for (std::int32_t x = 0; x < kLetterWidth; ++x) {
      const char* const row = letter.rows[static_cast<std::size_t>(y)];
      if (row[x] == '#') fill(image, left + x * dot, top + y * dot, dot, dot, 255);
    }
  }
}

}  // namespace

bool write_words(images::Image& image, std::string_view words) {
  const auto text = drawable(words);
  if (text.empty() || image.pixels.empty()) return false;
  // As large as lets about 24 letters stand in a line, never smaller than a dot a pixel.
  constexpr std::int32_t kLettersInLine = 24;
  const std::int32_t dot = std::max(1, image.width / (kLettersInLine * kAdvance));
  const auto longest = static_cast<std::size_t>(std::max(1, image.width / (kAdvance * dot)));
  const auto lines = broken(text, longest);
  const auto count = static_cast<std::int32_t>(lines.size());
  const std::int32_t height = (count * kLineHeight + 2) * dot;
  const std::int32_t top = (image.height - height) / 2;
  fill(image, 0, top, image.width, height, 0);
  for (std::int32_t line = 0; line < count; ++line) {
    const auto& letters = lines[static_cast<std::size_t>(line)];
    std::int32_t left = (image.width - static_cast<std::int32_t>(letters.size()) * kAdvance * dot) / 2;
    for (const char c : letters) {
      if (const Letter* letter = find_letter(c))
        draw_letter(image, *letter, left, top + (2 + line * kLineHeight) * dot, dot);
      left += kAdvance * dot;
    }
  }
  return true;
}

}  // namespace imagerank::probes
