#include "preferences/json_records.h"

#include <nlohmann/json.hpp>
#include <string_view>

#include "core/fail.h"
#include "core/mapped_file.h"

namespace imagerank::preferences {
namespace {

constexpr int kMaxDepth = 64;
constexpr std::size_t kMaxRecord = std::size_t{64} << 20;

/// Finds where values begin and end, so that one at a time is parsed, of a depth that is known.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {
    if (text_.starts_with("\xEF\xBB\xBF")) at_ = 3;
  }

  /// Skips white space. @return the next character, '\0' at the end.
  char peek() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\r' || text_[at_] == '\t'))
      ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  void advance() { ++at_; }
  [[nodiscard]] bool at_end() const { return at_ >= text_.size(); }

  /// The text of one object, from its brace to the matching one.
  std::string_view object(std::int64_t number) {
    const std::size_t begin = at_;
    int depth = 0;
    for (bool inside = false; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (inside) {
        if (c == '\\') {
          ++at_;
        } else if (c == '"') {
          inside = false;
        }
      } else if (c == '"') {
        inside = true;
      } else if (c == '{' || c == '[') {
        if (++depth > kMaxDepth)
          fail(ErrorCode::kCorruptData, "record {}: expected JSON nested up to {} deep, found more", number, kMaxDepth);
      } else if ((c == '}' || c == ']') && --depth == 0) {
        ++at_;
        break;
      }
      if (at_ - begin > kMaxRecord)
        fail(ErrorCode::kCorruptData, "record {}: expected at most {} bytes, found more", number, kMaxRecord);
    }
    if (depth != 0) fail(ErrorCode::kCorruptData, "record {}: expected '}}', found the end of the file", number);
    return text_.substr(begin, at_ - begin);
  }

 private:
  std::string_view text_;
  std::size_t at_ = 0;
};

nlohmann::json parse(std::string_view text, std::int64_t number) {
  try {
    return nlohmann::json::parse(text);
  } catch (const nlohmann::json::parse_error& error) {
    const std::string_view message = error.what();
    if (message.find("UTF-8") != std::string_view::npos)
      fail(ErrorCode::kCorruptData, "record {}: expected UTF-8 text, found other bytes", number);
    fail(ErrorCode::kCorruptData, "record {}: expected JSON, found an error at byte {} of it", number, error.byte);
  } catch (const nlohmann::json::exception&) {
    fail(ErrorCode::kCorruptData, "record {}: expected JSON, found a number out of range", number);
  }
}

}  // namespace

std::int64_t for_each_json_record(const std::filesystem::path& path,
                                  const std::function<void(const nlohmann::json& record, std::int64_t number)>& visit) {
  const MappedFile file(path);
  if (file.bytes().empty()) fail(ErrorCode::kCorruptData, "expected JSON, found an empty file");
  Scanner scanner({reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()});
  const bool is_array = scanner.peek() == '[';
  if (is_array) scanner.advance();
  std::int64_t number = 0;
  while (true) {
    const char c = scanner.peek();
    if (is_array && c == ']') break;
    if (scanner.at_end()) {
      if (is_array)
        fail(ErrorCode::kCorruptData, "record {}: expected ']' at the end of the list, found the end of the file",
             number + 1);
      return number;
    }
    ++number;
    if (c != '{')
      fail(ErrorCode::kCorruptData, "record {}: expected an object, found '{}'", number,
           c >= ' ' && c < 0x7f ? c : '?');
    visit(parse(scanner.object(number), number), number);
    if (!is_array) continue;
    const char next = scanner.peek();
    if (next == ',') {
      scanner.advance();
    } else if (next != ']') {
      fail(ErrorCode::kCorruptData, "record {}: expected ',' or ']' after it, found {}", number,
           scanner.at_end() ? "the end of the file" : "something else");
    }
  }
  scanner.advance();
  scanner.peek();
  if (!scanner.at_end()) fail(ErrorCode::kCorruptData, "expected nothing after the list, found more");
  return number;
}

}  // namespace imagerank::preferences
