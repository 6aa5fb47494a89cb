#include "core/hash.h"

#include <openssl/evp.h>

#include "core/fail.h"

namespace imagerank {

struct Digest::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { EVP_MD_CTX_free(context); }
};

Digest::Digest(DigestKind kind) : state_(std::make_unique<State>()) {
  const bool sha1 = kind == DigestKind::kSha1;
  if (state_->context == nullptr ||
      EVP_DigestInit_ex(state_->context, sha1 ? EVP_sha1() : EVP_sha256(), nullptr) != 1) {
    fail(ErrorCode::kUnavailable, "{}: this OpenSSL does not provide it", sha1 ? "SHA-1" : "SHA-256");
  }
}

Digest::Digest(Digest&&) noexcept = default;
Digest& Digest::operator=(Digest&&) noexcept = default;
Digest::~Digest() = default;

void Digest::update(std::span<const std::byte> bytes) { EVP_DigestUpdate(state_->context, bytes.data(), bytes.size()); }

void Digest::update(std::string_view text) { update(std::as_bytes(std::span(text))); }

std::string Digest::hex_digest() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest = {};
  unsigned int length = 0;
  EVP_DigestFinal_ex(state_->context, digest.data(), &length);
  std::string text;
  for (unsigned int i = 0; i < length; ++i) text += fmt::format("{:02x}", digest[i]);
  return text;
}

std::string sha256_hex(std::span<const std::byte> bytes) {
  Digest hash;
  hash.update(bytes);
  return hash.hex_digest();
}

std::string sha256_hex(std::string_view text) { return sha256_hex(std::as_bytes(std::span(text))); }

}  // namespace imagerank
