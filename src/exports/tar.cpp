#include "exports/tar.h"

#include <algorithm>
#include <numeric>

#include "core/fail.h"

namespace imagerank::exports {
namespace {

constexpr std::size_t kBlock = 512;
constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 33;  // eleven octal digits

void put(std::string& header, std::size_t offset, std::string_view text) {
  std::ranges::copy(text, header.begin() + static_cast<std::ptrdiff_t>(offset));
}

std::string header_of(std::string_view name, std::uint64_t size) {
  std::string header(kBlock, '\0');
  put(header, 0, name);
  put(header, 100, "0000644");
  put(header, 108, "0000000");
  put(header, 116, "0000000");
  put(header, 124, fmt::format("{:011o}", size));
  put(header, 136, "00000000000");
  put(header, 148, "        ");  // the checksum counts itself as blanks
  put(header, 156, "0");
  put(header, 257, std::string_view("ustar\00000", 8));
  put(header, 329, "0000000");
  put(header, 337, "0000000");
  const unsigned sum = std::accumulate(header.begin(), header.end(), 0U,
                                       [](unsigned total, char c) { return total + static_cast<unsigned char>(c); });
  put(header, 148, fmt::format("{:06o}", sum));
  header[154] = '\0';
  header[155] = ' ';
  return header;
}

}  // namespace

void TarWriter::add(std::string_view name, std::string_view bytes) {
  if (name.empty() || name.size() > 100 || bytes.size() >= kMostBytes) {
    fail(ErrorCode::kInvalidArgument, "{}: expected a name of 1 to 100 bytes and less than 8 GiB, found {} and {}",
         name, name.size(), bytes.size());
  }
  file_.write(header_of(name, bytes.size()));
  file_.write(bytes);
  file_.write(std::string((kBlock - bytes.size() % kBlock) % kBlock, '\0'));
}

void TarWriter::commit() {
  file_.write(std::string(2 * kBlock, '\0'));
  file_.commit();
}

}  // namespace imagerank::exports
