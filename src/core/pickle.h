#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace imagerank {

/// What one Python pickle says, as data: a tree of values in which whatever the pickle would have Python import or call
/// is only described. Nothing is ever imported or called.
class Pickle {
 public:
  using Ref = std::uint32_t;  ///< of a node

  enum class Kind : std::uint8_t {
    kNone,
    kBool,        ///< `integer`
    kInteger,     ///< `integer`
    kLong,        ///< an integer of more than 64 bits: `text`, little-endian two's complement
    kFloat,       ///< `number`
    kText,        ///< `text`, UTF-8 or raw bytes
    kList,        ///< `items`; tuples and sets too
    kDict,        ///< `items`: key, value, key, value...
    kGlobal,      ///< something imported: `text`, "module.name"
    kCall,        ///< a call, or a new object: items[0] the callable, items[1] the arguments, then key, value... or
                  ///< elements that were put into the result; `state` if it was given one
    kPersistent,  ///< a reference that the file format gives a meaning: items[0]
    kMark,        ///< never seen from outside
  };
  struct Node {
    Kind kind = Kind::kNone;
    Ref state = 0;  ///< 0: none
    union {
      std::int64_t integer = 0;
      double number;
    };
    std::string_view text;
    std::vector<Ref> items;
  };

  /// Reads the pickle that starts `bytes`, which must outlive it. Protocols 2 to 5, without what only other data needs.
  /// @param place  what messages call it.
  /// @throws Error kCorruptData (an opcode that is not known, a stack that runs empty, a pickle without end),
  /// kResourceLimit for more than four million values.
  Pickle(std::span<const std::byte> bytes, std::string place);

  [[nodiscard]] const Node& operator[](Ref ref) const noexcept { return nodes_[ref]; }
  [[nodiscard]] Ref root() const noexcept { return root_; }
  /// All nodes, among them those that the root does not reach; the first is a kNone.
  [[nodiscard]] const std::vector<Node>& nodes() const noexcept { return nodes_; }
  /// Bytes of the pickle itself.
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  /// The name of what a call or an import names; "" for anything else.
  [[nodiscard]] std::string_view called(Ref ref) const noexcept;

 private:
  friend class PickleMachine;
  std::vector<Node> nodes_;
  std::deque<std::string> names_;  ///< of globals
  Ref root_ = 0;
  std::size_t size_ = 0;
};

}  // namespace imagerank
