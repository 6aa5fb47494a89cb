#pragma once

#include "core/random.h"
#include "images/image.h"

namespace imagerank::simulation {

/// How a picture was spoilt. Each strength is 0 (not at all) to 1 (badly).
struct Quality {
  double blur = 0.0;
  double noise = 0.0;
  double fading = 0.0;  ///< lost contrast

  /// 1 for a clean picture, falling by two thirds of the sum of the strengths, not below 0.
  [[nodiscard]] double score() const noexcept;
  [[nodiscard]] bool is_clean() const noexcept { return blur <= 0.0 && noise <= 0.0 && fading <= 0.0; }
  bool operator==(const Quality&) const = default;
};

/// Clean with probability `clean`; otherwise one kind of fault of strength 0.25..1, and sometimes a second, weaker one.
[[nodiscard]] Quality random_quality(double clean, Random& random);

/// Fades, blurs and adds noise, in that order. The scale of the blur follows the image's size. Same input, same bytes.
void degrade(images::Image& image, const Quality& quality, Random& random);

}  // namespace imagerank::simulation
