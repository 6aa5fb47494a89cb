#pragma once

#include <string>
#include <string_view>

namespace imagerank::preferences {

// SQL expressions that several formats share; `expression` is SQL text throughout.

/// The uid of an image that a dataset names by its path: the file's stem if that is a UUID, else `dataset` and the
/// path's MD5. A path that is absolute, climbs ("..") or holds control characters stays as it is, which is no safe uid,
/// so that the row is counted as such and left out.
[[nodiscard]] std::string uid_of_path(const std::string& expression, std::string_view dataset);
/// "url-" and the URL's MD5.
[[nodiscard]] std::string uid_of_url(const std::string& expression);
/// Whether a value is an http, https or file URL.
[[nodiscard]] std::string is_url(const std::string& expression);
/// Ranks as the source has them (DOUBLE[]; averaged, or with gaps) as dense integers: 1 = best, equal ones equal.
/// A list with a NULL or a number that is not finite becomes empty, which no list of images matches.
[[nodiscard]] std::string dense_ranks(const std::string& expression);
/// The image of rank 1 if there is just one, else NULL: a tie.
[[nodiscard]] std::string best_by_ranks(const std::string& uids, const std::string& ranks);

}  // namespace imagerank::preferences
