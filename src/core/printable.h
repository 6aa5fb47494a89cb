#pragma once

#include <string>
#include <string_view>

namespace imagerank {

/// Text from elsewhere for a message: its first bytes, on one line, with '?' for each control character.
[[nodiscard]] inline std::string printable(std::string_view text, std::size_t most = 80) {
  std::string shown(text.substr(0, most));
  for (char& character : shown) {
    if ((character >= 0 && character < ' ') || character == '\x7f') character = '?';
  }
  return shown;
}

}  // namespace imagerank
