#pragma once

#include <string>

namespace imagerank {

/// One item of a batch that could not be done: recorded, counted by reason and printed; never an exception.
struct ItemFailure {
  std::string item;    ///< a path, uid or URL
  std::string reason;  ///< short and countable: "missing", "corrupt", "too_large", "http_404"
  std::string detail;  ///< one line for a person
};

}  // namespace imagerank
