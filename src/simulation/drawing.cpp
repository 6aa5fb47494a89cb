#include "simulation/drawing.h"

#include <cairo.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <numbers>
#include <utility>

#include "core/fail.h"

namespace imagerank::simulation {
namespace {

using std::numbers::pi;

struct Rgb {
  double red, green, blue;
};

constexpr std::array<Rgb, kColourCount> kPaint = {{{0.86, 0.10, 0.12},
                                                   {0.98, 0.53, 0.06},
                                                   {0.99, 0.88, 0.14},
                                                   {0.10, 0.62, 0.20},
                                                   {0.12, 0.30, 0.88},
                                                   {0.55, 0.16, 0.70},
                                                   {0.98, 0.98, 0.98},
                                                   {0.06, 0.06, 0.07}}};

struct SurfaceDeleter {
  void operator()(cairo_surface_t* surface) const noexcept { cairo_surface_destroy(surface); }
};
struct ContextDeleter {
  void operator()(cairo_t* context) const noexcept { cairo_destroy(context); }
};
struct PatternDeleter {
  void operator()(cairo_pattern_t* pattern) const noexcept { cairo_pattern_destroy(pattern); }
};

void set_colour(cairo_t* context, const Rgb& colour, double alpha = 1.0) {
  cairo_set_source_rgba(context, colour.red, colour.green, colour.blue, alpha);
}

/// Fills the unit square from `top` to `bottom`.
void paint_gradient(cairo_t* context, const Rgb& top, const Rgb& bottom) {
  const std::unique_ptr<cairo_pattern_t, PatternDeleter> pattern(cairo_pattern_create_linear(0.0, 0.0, 0.0, 1.0));
  cairo_pattern_add_color_stop_rgb(pattern.get(), 0.0, top.red, top.green, top.blue);
  cairo_pattern_add_color_stop_rgb(pattern.get(), 1.0, bottom.red, bottom.green, bottom.blue);
  cairo_set_source(context, pattern.get());
  cairo_paint(context);
}

void paint_grass(cairo_t* context, Random& random) {
  paint_gradient(context, {0.62, 0.82, 0.42}, {0.42, 0.68, 0.28});
  cairo_set_line_width(context, 0.012);
  for (int i = 0; i < 90; ++i) {
    const double x = random.uniform();
    const double y = random.uniform();
    set_colour(context, {0.25, 0.5, 0.15}, random.uniform(0.35, 0.75));
    cairo_move_to(context, x, y);
    cairo_line_to(context, x + random.uniform(-0.02, 0.02), y - random.uniform(0.03, 0.06));
    cairo_stroke(context);
  }
}

void paint_sea(cairo_t* context, Random& random) {
  paint_gradient(context, {0.45, 0.78, 0.90}, {0.16, 0.52, 0.72});
  cairo_set_line_width(context, 0.014);
  for (int row = 0; row < 9; ++row) {
    const double y = (row + random.uniform(0.3, 0.7)) / 9.0;
    const double phase = random.uniform(0.0, 2.0 * pi);
    set_colour(context, {0.86, 0.96, 1.0}, 0.55);
    cairo_move_to(context, 0.0, y + 0.012 * std::sin(phase));
    for (int i = 1; i <= 40; ++i) cairo_line_to(context, i / 40.0, y + 0.012 * std::sin(phase + i * 0.9));
    cairo_stroke(context);
  }
}

void paint_sand(cairo_t* context, Random& random) {
  paint_gradient(context, {0.96, 0.86, 0.62}, {0.86, 0.70, 0.44});
  for (int i = 0; i < 5; ++i) {
    const double y = (i + random.uniform(0.2, 0.8)) / 5.0;
    set_colour(context, {0.76, 0.58, 0.34}, 0.45);
    cairo_set_line_width(context, 0.016);
    cairo_move_to(context, 0.0, y);
    cairo_curve_to(context, 0.3, y - random.uniform(0.02, 0.09), 0.6, y + random.uniform(0.02, 0.09), 1.0, y);
    cairo_stroke(context);
  }
}

void paint_snow(cairo_t* context, Random& random) {
  paint_gradient(context, {0.80, 0.86, 0.93}, {0.93, 0.95, 0.98});
  for (int i = 0; i < 45; ++i) {
    set_colour(context, {1.0, 1.0, 1.0}, 0.95);
    cairo_arc(context, random.uniform(), random.uniform(), random.uniform(0.007, 0.016), 0.0, 2.0 * pi);
    cairo_fill(context);
  }
}

void paint_night(cairo_t* context, Random& random) {
  paint_gradient(context, {0.05, 0.06, 0.16}, {0.14, 0.15, 0.34});
  for (int i = 0; i < 40; ++i) {
    set_colour(context, {1.0, 0.98, 0.85}, random.uniform(0.5, 1.0));
    cairo_arc(context, random.uniform(), random.uniform(), random.uniform(0.004, 0.009), 0.0, 2.0 * pi);
    cairo_fill(context);
  }
}

void paint_brick(cairo_t* context, Random& random) {
  set_colour(context, {0.80, 0.74, 0.68});
  cairo_paint(context);
  constexpr double kHeight = 1.0 / 8.0;
  constexpr double kWidth = 1.0 / 4.0;
  for (int row = 0; row < 8; ++row) {
    for (int column = -1; column < 5; ++column) {
      const double shade = random.uniform(-0.05, 0.05);
      set_colour(context, {0.66 + shade, 0.38 + shade, 0.30 + shade});
      cairo_rectangle(context, column * kWidth + (row % 2) * kWidth / 2.0 + 0.008, row * kHeight + 0.008,
                      kWidth - 0.016, kHeight - 0.016);
      cairo_fill(context);
    }
  }
}

void paint_background(cairo_t* context, Background background, Random& random) {
  switch (background) {
    case Background::kGrass:
      return paint_grass(context, random);
    case Background::kSea:
      return paint_sea(context, random);
    case Background::kSand:
      return paint_sand(context, random);
    case Background::kSnow:
      return paint_snow(context, random);
    case Background::kNight:
      return paint_night(context, random);
    case Background::kBrick:
      return paint_brick(context, random);
  }
}

void trace_star(cairo_t* context) {
  for (int i = 0; i < 10; ++i) {
    const double radius = i % 2 == 0 ? 1.05 : 0.44;
    const double angle = -pi / 2.0 + i * pi / 5.0;
    cairo_line_to(context, radius * std::cos(angle), radius * std::sin(angle));
  }
  cairo_close_path(context);
}

void trace_heart(cairo_t* context) {
  cairo_move_to(context, 0.0, 0.98);
  cairo_curve_to(context, -1.5, 0.0, -0.95, -1.25, 0.0, -0.48);
  cairo_curve_to(context, 0.95, -1.25, 1.5, 0.0, 0.0, 0.98);
  cairo_close_path(context);
}

void trace_cross(cairo_t* context) {
  constexpr double kArm = 0.32;
  constexpr std::array<std::pair<double, double>, 12> kCorners = {{{-kArm, -1},
                                                                   {kArm, -1},
                                                                   {kArm, -kArm},
                                                                   {1, -kArm},
                                                                   {1, kArm},
                                                                   {kArm, kArm},
                                                                   {kArm, 1},
                                                                   {-kArm, 1},
                                                                   {-kArm, kArm},
                                                                   {-1, kArm},
                                                                   {-1, -kArm},
                                                                   {-kArm, -kArm}}};
  for (const auto& [x, y] : kCorners) cairo_line_to(context, x, y);
  cairo_close_path(context);
}

void trace_moon(cairo_t* context) {
  constexpr double kOpening = 0.9;  // half the angle of the outer arc that is left open
  cairo_arc(context, -0.1, 0.0, 1.0, kOpening, 2.0 * pi - kOpening);
  // The inner arc runs back between the same two points round a centre further right.
  const double x = -0.1 + std::cos(kOpening);
  const double y = std::sin(kOpening);
  const double centre = 0.42;
  const double radius = std::hypot(x - centre, y);
  const double angle = std::atan2(y, x - centre);
  cairo_arc_negative(context, centre, 0.0, radius, 2.0 * pi - angle, angle);
  cairo_close_path(context);
}

/// The outline, within about one unit of the origin.
void trace(cairo_t* context, Shape shape) {
  cairo_new_path(context);
  switch (shape) {
    case Shape::kCircle:
      cairo_arc(context, 0.0, 0.0, 0.95, 0.0, 2.0 * pi);
      return;
    case Shape::kSquare:
      cairo_rectangle(context, -0.85, -0.85, 1.7, 1.7);
      return;
    case Shape::kTriangle:
      cairo_move_to(context, 0.0, -1.0);
      cairo_line_to(context, 1.02, 0.82);
      cairo_line_to(context, -1.02, 0.82);
      cairo_close_path(context);
      return;
    case Shape::kStar:
      return trace_star(context);
    case Shape::kHeart:
      return trace_heart(context);
    case Shape::kCross:
      return trace_cross(context);
    case Shape::kRing:
      cairo_arc(context, 0.0, 0.0, 0.98, 0.0, 2.0 * pi);
      cairo_new_sub_path(context);
      cairo_arc_negative(context, 0.0, 0.0, 0.5, 2.0 * pi, 0.0);
      return;
    case Shape::kMoon:
      return trace_moon(context);
  }
}

bool is_dark(Colour colour) {
  return colour == Colour::kBlack || colour == Colour::kBlue || colour == Colour::kPurple || colour == Colour::kRed ||
         colour == Colour::kGreen;
}

void draw_object(cairo_t* context, const Group& group, double x, double y, double radius, Random& random) {
  Rgb paint = kPaint[static_cast<std::size_t>(group.colour)];
  for (double* channel : {&paint.red, &paint.green, &paint.blue}) *channel += random.uniform(-0.02, 0.02);
  cairo_save(context);
  cairo_translate(context, x, y);
  cairo_rotate(context, random.uniform(-0.15, 0.15));
  cairo_scale(context, radius, radius);
  trace(context, group.shape);
  set_colour(context, paint);
  cairo_fill_preserve(context);
  // An edge of the other lightness, so that a green heart can be told from the grass.
  set_colour(context, is_dark(group.colour) ? Rgb{0.97, 0.97, 0.95} : Rgb{0.10, 0.10, 0.12});
  cairo_set_line_join(context, CAIRO_LINE_JOIN_ROUND);
  cairo_set_line_width(context, std::min(0.02 / radius, 0.16));
  cairo_stroke(context);
  cairo_restore(context);
}

std::pair<double, double> middle_of(Place place) {
  constexpr double kLow = 0.26;
  constexpr double kHigh = 0.74;
  switch (place) {
    case Place::kCentre:
      return {0.5, 0.5};
    case Place::kLeft:
      return {kLow, 0.5};
    case Place::kRight:
      return {kHigh, 0.5};
    case Place::kTop:
      return {0.5, kLow};
    case Place::kBottom:
      return {0.5, kHigh};
    case Place::kTopLeft:
      return {kLow, kLow};
    case Place::kTopRight:
      return {kHigh, kLow};
    case Place::kBottomLeft:
      return {kLow, kHigh};
    case Place::kBottomRight:
      return {kHigh, kHigh};
  }
  return {0.5, 0.5};
}

/// Where the objects of a group stand within its box (-0.5..0.5), and how large a large one is (its radius).
struct Arrangement {
  std::array<std::pair<double, double>, kMaxObjects> at;
  double radius;
};
constexpr std::array<Arrangement, kMaxObjects> kArrangements = {
    {{{{{0.0, 0.0}, {}, {}, {}}}, 0.44},
     {{{{-0.22, -0.22}, {0.22, 0.22}, {}, {}}}, 0.26},
     {{{{0.0, -0.24}, {-0.25, 0.22}, {0.25, 0.22}, {}}}, 0.235},
     {{{{-0.25, -0.25}, {0.25, -0.25}, {-0.25, 0.25}, {0.25, 0.25}}}, 0.23}}};

void draw_group(cairo_t* context, const Group& group, Random& random) {
  constexpr double kBox = 0.48;
  const Arrangement& arrangement = kArrangements[static_cast<std::size_t>(group.count - 1)];
  const double radius = kBox * arrangement.radius * (group.size == Size::kLarge ? 1.0 : 0.65);
  const auto [x, y] = middle_of(group.place);
  for (int i = 0; i < group.count; ++i) {
    const auto& [dx, dy] = arrangement.at[static_cast<std::size_t>(i)];
    const double jitter_x = random.uniform(-0.01, 0.01);
    const double jitter_y = random.uniform(-0.01, 0.01);
    draw_object(context, group, x + kBox * dx + jitter_x, y + kBox * dy + jitter_y, radius, random);
  }
}

}  // namespace

images::Image draw_scene(const Scene& scene, std::int32_t size, Random& random) {
  if (size < 16 || size > 4096) {
    fail(ErrorCode::kInvalidArgument, "draw_scene: image size must be 16 to 4096, found {}", size);
  }
  const std::unique_ptr<cairo_surface_t, SurfaceDeleter> surface(
      cairo_image_surface_create(CAIRO_FORMAT_RGB24, size, size));
  const std::unique_ptr<cairo_t, ContextDeleter> context(cairo_create(surface.get()));
  cairo_scale(context.get(), size, size);
  paint_background(context.get(), scene.background, random);
  for (const Group& group : scene.groups) draw_group(context.get(), group, random);
  if (cairo_status(context.get()) != CAIRO_STATUS_SUCCESS) {
    fail(ErrorCode::kResourceLimit, "drawing a {0} x {0} picture: {1}", size,
         cairo_status_to_string(cairo_status(context.get())));
  }
  cairo_surface_flush(surface.get());

  images::Image image{size, size, std::vector<std::uint8_t>(static_cast<std::size_t>(size) * size * 3)};
  const unsigned char* row = cairo_image_surface_get_data(surface.get());
  const std::ptrdiff_t stride = cairo_image_surface_get_stride(surface.get());
  auto out = image.pixels.begin();
  for (std::int32_t y = 0; y < size; ++y, row += stride) {
    for (std::int32_t x = 0; x < size; ++x) {
      std::uint32_t pixel = 0;  // 0x00RRGGBB in this machine's byte order
      std::copy_n(row + std::ptrdiff_t{4} * x, 4, reinterpret_cast<unsigned char*>(&pixel));
      *out++ = static_cast<std::uint8_t>(pixel >> 16);
      *out++ = static_cast<std::uint8_t>(pixel >> 8);
      *out++ = static_cast<std::uint8_t>(pixel);
    }
  }
  return image;
}

}  // namespace imagerank::simulation
