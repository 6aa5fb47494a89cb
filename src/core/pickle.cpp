#include "core/pickle.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <unordered_map>

#include "core/fail.h"

namespace imagerank {
namespace {

constexpr std::size_t kMostNodes = std::size_t{4} << 20;

/// Names of the opcodes: Python's Lib/pickle.py.
enum Opcode : std::uint8_t {
  kMarkOp = '(',
  kStop = '.',
  kPop = '0',
  kPopMark = '1',
  kDup = '2',
  kBinFloat = 'G',
  kBinInt = 'J',
  kBinInt1 = 'K',
  kBinInt2 = 'M',
  kNoneOp = 'N',
  kBinPersistentId = 'Q',
  kReduce = 'R',
  kBinString = 'T',
  kShortBinString = 'U',
  kBinUnicode = 'X',
  kAppend = 'a',
  kBuild = 'b',
  kGlobalOp = 'c',
  kDictOp = 'd',
  kEmptyDict = '}',
  kAppends = 'e',
  kBinGet = 'h',
  kLongBinGet = 'j',
  kListOp = 'l',
  kEmptyList = ']',
  kBinPut = 'q',
  kLongBinPut = 'r',
  kSetItem = 's',
  kTupleOp = 't',
  kEmptyTuple = ')',
  kSetItems = 'u',
  kBinBytes = 'B',
  kShortBinBytes = 'C',
  kProtocol = 0x80,
  kNewObject = 0x81,
  kTuple1 = 0x85,
  kTuple2 = 0x86,
  kTuple3 = 0x87,
  kNewTrue = 0x88,
  kNewFalse = 0x89,
  kLong1 = 0x8a,
  kShortBinUnicode = 0x8c,
  kBinUnicode8 = 0x8d,
  kBinBytes8 = 0x8e,
  kEmptySet = 0x8f,
  kAddItems = 0x90,
  kFrozenSet = 0x91,
  kNewObjectEx = 0x92,
  kStackGlobal = 0x93,
  kMemoize = 0x94,
  kFrame = 0x95,
};

}  // namespace

/// A stack machine as Python's, whose calls make nodes instead of being made.
class PickleMachine {
 public:
  using Ref = Pickle::Ref;
  using Kind = Pickle::Kind;
  using Node = Pickle::Node;

  PickleMachine(std::span<const std::byte> bytes, std::string place, Pickle& pickle)
      : bytes_(bytes), place_(std::move(place)), pickle_(pickle) {}

  void run() {
    pickle_.nodes_.emplace_back();
    while (true) {
      opcode_at_ = at_;
      const auto opcode = static_cast<std::uint8_t>(take(1).front());
      if (opcode == kStop) break;
      if (!run_atom(opcode) && !run_memo(opcode) && !run_container(opcode) && !run_object(opcode)) {
        fail(ErrorCode::kCorruptData, "{}: pickle: byte {}: expected an opcode of a checkpoint, found 0x{:02x}", place_,
             opcode_at_, opcode);
      }
    }
    pickle_.root_ = pop();
    pickle_.size_ = at_;
  }

 private:
  [[noreturn]] void wrong(const char* expected, const char* found) const {
    fail(ErrorCode::kCorruptData, "{}: pickle: byte {}: expected {}, found {}", place_, opcode_at_, expected, found);
  }

  std::span<const std::byte> take(std::uint64_t count) {
    if (count > bytes_.size() - at_) {
      fail(ErrorCode::kCorruptData, "{}: pickle: byte {}: expected {} more bytes, found {}", place_, at_, count,
           bytes_.size() - at_);
    }
    at_ += count;
    return bytes_.subspan(at_ - count, count);
  }
  /// A little-endian number of `count` bytes.
  std::uint64_t take_number(std::size_t count) {
    std::uint64_t value = 0;
    std::memcpy(&value, take(count).data(), count);
    return value;
  }
  std::string_view take_text(std::uint64_t count) {
    const auto part = take(count);
    return {reinterpret_cast<const char*>(part.data()), part.size()};
  }
  std::string_view take_line() {
    const auto left = bytes_.subspan(at_);
    const auto end = std::ranges::find(left, std::byte{'\n'});
    if (end == left.end()) wrong("a line", "the end of the file");
    const std::string_view line = take_text(static_cast<std::uint64_t>(end - left.begin()));
    ++at_;
    return line;
  }

  Node& push(Kind kind) {
    if (pickle_.nodes_.size() >= kMostNodes) {
      fail(ErrorCode::kResourceLimit, "{}: pickle: expected at most {} values, found more", place_, kMostNodes);
    }
    stack_.push_back(static_cast<Ref>(pickle_.nodes_.size()));
    Node& node = pickle_.nodes_.emplace_back();
    node.kind = kind;
    return node;
  }
  bool push_integer(Kind kind, std::int64_t value) {
    push(kind).integer = value;
    return true;
  }
  bool push_text(std::string_view text) {
    push(Kind::kText).text = text;
    return true;
  }
  Ref pop() {
    if (stack_.empty()) wrong("a value on the stack", "none");
    const Ref ref = stack_.back();
    stack_.pop_back();
    if (node(ref).kind == Kind::kMark) wrong("a value on the stack", "a mark");
    return ref;
  }
  [[nodiscard]] Node& node(Ref ref) { return pickle_.nodes_[ref]; }
  Node& top() {
    if (stack_.empty() || node(stack_.back()).kind == Kind::kMark) wrong("a value on the stack", "none");
    return node(stack_.back());
  }
  /// What lies above the topmost mark; the mark goes too.
  std::vector<Ref> pop_to_mark() {
    std::size_t mark = stack_.size();
    do {
      if (mark == 0) wrong("a mark on the stack", "none");
      --mark;
    } while (node(stack_[mark]).kind != Kind::kMark);
    std::vector<Ref> items(stack_.begin() + static_cast<std::ptrdiff_t>(mark) + 1, stack_.end());
    stack_.resize(mark);
    return items;
  }
  bool push_items(Kind kind, std::vector<Ref> items) {
    if (kind == Kind::kDict && items.size() % 2 != 0) wrong("keys with values", "an odd number of them");
    push(kind).items = std::move(items);
    return true;
  }
  /// A tuple of the topmost `count` values.
  bool push_tuple(std::size_t count) {
    std::vector<Ref> items(count);
    for (std::size_t i = count; i-- > 0;) items[i] = pop();
    return push_items(Kind::kList, std::move(items));
  }
  bool push_global(std::string_view module, std::string_view name) {
    push(Kind::kGlobal).text = pickle_.names_.emplace_back(fmt::format("{}.{}", module, name));
    return true;
  }
  bool push_long(std::string_view bytes) {
    if (bytes.size() > 8) {
      push(Kind::kLong).text = bytes;
      return true;
    }
    const bool negative = !bytes.empty() && (static_cast<unsigned char>(bytes.back()) & 0x80U) != 0;
    std::uint64_t value = negative ? ~std::uint64_t{0} : 0;
    std::memcpy(&value, bytes.data(), bytes.size());
    return push_integer(Kind::kInteger, static_cast<std::int64_t>(value));
  }

  /// Adds to the container on the stack: elements to a list, keys and values to a dict, either to a call's result.
  bool add(const std::vector<Ref>& items, Kind kind) {
    Node& container = top();
    if (container.kind != kind && container.kind != Kind::kCall) {
      wrong(kind == Kind::kDict ? "a dict" : "a list", "something else");
    }
    if (kind == Kind::kDict && items.size() % 2 != 0) wrong("keys with values", "an odd number of them");
    container.items.insert(container.items.end(), items.begin(), items.end());
    return true;
  }

  bool run_atom(std::uint8_t opcode) {
    switch (opcode) {
      case kNoneOp:
        push(Kind::kNone);
        return true;
      case kNewTrue:
      case kNewFalse:
        return push_integer(Kind::kBool, opcode == kNewTrue ? 1 : 0);
      case kBinInt:
        return push_integer(Kind::kInteger, static_cast<std::int32_t>(take_number(4)));
      case kBinInt1:
        return push_integer(Kind::kInteger, static_cast<std::int64_t>(take_number(1)));
      case kBinInt2:
        return push_integer(Kind::kInteger, static_cast<std::int64_t>(take_number(2)));
      case kLong1:
        return push_long(take_text(take_number(1)));
      case kBinFloat: {
        std::uint64_t bits = 0;  // big-endian
        for (const std::byte byte : take(8)) bits = bits << 8U | static_cast<std::uint64_t>(byte);
        push(Kind::kFloat).number = std::bit_cast<double>(bits);
        return true;
      }
      case kShortBinUnicode:
      case kShortBinString:
      case kShortBinBytes:
        return push_text(take_text(take_number(1)));
      case kBinUnicode:
      case kBinString:
      case kBinBytes:
        return push_text(take_text(take_number(4)));
      case kBinUnicode8:
      case kBinBytes8:
        return push_text(take_text(take_number(8)));
      default:
        return false;
    }
  }

  void remember(std::uint32_t index) {
    top();
    memo_[index] = stack_.back();
  }
  void recall(std::uint32_t index) {
    const auto at = memo_.find(index);
    if (at == memo_.end()) wrong("a value that was put away", "none of this number");
    stack_.push_back(at->second);
  }

  bool run_memo(std::uint8_t opcode) {
    switch (opcode) {
      case kProtocol:
        if (const auto version = take_number(1); version < 2 || version > 5) wrong("protocol 2 to 5", "another");
        return true;
      case kFrame:
        take(8);
        return true;
      case kBinPut:
      case kLongBinPut:
        remember(static_cast<std::uint32_t>(take_number(opcode == kBinPut ? 1 : 4)));
        return true;
      case kMemoize:
        remember(static_cast<std::uint32_t>(memo_.size()));
        return true;
      case kBinGet:
      case kLongBinGet:
        recall(static_cast<std::uint32_t>(take_number(opcode == kBinGet ? 1 : 4)));
        return true;
      case kPop:
        pop();
        return true;
      case kPopMark:
        pop_to_mark();
        return true;
      case kDup:
        top();
        stack_.push_back(stack_.back());
        return true;
      default:
        return false;
    }
  }

  bool run_container(std::uint8_t opcode) {
    switch (opcode) {
      case kMarkOp:
        push(Kind::kMark);
        return true;
      case kEmptyDict:
      case kEmptyList:
      case kEmptyTuple:
      case kEmptySet:
        return push_items(opcode == kEmptyDict ? Kind::kDict : Kind::kList, {});
      case kTuple1:
      case kTuple2:
      case kTuple3:
        return push_tuple(opcode - kTuple1 + 1U);
      case kTupleOp:
      case kListOp:
      case kFrozenSet:
        return push_items(Kind::kList, pop_to_mark());
      case kDictOp:
        return push_items(Kind::kDict, pop_to_mark());
      case kAppend:
        return add({pop()}, Kind::kList);
      case kAppends:
      case kAddItems:
        return add(pop_to_mark(), Kind::kList);
      case kSetItem: {
        const Ref value = pop(), key = pop();
        return add({key, value}, Kind::kDict);
      }
      case kSetItems:
        return add(pop_to_mark(), Kind::kDict);
      default:
        return false;
    }
  }

  /// What Python would import, call or build.
  bool run_object(std::uint8_t opcode) {
    switch (opcode) {
      case kGlobalOp: {
        const std::string_view module = take_line();
        return push_global(module, take_line());
      }
      case kStackGlobal: {
        const Ref name = pop(), module = pop();
        if (node(name).kind != Kind::kText || node(module).kind != Kind::kText) wrong("a name", "something else");
        return push_global(node(module).text, node(name).text);
      }
      case kReduce:
      case kNewObject: {
        const Ref arguments = pop(), callable = pop();
        return push_items(Kind::kCall, {callable, arguments});
      }
      case kNewObjectEx: {
        pop();  // keyword arguments
        const Ref arguments = pop(), callable = pop();
        return push_items(Kind::kCall, {callable, arguments});
      }
      case kBuild: {
        const Ref state = pop();
        top().state = state;
        return true;
      }
      case kBinPersistentId: {
        const Ref id = pop();
        return push_items(Kind::kPersistent, {id});
      }
      default:
        return false;
    }
  }

  std::span<const std::byte> bytes_;
  std::string place_;
  Pickle& pickle_;
  std::size_t at_ = 0, opcode_at_ = 0;
  std::vector<Ref> stack_;
  std::unordered_map<std::uint32_t, Ref> memo_;
};

Pickle::Pickle(std::span<const std::byte> bytes, std::string place) {
  PickleMachine(bytes, std::move(place), *this).run();
}

std::string_view Pickle::called(Ref ref) const noexcept {
  // A call may itself be what is called: its name is the innermost one's. Nodes come after what they are made of.
  while (nodes_[ref].kind == Kind::kCall) ref = nodes_[ref].items[0];
  return nodes_[ref].kind == Kind::kGlobal ? nodes_[ref].text : std::string_view();
}

}  // namespace imagerank
