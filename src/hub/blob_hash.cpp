#include "hub/blob_hash.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>

#include "core/fail.h"

namespace imagerank::hub {

struct BlobHash::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { EVP_MD_CTX_free(context); }
};

bool is_checksum(std::string_view etag) noexcept {
  return (etag.size() == 40 || etag.size() == 64) &&
         std::ranges::all_of(etag, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

BlobHash::BlobHash(std::string_view expected, std::uint64_t size) : state_(std::make_unique<State>()) {
  const bool git = expected.size() == 40;
  if (state_->context == nullptr || EVP_DigestInit_ex(state_->context, git ? EVP_sha1() : EVP_sha256(), nullptr) != 1) {
    fail(ErrorCode::kUnavailable, "{}: this OpenSSL does not provide it", git ? "SHA-1" : "SHA-256");
  }
  if (!git) return;
  const std::string header = fmt::format("blob {}", size);
  update(std::as_bytes(std::span(header.c_str(), header.size() + 1)));  // the NUL belongs to it
}

BlobHash::~BlobHash() = default;

void BlobHash::update(std::span<const std::byte> bytes) {
  EVP_DigestUpdate(state_->context, bytes.data(), bytes.size());
}

std::string BlobHash::hex_digest() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest = {};
  unsigned int length = 0;
  EVP_DigestFinal_ex(state_->context, digest.data(), &length);
  std::string text;
  for (unsigned int i = 0; i < length; ++i) text += fmt::format("{:02x}", digest[i]);
  return text;
}

}  // namespace imagerank::hub
