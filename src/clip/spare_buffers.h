#pragma once

#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace imagerank::clip {

/// Buffers of passes that several threads run at once: taken for a call, given back at its end, made where none is
/// spare. Thread-safe.
template <class Buffers>
class SpareBuffers {
 public:
  /// Buffers for as long as it lives.
  class Lease {
   public:
    Lease(SpareBuffers& owner, std::unique_ptr<Buffers> buffers) : owner_(owner), buffers_(std::move(buffers)) {}
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    ~Lease() {
      const std::scoped_lock lock(owner_.mutex_);
      owner_.spare_.push_back(std::move(buffers_));
    }
    [[nodiscard]] Buffers& operator*() const noexcept { return *buffers_; }

   private:
    SpareBuffers& owner_;
    std::unique_ptr<Buffers> buffers_;
  };

  /// @param make  gives a std::unique_ptr<Buffers>.
  template <class Make>
  [[nodiscard]] Lease take(Make make) {
    std::unique_ptr<Buffers> buffers;
    {
      const std::scoped_lock lock(mutex_);
      if (!spare_.empty()) {
        buffers = std::move(spare_.back());
        spare_.pop_back();
      }
    }
    return Lease(*this, buffers ? std::move(buffers) : make());
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<Buffers>> spare_;
};

}  // namespace imagerank::clip
