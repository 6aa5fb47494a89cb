#include "workspace/text_parts.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "workspace/keys.h"

namespace imagerank::workspace {

void TextParts::Adder::add(std::string_view text) {
  const std::uint64_t hash = stable_hash(text, 0);
  const std::size_t part = hash >> 56;
  static_assert(kParts == 256);
  Open& open = open_[part];
  const std::size_t size = Part::kHeader + text.size();
  if (open.capacity - open.block.size < size) {
    if (open.block.bytes != nullptr)
      parts_.keep(part, std::exchange(open.block, {}), open.capacity, std::exchange(open.entries, 0));
    open.capacity = (size + kBlock - 1) / kBlock * kBlock;
    open.block.bytes = std::make_unique_for_overwrite<char[]>(open.capacity);  // NOLINT(modernize-avoid-c-arrays)
  }
  char* const to = open.block.bytes.get() + open.block.size;
  const auto length = static_cast<std::uint32_t>(text.size()), low = static_cast<std::uint32_t>(hash);
  std::memcpy(to, &length, 4);
  std::memcpy(to + 4, &low, 4);
  std::memcpy(to + Part::kHeader, text.data(), text.size());
  open.block.size += size;
  ++open.entries;
}

void TextParts::Adder::finish() {
  for (std::size_t part = 0; part < kParts; ++part) {
    Open& open = open_[part];
    if (open.block.bytes != nullptr) parts_.keep(part, std::move(open.block), open.capacity, open.entries);
    open = {};
  }
}

void TextParts::keep(std::size_t part, Block block, std::size_t capacity, std::size_t entries) {
  bool spilled = false;
  {
    const std::lock_guard lock(mutex_);
    entries_[part] += entries;
    spilled = memory_bytes_ + capacity > max_memory_bytes_;
    if (!spilled) {
      memory_bytes_ += capacity;
      blocks_[part].push_back(std::move(block));
      return;
    }
    if (!file_) file_.emplace(folder_ / "texts");
    block.place = std::exchange(file_size_, file_size_ + capacity);
  }
  // The whole block: so every one begins on a page.
  std::memset(block.bytes.get() + block.size, 0, capacity - block.size);
  file_->write_at(block.place, std::as_bytes(std::span(block.bytes.get(), capacity)));
  block.bytes.reset();
  const std::lock_guard lock(mutex_);
  blocks_[part].push_back(std::move(block));
}

void TextParts::finish() {
  if (file_) mapped_ = MappedFile(file_->temporary_path());
}

TextParts::Part TextParts::part(std::size_t index) const {
  Part part;
  part.entries_ = entries_[index];
  const auto* const file = reinterpret_cast<const char*>(mapped_.bytes().data());
  for (const Block& block : blocks_[index])
    part.blocks_.emplace_back(block.bytes != nullptr ? block.bytes.get() : file + block.place, block.size);
  return part;
}

void TextParts::forget(std::size_t index) const noexcept {
  for (const Block& block : blocks_[index]) {
    if (block.bytes != nullptr) continue;
    const std::size_t whole = (block.size + kBlock - 1) / kBlock * kBlock;
    forget_pages(mapped_.bytes().subspan(block.place, whole));
  }
}

void TextNumbers::reset(std::size_t count) {
  const std::size_t slots = std::bit_ceil(std::max<std::size_t>(2 * count, 16));
  slots_.assign(slots, 0);
  mask_ = slots - 1;
  texts_.clear();
}

}  // namespace imagerank::workspace
