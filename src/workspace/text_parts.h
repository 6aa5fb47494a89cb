#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "core/atomic_file.h"
#include "core/mapped_file.h"
#include "core/progress.h"
#include "core/threads.h"

namespace imagerank::workspace {

/// A text as TextParts holds it.
struct TextEntry {
  const char* text = nullptr;
  std::uint32_t size = 0;
  std::uint32_t hash = 0;  ///< of the text; says nothing of the part it is in

  [[nodiscard]] std::string_view view() const noexcept { return {text, size}; }
};

/// Texts sorted by their hash into parts that are small enough for a core's cache, so that equal ones meet in one part:
/// several threads add, then several threads read a part each. What is more than the memory allowed lies in a file.
class TextParts {
 public:
  static constexpr std::size_t kParts = 256;
  class Adder;
  class Part;

  /// @param folder  where the file is, if there is need of one; it goes with the object, or is found as AtomicFile's
  /// are. @throws Error from all functions: kResourceLimit for a full disk, kIo.
  TextParts(std::filesystem::path folder, std::size_t max_memory_bytes)
      : folder_(std::move(folder)), max_memory_bytes_(max_memory_bytes) {}

  /// After all adders finished, before any part is read.
  void finish();
  /// Texts stay where they are as long as the object does. Thread-safe.
  [[nodiscard]] Part part(std::size_t index) const;
  /// Gives back the memory of what a part has in the file, which is read anew when it is read again.
  void forget(std::size_t index) const noexcept;

 private:
  struct Block {
    std::unique_ptr<char[]> bytes;  // NOLINT(modernize-avoid-c-arrays): its size is known when it runs; none: on disk
    std::uint64_t place = 0;        ///< in the file
    std::size_t size = 0;
  };
  static constexpr std::size_t kBlock = std::size_t{16} << 10;  // whole pages

  void keep(std::size_t part, Block block, std::size_t capacity, std::size_t entries);

  std::filesystem::path folder_;
  std::size_t max_memory_bytes_;
  std::mutex mutex_;
  std::size_t memory_bytes_ = 0;  // under mutex_, and so all below
  std::array<std::vector<Block>, kParts> blocks_;
  std::array<std::size_t, kParts> entries_ = {};
  std::optional<AtomicFile> file_;
  std::uint64_t file_size_ = 0;
  MappedFile mapped_;
};

/// One thread's way in.
class TextParts::Adder {
 public:
  explicit Adder(TextParts& parts) : parts_(parts) {}
  Adder(const Adder&) = delete;
  Adder& operator=(const Adder&) = delete;
  void add(std::string_view text);
  void finish();

 private:
  struct Open {
    Block block;
    std::size_t capacity = 0, entries = 0;
  };
  TextParts& parts_;
  std::array<Open, kParts> open_;
};

/// The entries of one part.
class TextParts::Part {
 public:
  [[nodiscard]] std::size_t size() const noexcept { return entries_; }
  template <typename Visit>
  void for_each(const Visit& visit) const {
    for (const std::string_view block : blocks_) {
      for (const char* at = block.data(); at != block.data() + block.size();) {
        TextEntry entry;
        std::memcpy(&entry.size, at, 4);
        std::memcpy(&entry.hash, at + 4, 4);
        entry.text = at + kHeader;
        at += kHeader + entry.size;
        visit(entry);
      }
    }
  }

 private:
  friend class TextParts;
  static constexpr std::size_t kHeader = 8;
  std::vector<std::string_view> blocks_;
  std::size_t entries_ = 0;
};

/// The texts of a part, each once, numbered from 0 in no order. Keeps its memory from part to part.
class TextNumbers {
 public:
  /// For at most `count` texts; those of before are gone.
  void reset(std::size_t count);
  /// The number of an entry's text, which must live on.
  std::uint32_t find_or_add(const TextEntry& entry) {
    for (std::size_t slot = entry.hash & mask_;; slot = (slot + 1) & mask_) {
      const std::uint32_t number = slots_[slot];
      if (number == 0) {
        texts_.push_back({entry.text, entry.size, entry.hash});
        slots_[slot] = static_cast<std::uint32_t>(texts_.size());
        return slots_[slot] - 1;
      }
      const Text& text = texts_[number - 1];
      if (text.hash == entry.hash && text.size == entry.size && std::memcmp(text.text, entry.text, entry.size) == 0)
        return number - 1;
    }
  }
  [[nodiscard]] std::size_t size() const noexcept { return texts_.size(); }
  [[nodiscard]] std::string_view at(std::uint32_t number) const noexcept {
    return {texts_[number].text, texts_[number].size};
  }

 private:
  struct Text {
    const char* text;
    std::uint32_t size, hash;
  };
  std::vector<std::uint32_t> slots_;  // number + 1, 0: free; at least half of them free
  std::size_t mask_ = 0;
  std::vector<Text> texts_;
};

/// Every part once, by all threads. @param finish  runs when a thread has had its last one. @return the threads'
/// states.
template <typename State, typename Work, typename Finish>
std::vector<std::unique_ptr<State>> for_each_part(const RunContext& context, const Work& work, const Finish& finish) {
  std::atomic<std::size_t> next = 0;
  std::mutex mutex;
  std::vector<std::unique_ptr<State>> states;
  run_on_threads(context.thread_count(), [&] {
    auto state = std::make_unique<State>();
    for (std::size_t part = next++; part < TextParts::kParts; part = next++) {
      context.check_stop();
      work(part, *state);
    }
    finish(*state);
    const std::lock_guard lock(mutex);
    states.push_back(std::move(state));
  });
  return states;
}

}  // namespace imagerank::workspace
