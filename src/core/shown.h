#pragma once

#include <string>
#include <string_view>

namespace imagerank {

/// Text of a file as part of a message: one line, at most `most` bytes and dots behind them.
[[nodiscard]] inline std::string shown(std::string_view text, std::size_t most = 120) {
  std::string result(text.substr(0, most));
  for (char& c : result) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return text.size() > most ? result + "..." : result;
}

}  // namespace imagerank
