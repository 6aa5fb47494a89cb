#include "simulation/vocabulary.h"

#include <array>

namespace imagerank::simulation {
namespace {

using Words = std::span<const std::string_view>;

template <typename Enum>
constexpr std::size_t index(Enum value) noexcept {
  return static_cast<std::size_t>(value);
}

constexpr auto kCircle = std::to_array<Noun>({{"circle", "circles"}, {"disc", "discs"}});
constexpr auto kSquare = std::to_array<Noun>({{"square", "squares"}, {"box", "boxes"}});
constexpr auto kTriangle = std::to_array<Noun>({{"triangle", "triangles"}});
constexpr auto kStar = std::to_array<Noun>({{"star", "stars"}});
constexpr auto kHeart = std::to_array<Noun>({{"heart", "hearts"}});
constexpr auto kCross = std::to_array<Noun>({{"cross", "crosses"}, {"plus sign", "plus signs"}});
constexpr auto kRing = std::to_array<Noun>({{"ring", "rings"}, {"donut", "donuts"}});
constexpr auto kMoon = std::to_array<Noun>({{"moon", "moons"}, {"crescent", "crescents"}});
constexpr std::array<std::span<const Noun>, kShapeCount> kNouns = {kCircle, kSquare, kTriangle, kStar,
                                                                   kHeart,  kCross,  kRing,     kMoon};

constexpr auto kRed = std::to_array<std::string_view>({"red", "scarlet"});
constexpr auto kOrange = std::to_array<std::string_view>({"orange"});
constexpr auto kYellow = std::to_array<std::string_view>({"yellow", "golden"});
constexpr auto kGreen = std::to_array<std::string_view>({"green", "emerald"});
constexpr auto kBlue = std::to_array<std::string_view>({"blue", "navy"});
constexpr auto kPurple = std::to_array<std::string_view>({"purple", "violet"});
constexpr auto kWhite = std::to_array<std::string_view>({"white"});
constexpr auto kBlack = std::to_array<std::string_view>({"black"});
constexpr std::array<Words, kColourCount> kColours = {kRed, kOrange, kYellow, kGreen, kBlue, kPurple, kWhite, kBlack};

constexpr auto kSmall = std::to_array<std::string_view>({"small", "tiny", "little"});
constexpr auto kLarge = std::to_array<std::string_view>({"large", "big", "huge"});

constexpr auto kCentre = std::to_array<std::string_view>({"in the middle", "in the centre"});
constexpr auto kLeft = std::to_array<std::string_view>({"on the left", "at the left side"});
constexpr auto kRight = std::to_array<std::string_view>({"on the right", "at the right side"});
constexpr auto kTop = std::to_array<std::string_view>({"at the top", "up high"});
constexpr auto kBottom = std::to_array<std::string_view>({"at the bottom", "down low"});
constexpr auto kTopLeft = std::to_array<std::string_view>({"in the upper left corner", "in the top left"});
constexpr auto kTopRight = std::to_array<std::string_view>({"in the upper right corner", "in the top right"});
constexpr auto kBottomLeft = std::to_array<std::string_view>({"in the lower left corner", "in the bottom left"});
constexpr auto kBottomRight = std::to_array<std::string_view>({"in the lower right corner", "in the bottom right"});
constexpr std::array<Words, kPlaceCount> kPlaces = {kCentre,  kLeft,     kRight,      kTop,        kBottom,
                                                    kTopLeft, kTopRight, kBottomLeft, kBottomRight};

constexpr auto kGrass = std::to_array<std::string_view>({"on grass", "in a meadow", "on a lawn"});
constexpr auto kSea = std::to_array<std::string_view>({"on the sea", "on water", "in the ocean"});
constexpr auto kSand = std::to_array<std::string_view>({"on sand", "in the desert", "on a beach"});
constexpr auto kSnow = std::to_array<std::string_view>({"in the snow", "on a snowy field"});
constexpr auto kNight = std::to_array<std::string_view>({"at night", "in the night sky", "under a night sky"});
constexpr auto kBrick = std::to_array<std::string_view>({"on a brick wall", "in front of bricks"});
constexpr std::array<Words, kBackgroundCount> kBackgrounds = {kGrass, kSea, kSand, kSnow, kNight, kBrick};

constexpr auto kTwo = std::to_array<std::string_view>({"two", "2", "a pair of"});
constexpr auto kThree = std::to_array<std::string_view>({"three", "3"});
constexpr auto kFour = std::to_array<std::string_view>({"four", "4"});

constexpr std::array<std::string_view, kBackgroundCount> kEmoji = {"🌿", "🌊", "🏜️", "❄️", "🌃", "🧱"};

constexpr std::array<FrenchNoun, kShapeCount> kFrenchNouns = {{{"cercle", "cercles", false},
                                                               {"carré", "carrés", false},
                                                               {"triangle", "triangles", false},
                                                               {"étoile", "étoiles", true},
                                                               {"cœur", "cœurs", false},
                                                               {"croix", "croix", true},
                                                               {"anneau", "anneaux", false},
                                                               {"lune", "lunes", true}}};
constexpr std::array<FrenchAdjective, kColourCount> kFrenchColours = {{{"rouge", "rouge", "rouges", "rouges"},
                                                                       {"orange", "orange", "orange", "orange"},
                                                                       {"jaune", "jaune", "jaunes", "jaunes"},
                                                                       {"vert", "verte", "verts", "vertes"},
                                                                       {"bleu", "bleue", "bleus", "bleues"},
                                                                       {"violet", "violette", "violets", "violettes"},
                                                                       {"blanc", "blanche", "blancs", "blanches"},
                                                                       {"noir", "noire", "noirs", "noires"}}};
constexpr std::array<FrenchAdjective, 2> kFrenchSizes = {
    {{"petit", "petite", "petits", "petites"}, {"grand", "grande", "grands", "grandes"}}};
constexpr std::array<std::string_view, kPlaceCount> kFrenchPlaces = {
    "au milieu",        "à gauche",         "à droite",        "tout en haut",   "tout en bas",
    "en haut à gauche", "en haut à droite", "en bas à gauche", "en bas à droite"};
constexpr std::array<std::string_view, kBackgroundCount> kFrenchBackgrounds = {
    "dans l'herbe", "sur la mer", "sur le sable", "dans la neige", "la nuit", "sur un mur de briques"};

constexpr std::array<std::string_view, kShapeCount> kChineseNouns = {"圆形", "方块", "三角形", "星星",
                                                                     "爱心", "十字", "圆环",   "月亮"};
constexpr std::array<std::string_view, kColourCount> kChineseColours = {"红色的", "橙色的", "黄色的", "绿色的",
                                                                        "蓝色的", "紫色的", "白色的", "黑色的"};
constexpr std::array<std::string_view, 2> kChineseSizes = {"小", "大"};
constexpr std::array<std::string_view, kPlaceCount> kChinesePlaces = {"中间",   "左边",   "右边",   "上面",  "下面",
                                                                      "左上角", "右上角", "左下角", "右下角"};
constexpr std::array<std::string_view, kBackgroundCount> kChineseBackgrounds = {"草地上", "海面上", "沙滩上",
                                                                                "雪地里", "夜空下", "砖墙前"};
constexpr std::array<std::string_view, kMaxObjects> kChineseNumbers = {"一个", "两个", "三个", "四个"};

}  // namespace

std::span<const Noun> english_nouns(Shape shape) noexcept { return kNouns[index(shape)]; }
std::span<const std::string_view> english_adjectives(Colour colour) noexcept { return kColours[index(colour)]; }
std::span<const std::string_view> english_adjectives(Size size) noexcept {
  return size == Size::kSmall ? Words(kSmall) : Words(kLarge);
}
std::span<const std::string_view> english_phrases(Place place) noexcept { return kPlaces[index(place)]; }
std::span<const std::string_view> english_phrases(Background background) noexcept {
  return kBackgrounds[index(background)];
}
std::span<const std::string_view> english_numbers(int count) noexcept {
  if (count <= 2) return kTwo;
  return count == 3 ? Words(kThree) : Words(kFour);
}
std::string_view emoji(Background background) noexcept { return kEmoji[index(background)]; }

const FrenchNoun& french_noun(Shape shape) noexcept { return kFrenchNouns[index(shape)]; }
const FrenchAdjective& french_adjective(Colour colour) noexcept { return kFrenchColours[index(colour)]; }
const FrenchAdjective& french_adjective(Size size) noexcept { return kFrenchSizes[index(size)]; }
std::string_view french_phrase(Place place) noexcept { return kFrenchPlaces[index(place)]; }
std::string_view french_phrase(Background background) noexcept { return kFrenchBackgrounds[index(background)]; }

std::string_view chinese_noun(Shape shape) noexcept { return kChineseNouns[index(shape)]; }
std::string_view chinese_adjective(Colour colour) noexcept { return kChineseColours[index(colour)]; }
std::string_view chinese_adjective(Size size) noexcept { return kChineseSizes[index(size)]; }
std::string_view chinese_phrase(Place place) noexcept { return kChinesePlaces[index(place)]; }
std::string_view chinese_phrase(Background background) noexcept { return kChineseBackgrounds[index(background)]; }
std::string_view chinese_number(int count) noexcept { return kChineseNumbers[static_cast<std::size_t>(count - 1)]; }

}  // namespace imagerank::simulation
