#include "simulation/vocabulary.h"

#include <array>

namespace imagerank::simulation {
namespace {

using Words = std::span<const std::string_view>;

template <typename Enum>
constexpr std::size_t index(Enum value) noexcept {
  return static_cast<std::size_t>(value);
}

constexpr Noun kCircle[] = {{"circle", "circles"}, {"disc", "discs"}};
constexpr Noun kSquare[] = {{"square", "squares"}, {"box", "boxes"}};
constexpr Noun kTriangle[] = {{"triangle", "triangles"}};
constexpr Noun kStar[] = {{"star", "stars"}};
constexpr Noun kHeart[] = {{"heart", "hearts"}};
constexpr Noun kCross[] = {{"cross", "crosses"}, {"plus sign", "plus signs"}};
constexpr Noun kRing[] = {{"ring", "rings"}, {"donut", "donuts"}};
constexpr Noun kMoon[] = {{"moon", "moons"}, {"crescent", "crescents"}};
constexpr std::array<std::span<const Noun>, kShapeCount> kNouns = {kCircle, kSquare, kTriangle, kStar,
                                                                   kHeart,  kCross,  kRing,     kMoon};

constexpr std::string_view kRed[] = {"red", "scarlet"};
constexpr std::string_view kOrange[] = {"orange"};
constexpr std::string_view kYellow[] = {"yellow", "golden"};
constexpr std::string_view kGreen[] = {"green", "emerald"};
constexpr std::string_view kBlue[] = {"blue", "navy"};
constexpr std::string_view kPurple[] = {"purple", "violet"};
constexpr std::string_view kWhite[] = {"white"};
constexpr std::string_view kBlack[] = {"black"};
constexpr std::array<Words, kColourCount> kColours = {kRed, kOrange, kYellow, kGreen, kBlue, kPurple, kWhite, kBlack};

constexpr std::string_view kSmall[] = {"small", "tiny", "little"};
constexpr std::string_view kLarge[] = {"large", "big", "huge"};

constexpr std::string_view kCentre[] = {"in the middle", "in the centre"};
constexpr std::string_view kLeft[] = {"on the left", "at the left side"};
constexpr std::string_view kRight[] = {"on the right", "at the right side"};
constexpr std::string_view kTop[] = {"at the top", "up high"};
constexpr std::string_view kBottom[] = {"at the bottom", "down low"};
constexpr std::string_view kTopLeft[] = {"in the upper left corner", "in the top left"};
constexpr std::string_view kTopRight[] = {"in the upper right corner", "in the top right"};
constexpr std::string_view kBottomLeft[] = {"in the lower left corner", "in the bottom left"};
constexpr std::string_view kBottomRight[] = {"in the lower right corner", "in the bottom right"};
constexpr std::array<Words, kPlaceCount> kPlaces = {kCentre,  kLeft,     kRight,      kTop,        kBottom,
                                                    kTopLeft, kTopRight, kBottomLeft, kBottomRight};

constexpr std::string_view kGrass[] = {"on grass", "in a meadow", "on a lawn"};
constexpr std::string_view kSea[] = {"on the sea", "on water", "in the ocean"};
constexpr std::string_view kSand[] = {"on sand", "in the desert", "on a beach"};
constexpr std::string_view kSnow[] = {"in the snow", "on a snowy field"};
constexpr std::string_view kNight[] = {"at night", "in the night sky", "under a night sky"};
constexpr std::string_view kBrick[] = {"on a brick wall", "in front of bricks"};
constexpr std::array<Words, kBackgroundCount> kBackgrounds = {kGrass, kSea, kSand, kSnow, kNight, kBrick};

constexpr std::string_view kTwo[] = {"two", "2", "a pair of"};
constexpr std::string_view kThree[] = {"three", "3"};
constexpr std::string_view kFour[] = {"four", "4"};

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
