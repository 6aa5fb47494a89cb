#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace imagerank::duplicates::queries {

// The stage's SQL, in the order in which it runs. It reads the workspace's tables and makes:
//   image (r, image_uid, path, sha256)            images with status ok, numbered from 0 in the order of their uids
//   exact_set (r, image_uid, first)               images of equal bytes; first: the r of the first of them
//   fingerprint (r, sha256, perceptual_hash)      hashes known; perceptual_hash NULL: featureless
//   unhashed (t, r, image_uid, path)              images without a row there, numbered from 0
//   near_set (r, image_uid, first, distance)      images of equal bytes or near hashes, directly or through others
//   member (number, kind, r, image_uid, first, distance)   the groups that are reported
//   test_image (image_uid)                        images of test points and pairs

[[nodiscard]] std::string image();
[[nodiscard]] std::string exact_set();

/// What `fingerprints` knows of files that are the same.
[[nodiscard]] std::string fingerprint(std::string_view method);
[[nodiscard]] std::string unhashed();
/// (r, image_uid, path) of t in [first, end).
[[nodiscard]] std::string unhashed_rows(std::int64_t first, std::int64_t end);
/// The table `fingerprints` as it is now.
[[nodiscard]] std::string fingerprints_table(std::string_view method);

/// near_set from `joined` (r, first, distance).
[[nodiscard]] std::string near_set();
/// Exact groups by the uid of their first image, then perceptual ones: those of near_set that hold two different files.
[[nodiscard]] std::string member(bool perceptual);
/// groups, images of one kind.
[[nodiscard]] std::string counts(std::string_view kind);
/// number, images, the first few uids: the largest groups of one kind first.
[[nodiscard]] std::string largest(std::string_view kind, std::size_t groups, std::size_t uids);
[[nodiscard]] std::string csv();

/// How many rankings hold two images of one set, or one image twice. @param set  exact_set or near_set.
[[nodiscard]] std::string rankings_with_two(std::string_view set);
[[nodiscard]] std::string test_image();
/// How many test images share a set with another image, which stands in train.
[[nodiscard]] std::string test_in_train(std::string_view set);

}  // namespace imagerank::duplicates::queries
