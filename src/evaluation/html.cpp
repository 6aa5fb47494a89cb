#include "evaluation/html.h"

#include <fmt/format.h>

#include <algorithm>

namespace imagerank::evaluation {
namespace {

/// Bytes of the UTF-8 sequence that starts at `at`, or 0 if none well-formed does (overlong, surrogate, cut short).
std::size_t sequence_length(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(at);
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || at + length > text.size()) return 0;
  for (std::size_t i = at + 1; i < at + length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  const unsigned char second = byte(at + 1);
  if ((first == 0xE0 && second < 0xA0) || (first == 0xED && second > 0x9F) || (first == 0xF0 && second < 0x90) ||
      (first == 0xF4 && second > 0x8F)) {
    return 0;
  }
  return length;
}

/// Fixed decimals, without a sign before a number that rounds to 0.
std::string fixed(double value, int decimals) {
  auto text = fmt::format("{:.{}f}", value, decimals);
  if (text.front() == '-' && text.find_first_not_of("-0.") == std::string::npos) text.erase(0, 1);
  return text;
}

std::string share_text(double share) { return fixed(100.0 * share, 1) + " %"; }

}  // namespace

std::string escape_html(std::string_view text) {
  std::string result;
  result.reserve(text.size() + text.size() / 8);
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = sequence_length(text, i);
    const auto byte = static_cast<unsigned char>(text[i]);
    if (length == 0) {
      result += "\xEF\xBF\xBD";
      ++i;
      continue;
    }
    if (length > 1) {
      result.append(text.substr(i, length));
    } else if (byte == '&') {
      result += "&amp;";
    } else if (byte == '<') {
      result += "&lt;";
    } else if (byte == '>') {
      result += "&gt;";
    } else if (byte == '"') {
      result += "&quot;";
    } else if (byte == '\'') {
      result += "&#39;";
    } else if ((byte < 0x20 && byte != '\t' && byte != '\n') || byte == 0x7F) {
      result += "\xEF\xBF\xBD";
    } else {
      result += text[i];
    }
    i += length;
  }
  return result;
}

std::string unbroken(std::string html) {
  constexpr std::string_view kSpace = " %";
  for (std::size_t at = html.find(kSpace); at != std::string::npos; at = html.find(kSpace, at)) {
    html.replace(at, kSpace.size(), "&#160;%");
  }
  return html;
}

std::string base64(std::string_view bytes) {
  constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string result;
  result.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t left = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t group = 0;
    for (std::size_t j = 0; j < 3; ++j) {
      group = group << 8 | (j < left ? static_cast<unsigned char>(bytes[i + j]) : 0U);
    }
    for (std::size_t j = 0; j < 4; ++j) {
      result += j <= left ? kAlphabet[group >> (18 - 6 * j) & 63U] : '=';
    }
  }
  return result;
}

std::string metric_text(Metric metric, const std::optional<double>& value) {
  if (!value) return "\xE2\x80\x94";
  return is_share(metric) ? share_text(*value) : fixed(*value, 3);
}

std::string interval_text(Metric metric, const Estimate& estimate) {
  if (!estimate.low || !estimate.high) return "";
  const double scale = is_share(metric) ? 100.0 : 1.0;
  const int decimals = is_share(metric) ? 1 : 3;
  return fmt::format("{} to {}", fixed(scale * *estimate.low, decimals), fixed(scale * *estimate.high, decimals));
}

std::string count_text(std::uint64_t value) {
  const std::string digits = std::to_string(value);
  std::string result;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) result += ',';
    result += digits[i];
  }
  return result;
}

}  // namespace imagerank::evaluation
