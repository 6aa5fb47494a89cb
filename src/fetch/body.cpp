#include <algorithm>

#include "fetch/transport.h"

namespace imagerank::fetch {
namespace {

constexpr std::size_t kKept = 32;
constexpr std::size_t kLeastKeptBytes = std::size_t{1} << 14;  // of one: small memory is had at once
constexpr std::size_t kMostKeptBytes = std::size_t{1} << 20;   // of one

}  // namespace

std::string ByteBudget::take_memory() noexcept {
  const std::lock_guard lock(mutex_);
  if (memory_.empty()) return {};
  std::string memory = std::move(memory_.back());
  memory_.pop_back();
  return memory;
}

void ByteBudget::give_back_memory(std::string&& memory) noexcept {
  if (memory.capacity() < kLeastKeptBytes || memory.capacity() > kMostKeptBytes) return;
  memory.clear();
  const std::lock_guard lock(mutex_);
  if (memory_.size() == kKept) return;
  try {
    memory_.push_back(std::move(memory));
  } catch (const std::bad_alloc&) {
    return;  // not kept, then
  }
}

void Body::append(std::string_view data, std::size_t expected) {
  // As much as the server says is to come, within reason: a body that grows by doubling is copied again and again. But
  // not for its first bytes: nothing may follow, and a thousand transfers may wait for more.
  constexpr std::size_t kMostReserved = std::size_t{1} << 22;
  if (bytes_.size() <= kFirstBytes && bytes_.size() + data.size() > kFirstBytes) {
    std::string memory = budget_ != nullptr ? budget_->take_memory() : std::string();
    memory.reserve(std::min(expected, kMostReserved));
    memory.append(bytes_);
    bytes_.swap(memory);
  }
  bytes_.append(data);
  if (budget_ != nullptr) budget_->take(data.size());
}

void Body::clear() noexcept {
  if (budget_ != nullptr && !bytes_.empty()) {
    budget_->give_back(bytes_.size());
    budget_->give_back_memory(std::move(bytes_));
  }
  std::string().swap(bytes_);
}

}  // namespace imagerank::fetch
