#include "serving/access.h"

#include <utility>

#include "core/atomic_file.h"
#include "core/fail.h"
#include "core/hash.h"

namespace imagerank::serving {
namespace {

/// Without an early end.
bool same_digest(const std::string& a, const std::string& b) {
  unsigned difference = a.size() == b.size() ? 0 : 1;
  for (std::size_t i = 0; i < a.size() && i < b.size(); ++i) {
    difference |= static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i]);
  }
  return difference == 0;
}

}  // namespace

Access::Access(std::filesystem::path token_file) : token_file_(std::move(token_file)) { reload(); }

void Access::reload() {
  if (token_file_.empty()) return;
  constexpr std::size_t kMostBytes = 1 << 20;
  const std::string text = load_file(token_file_, kMostBytes);
  std::vector<std::string> digests;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    std::string_view line = std::string_view(text).substr(at, end - at);
    at = end + 1;
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ' || line.back() == '\t')) line.remove_suffix(1);
    if (!line.empty() && !line.starts_with('#')) digests.push_back(sha256_hex(line));
  }
  if (digests.empty()) {
    fail(ErrorCode::kCorruptData, "{}: expected a token a line, found none", token_file_.string());
  }
  const std::lock_guard lock(mutex_);
  digests_ = std::move(digests);
}

bool Access::allows(std::string_view authorization) const {
  if (token_file_.empty()) return true;
  constexpr std::string_view kScheme = "Bearer ";
  if (!authorization.starts_with(kScheme)) return false;
  const std::string digest = sha256_hex(authorization.substr(kScheme.size()));
  const std::lock_guard lock(mutex_);
  bool allowed = false;
  for (const std::string& known : digests_) {
    if (same_digest(known, digest)) allowed = true;  // all are looked at
  }
  return allowed;
}

}  // namespace imagerank::serving
