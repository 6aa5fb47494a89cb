#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "images/image.h"

namespace imagerank::images {

/// What a kept hash was made by: hashes of two methods must not be compared.
inline constexpr std::string_view kPerceptualHashMethod = "dct-64-1";

/// The low frequencies of a picture: grey (0.299 R + 0.587 G + 0.114 B), averaged by area to 32 x 32, orthonormal
/// DCT-II, the frequencies 1 to 8 of both axes.
/// @return [8, 8] row-major, vertical frequency by horizontal; in grey levels (0..255) times up to 32.
/// @throws Error kInvalidArgument if a side is not positive or pixels are missing. Thread-safe.
[[nodiscard]] std::array<double, 64> low_frequencies(const Image& image);

/// 64 bits that stay nearly the same when a picture is compressed, resized or made lighter, and differ in about half of
/// their places between two pictures: which of low_frequencies are above their median. Exactly 32 are, unless two in
/// the middle are equal, so that two hashes are an even number of bits apart. Mirrored, turned and cropped pictures are
/// other pictures.
/// Source: Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions, 2010, section 3.2.1 (DCT based);
/// no mean filter before, since averaging by area is one.
/// @return nullopt if the picture has too few features (flat, a plain gradient): its bits would be noise, and alike for
/// unlike pictures. @throws as low_frequencies. Thread-safe.
[[nodiscard]] std::optional<std::uint64_t> perceptual_hash(const Image& image);

}  // namespace imagerank::images
