#include "core/torch_archive.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <optional>
#include <string_view>
#include <unordered_map>

#include "core/fail.h"
#include "core/pickle.h"
#include "core/shown.h"
#include "core/zip.h"

namespace imagerank {
namespace {

using Kind = Pickle::Kind;
using Ref = Pickle::Ref;
using Bytes = std::span<const std::byte>;

/// Where a checkpoint that holds more than weights keeps them, outermost first.
constexpr auto kWeightKeys = std::to_array<std::string_view>({"state_dict", "model_state_dict", "model", "module"});
constexpr std::string_view kScriptModules = "__torch__.";   ///< what TorchScript calls the classes of modules
constexpr int kMostDepth = 64;                              ///< of nested dicts
constexpr std::size_t kMostVisited = std::size_t{1} << 20;  ///< values of nested dicts
constexpr std::size_t kMostNameBytes = 1024;
constexpr std::size_t kMostPickleBytes = std::size_t{1} << 26;

/// The integer 0x1950a86a20f9469cfc6c, little-endian: the first pickle of a file of torch before 1.6.
constexpr std::string_view kLegacyMagic("\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 10);

std::optional<TensorType> storage_type(std::string_view global) {
  struct Name {
    std::string_view global;
    TensorType type;
  };
  constexpr auto kNames = std::to_array<Name>({{"torch.DoubleStorage", TensorType::kF64},
                                               {"torch.FloatStorage", TensorType::kF32},
                                               {"torch.HalfStorage", TensorType::kF16},
                                               {"torch.BFloat16Storage", TensorType::kBF16},
                                               {"torch.LongStorage", TensorType::kI64},
                                               {"torch.IntStorage", TensorType::kI32},
                                               {"torch.ShortStorage", TensorType::kI16},
                                               {"torch.CharStorage", TensorType::kI8},
                                               {"torch.ByteStorage", TensorType::kU8},
                                               {"torch.BoolStorage", TensorType::kBool}});
  const auto* const at = std::ranges::find(kNames, global, &Name::global);
  return at == kNames.end() ? std::nullopt : std::optional(at->type);
}

/// A reference to a run of numbers: ("storage", type, key, device, count).
struct Storage {
  TensorType type = TensorType::kF32;
  std::string_view key;
  std::uint64_t count = 0;
};

struct Tensor {
  Storage storage;
  std::uint64_t offset = 0;
  std::vector<std::int64_t> shape, strides;
};

/// What the values of a checkpoint's pickle mean.
class Meaning {
 public:
  explicit Meaning(const Pickle& pickle) : pickle_(pickle) {}

  /// The name of what a call calls, "" for calls of calls.
  [[nodiscard]] std::string_view called_once(Ref ref) const {
    const Pickle::Node& node = pickle_[ref];
    return node.kind == Kind::kCall && pickle_[node.items[0]].kind == Kind::kGlobal ? pickle_[node.items[0]].text
                                                                                    : std::string_view();
  }
  [[nodiscard]] std::optional<Storage> storage(Ref ref) const {
    const Pickle::Node& node = pickle_[ref];
    if (node.kind != Kind::kPersistent) return std::nullopt;
    const Pickle::Node& id = pickle_[node.items[0]];
    if (id.kind != Kind::kList || id.items.size() < 5 || pickle_[id.items[0]].text != "storage") return std::nullopt;
    const auto type = storage_type(pickle_[id.items[1]].text);
    const Pickle::Node &key = pickle_[id.items[2]], &count = pickle_[id.items[4]];
    const bool is_view = id.items.size() > 5 && pickle_[id.items[5]].kind != Kind::kNone;
    if (!type || key.kind != Kind::kText || count.kind != Kind::kInteger || count.integer < 0 || is_view) {
      return std::nullopt;
    }
    return Storage{*type, key.text, static_cast<std::uint64_t>(count.integer)};
  }

  /// nullopt for anything that is no tensor of plain numbers.
  [[nodiscard]] std::optional<Tensor> tensor(Ref ref) const {
    if (called_once(ref) == "torch._utils._rebuild_parameter") {
      const Pickle::Node& wrapped = pickle_[pickle_[ref].items[1]];
      if (wrapped.kind != Kind::kList || wrapped.items.empty()) return std::nullopt;
      ref = wrapped.items[0];
    }
    const std::string_view name = called_once(ref);
    if (name != "torch._utils._rebuild_tensor_v2" && name != "torch._utils._rebuild_tensor") return std::nullopt;
    const Pickle::Node& arguments = pickle_[pickle_[ref].items[1]];
    if (arguments.kind != Kind::kList || arguments.items.size() < 4) return std::nullopt;
    const auto from = storage(arguments.items[0]);
    const Pickle::Node& offset = pickle_[arguments.items[1]];
    auto shape = integers(arguments.items[2]), strides = integers(arguments.items[3]);
    if (!from || offset.kind != Kind::kInteger || offset.integer < 0 || !shape || !strides ||
        shape->size() != strides->size()) {
      return std::nullopt;
    }
    return Tensor{*from, static_cast<std::uint64_t>(offset.integer), std::move(*shape), std::move(*strides)};
  }

  /// Keys and values of a dict, an ordered dict or a TorchScript module, alternating; nullopt for anything else.
  [[nodiscard]] std::optional<std::span<const Ref>> entries(Ref ref) const {
    const Pickle::Node* node = &pickle_[ref];
    std::size_t first = 0;
    if (node->kind == Kind::kCall) {
      const std::string_view name = called_once(ref);
      if (name == "collections.OrderedDict" && pickle_[node->items[1]].items.empty()) {
        first = 2;
      } else if (name.starts_with(kScriptModules) && pickle_[node->state].kind == Kind::kDict) {
        node = &pickle_[node->state];
      } else {
        return std::nullopt;
      }
    } else if (node->kind != Kind::kDict) {
      return std::nullopt;
    }
    const auto items = std::span(node->items).subspan(first);
    return items.size() % 2 == 0 ? std::optional(items) : std::nullopt;
  }

  /// The dict of weights in a checkpoint: itself, unless it has a part of that name.
  [[nodiscard]] Ref weights(Ref ref) const {
    for (int depth = 0; depth < kMostDepth; ++depth) {
      const Ref inner = weight_part(ref);
      if (inner == 0) return ref;
      ref = inner;
    }
    return ref;
  }

  /// What a message calls something that is no tensor, dict, number or text.
  [[nodiscard]] std::string describe(Ref ref) const {
    const Kind kind = pickle_[ref].kind;
    const std::string_view name = pickle_.called(ref);
    if (kind == Kind::kCall && name.starts_with("torch._utils._rebuild_")) {
      return fmt::format("{} of a storage or shape that is not plain", name);
    }
    if (kind == Kind::kCall) return "a call of " + (name.empty() ? "something unnamed" : shown(name));
    if (kind == Kind::kGlobal) return "an import of " + shown(name);
    if (kind == Kind::kPersistent) return "a storage without a tensor";
    return "a plain value";
  }

 private:
  [[nodiscard]] std::optional<std::vector<std::int64_t>> integers(Ref ref) const {
    const Pickle::Node& list = pickle_[ref];
    constexpr std::size_t kMostAxes = 64;
    if (list.kind != Kind::kList || list.items.size() > kMostAxes) return std::nullopt;
    std::vector<std::int64_t> values;
    for (const Ref item : list.items) {
      if (pickle_[item].kind != Kind::kInteger || pickle_[item].integer < 0) return std::nullopt;
      values.push_back(pickle_[item].integer);
    }
    return values;
  }
  /// The part of a dict that holds the weights; 0 if it has none.
  [[nodiscard]] Ref weight_part(Ref ref) const {
    const auto parts = entries(ref);
    if (!parts || called_once(ref).starts_with(kScriptModules)) return 0;
    for (const std::string_view key : kWeightKeys) {
      for (std::size_t i = 0; i < parts->size(); i += 2) {
        const Pickle::Node& name = pickle_[(*parts)[i]];
        const Ref part = (*parts)[i + 1];
        if (name.kind == Kind::kText && name.text == key && entries(part)) return part;
      }
    }
    return 0;
  }

  const Pickle& pickle_;
};

/// The numbers behind a storage's key. @throws Error kCorruptData.
using StorageBytes = std::function<Bytes(const Storage&)>;

/// Turns the tree of a checkpoint into named tensors.
class Collector {
 public:
  Collector(const Pickle& pickle, const std::string& place, StorageBytes storage_bytes, std::size_t most_copied,
            std::map<std::string, TensorView>& tensors, std::deque<std::vector<std::byte>>& copies)
      : pickle_(pickle),
        meaning_(pickle),
        place_(place),
        storage_bytes_(std::move(storage_bytes)),
        most_copied_(most_copied),
        tensors_(tensors),
        copies_(copies) {}

  void collect() {
    const Ref weights = meaning_.weights(pickle_.root());
    if (!meaning_.entries(weights)) {
      fail(ErrorCode::kCorruptData,
           "{}: expected a dict of tensors, found {}; what a checkpoint would import or call is refused", place_,
           meaning_.describe(weights));
    }
    add(weights, "", 0);
  }

 private:
  void add(Ref ref, const std::string& name, int depth) {
    if (depth > kMostDepth || ++visited_ > kMostVisited) {
      fail(ErrorCode::kResourceLimit, "{}: '{}': expected dicts of tensors, found them nested too often", place_,
           shown(name));
    }
    if (const auto entries = meaning_.entries(ref)) {
      for (std::size_t i = 0; i < entries->size(); i += 2)
        add((*entries)[i + 1], joined(name, (*entries)[i]), depth + 1);
    } else if (pickle_[ref].kind == Kind::kList) {
      const std::vector<Ref>& items = pickle_[ref].items;
      for (std::size_t i = 0; i < items.size(); ++i) {
        add(items[i], fmt::format("{}{}{}", name, name.empty() ? "" : ".", i), depth + 1);
      }
    } else if (const auto tensor = meaning_.tensor(ref)) {
      if (!tensors_.emplace(name, view(*tensor, name)).second) {
        fail(ErrorCode::kCorruptData, "{}: tensor '{}': expected once, found twice", place_, name);
      }
    } else if (!is_plain(ref)) {
      fail(ErrorCode::kCorruptData,
           "{}: '{}': expected a tensor, found {}; what a checkpoint would import or call is refused", place_, name,
           meaning_.describe(ref));
    }
  }

  /// Numbers, texts and None; lists that TorchScript marks with their type hold no tensors.
  [[nodiscard]] bool is_plain(Ref ref) const {
    const Kind kind = pickle_[ref].kind;
    return (kind != Kind::kCall && kind != Kind::kGlobal && kind != Kind::kPersistent) ||
           meaning_.called_once(ref).starts_with("torch.jit._pickle.");
  }

  [[nodiscard]] std::string joined(const std::string& name, Ref key) const {
    const Pickle::Node& node = pickle_[key];
    const std::string dot = name.empty() ? "" : ".";
    const bool fits = name.size() + node.text.size() <= kMostNameBytes && shown(node.text, kMostNameBytes) == node.text;
    if (node.kind == Kind::kText && fits) return fmt::format("{}{}{}", name, dot, node.text);
    if (node.kind == Kind::kInteger) return fmt::format("{}{}{}", name, dot, node.integer);
    fail(ErrorCode::kCorruptData, "{}: '{}': expected names that are plain text, found '{}'", place_, name,
         shown(node.text, 40));
  }

  [[noreturn]] void wrong(const std::string& name, const Tensor& tensor, const std::string& expected) const {
    fail(ErrorCode::kCorruptData, "{}: tensor '{}': expected {}, found shape [{}], strides [{}], offset {}", place_,
         name, expected, fmt::join(tensor.shape, ", "), fmt::join(tensor.strides, ", "), tensor.offset);
  }

  TensorView view(const Tensor& tensor, const std::string& name) {
    const std::size_t size = element_size(tensor.storage.type);
    const Bytes storage = storage_bytes_(tensor.storage);
    const std::uint64_t count = storage.size() / size;
    const std::string within = fmt::format("a tensor within the {} numbers of its storage", count);
    if (std::ranges::find(tensor.shape, 0) != tensor.shape.end()) return {tensor.storage.type, tensor.shape, {}};
    // Numbers, and the place of the last one; both stay below count, so that nothing overflows.
    std::uint64_t elements = 1, last = tensor.offset;
    bool row_major = true;
    for (std::size_t axis = tensor.shape.size(); axis-- > 0;) {
      const auto extent = static_cast<std::uint64_t>(tensor.shape[axis]);
      const auto stride = static_cast<std::uint64_t>(tensor.strides[axis]);
      if (extent > 1 && stride != elements) row_major = false;
      if (elements > count / extent) wrong(name, tensor, within);
      elements *= extent;
      if (stride != 0 && extent - 1 > count / stride) wrong(name, tensor, within);
      last += (extent - 1) * stride;
      if (last > count) wrong(name, tensor, within);
    }
    if (last >= count) wrong(name, tensor, within);
    if (row_major) return {tensor.storage.type, tensor.shape, storage.subspan(tensor.offset * size, elements * size)};
    return {tensor.storage.type, tensor.shape, gathered(tensor, storage, elements, name), true};
  }

  /// A copy in row-major order, as of a matrix that was saved transposed.
  Bytes gathered(const Tensor& tensor, Bytes storage, std::uint64_t elements, const std::string& name) {
    const std::size_t size = element_size(tensor.storage.type);
    copied_ += elements * size;
    if (copied_ > most_copied_) wrong(name, tensor, "rearranged tensors no larger than the file");
    std::vector<std::byte>& copy = copies_.emplace_back(elements * size);
    std::vector<std::int64_t> index(tensor.shape.size());
    std::uint64_t from = tensor.offset;
    for (std::uint64_t i = 0; i < elements; ++i) {
      std::memcpy(copy.data() + i * size, storage.data() + from * size, size);
      for (std::size_t axis = index.size(); axis-- > 0;) {
        from += static_cast<std::uint64_t>(tensor.strides[axis]);
        if (++index[axis] < tensor.shape[axis]) break;
        from -= static_cast<std::uint64_t>(tensor.strides[axis] * tensor.shape[axis]);
        index[axis] = 0;
      }
    }
    return copy;
  }

  const Pickle& pickle_;
  Meaning meaning_;
  const std::string& place_;
  StorageBytes storage_bytes_;
  std::size_t most_copied_, copied_ = 0, visited_ = 0;
  std::map<std::string, TensorView>& tensors_;
  std::deque<std::vector<std::byte>>& copies_;
};

std::string_view as_text(Bytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

Pickle read_pickle(Bytes bytes, const std::string& place) {
  return {bytes.first(std::min(bytes.size(), kMostPickleBytes)), place};
}

/// A storage of `found` bytes must hold what its reference says.
Bytes checked_storage(const Storage& storage, Bytes found, const std::string& place) {
  const std::size_t size = element_size(storage.type);
  if (storage.count > found.size() / size) {
    fail(ErrorCode::kCorruptData, "{}: storage {}: expected {} numbers of {} bytes, found {} bytes", place,
         shown(storage.key, 40), storage.count, size, found.size());
  }
  return found.first(storage.count * size);
}

/// The members of torch's zip archive: NAME/data.pkl, and NAME/data/KEY for each storage.
class ZipSource {
 public:
  ZipSource(Bytes file, std::string place) : place_(std::move(place)), members_(zip_members(file, place_)) {
    constexpr std::string_view kName = "/data.pkl";
    for (const auto& [name, member] : members_) {
      if (!name.ends_with(kName) || name.find('/') != name.size() - kName.size()) continue;
      if (!folder_.empty()) fail(ErrorCode::kCorruptData, "{}: expected one data.pkl, found several", place_);
      folder_ = name.substr(0, name.size() - kName.size() + 1);
    }
    if (folder_.empty()) {
      fail(ErrorCode::kCorruptData, "{}: expected a checkpoint of torch.save, found a zip archive without data.pkl",
           place_);
    }
    if (const auto order = members_.find(folder_ + "byteorder");
        order != members_.end() && as_text(order->second.bytes) != "little") {
      fail(ErrorCode::kCorruptData, "{}: byteorder: expected little, found {}", place_,
           shown(as_text(order->second.bytes), 20));
    }
  }
  [[nodiscard]] Bytes pickle() const { return member("data.pkl"); }
  [[nodiscard]] Bytes storage(const Storage& storage) const {
    return checked_storage(storage, member(fmt::format("data/{}", storage.key)), place_);
  }

 private:
  [[nodiscard]] Bytes member(const std::string& name) const {
    const auto at = members_.find(folder_ + name);
    if (at == members_.end() || !at->second.stored) {
      fail(ErrorCode::kCorruptData, "{}: {}: expected a stored member of the archive, found {}", place_, shown(name),
           at == members_.end() ? "none" : "a compressed one");
    }
    return at->second.bytes;
  }

  std::string place_;
  std::map<std::string, ZipMember, std::less<>> members_;
  std::string folder_;  ///< "NAME/"
};

/// A file of torch before 1.6: pickles of a magic number, a version, facts of the system, the checkpoint and the keys
/// of its storages, then each storage: a 64-bit count, and its numbers.
class LegacySource {
 public:
  LegacySource(Bytes file, std::string place) : place_(std::move(place)), left_(file) {
    for (int i = 0; i < 3; ++i) next();
    checkpoint_ = left_;
    const Pickle checkpoint = next();
    const Pickle keys = next();
    std::unordered_map<std::string_view, TensorType> types;
    const Meaning meaning(checkpoint);
    for (Ref ref = 0; ref < checkpoint.nodes().size(); ++ref) {
      if (const auto storage = meaning.storage(ref)) types.emplace(storage->key, storage->type);
    }
    for (const Ref ref : keys[keys.root()].items) {
      const auto type = types.find(keys[ref].text);
      std::uint64_t count = 0;
      if (type == types.end() || left_.size() < sizeof(count)) {
        fail(ErrorCode::kCorruptData, "{}: storage {}: expected a storage of plain numbers, found {}", place_,
             shown(keys[ref].text, 40), type == types.end() ? "another kind" : "the end of the file");
      }
      std::memcpy(&count, left_.data(), sizeof(count));
      left_ = left_.subspan(sizeof(count));
      const Bytes bytes = checked_storage({type->second, type->first, count}, left_, place_);
      storages_.emplace(type->first, bytes);
      left_ = left_.subspan(bytes.size());
    }
  }
  [[nodiscard]] Bytes pickle() const { return checkpoint_; }
  [[nodiscard]] Bytes storage(const Storage& storage) const {
    const auto at = storages_.find(storage.key);
    return checked_storage(storage, at == storages_.end() ? Bytes() : at->second, place_);
  }

 private:
  Pickle next() {
    Pickle pickle = read_pickle(left_, place_);
    left_ = left_.subspan(pickle.size());
    return pickle;
  }

  std::string place_;
  Bytes left_, checkpoint_;
  std::unordered_map<std::string_view, Bytes> storages_;
};

bool is_legacy(Bytes bytes) {
  const std::string_view text = as_text(bytes);
  return text.size() > 14 && text[0] == '\x80' && text.substr(2, 2) == "\x8a\x0a" && text.substr(4, 10) == kLegacyMagic;
}

/// What a file is that is none of ours, for a message.
std::string describe_other(Bytes bytes, const std::string& place) {
  if (as_text(bytes).starts_with('\x80')) {
    const Pickle pickle = read_pickle(bytes, place);
    return "a pickle of " + Meaning(pickle).describe(pickle.root());
  }
  return bytes.size() > 262 && as_text(bytes).substr(257, 5) == "ustar" ? "a tar archive" : "another file";
}

}  // namespace

bool TorchArchive::looks_like(Bytes start) noexcept {
  const std::string_view text = as_text(start);
  const bool is_tar = text.size() > 262 && text.substr(257, 5) == "ustar";
  // The length of a safetensors header may begin as a pickle does; its upper half is zero, and JSON follows it.
  const bool is_safetensors = text.size() > 8 && text.substr(4, 4) == std::string_view("\0\0\0\0", 4) && text[8] == '{';
  if (is_safetensors) return false;
  return text.starts_with("PK\x03\x04") || (text.size() > 2 && text[0] == '\x80' && text[1] >= 2 && text[1] <= 5) ||
         is_tar;
}

TorchArchive::TorchArchive(const std::filesystem::path& path) : file_(path) {
  const Bytes bytes = file_.bytes();
  const std::string place = path.string();
  const auto collect = [&](const auto& source) {
    const Pickle pickle = read_pickle(source.pickle(), place);
    is_script_ = pickle.called(pickle.root()).starts_with(kScriptModules);
    Collector(
        pickle, place, [&](const Storage& storage) { return source.storage(storage); }, bytes.size(), tensors_, copies_)
        .collect();
  };
  if (as_text(bytes).starts_with("PK")) {
    collect(ZipSource(bytes, place));
  } else if (is_legacy(bytes)) {
    collect(LegacySource(bytes, place));
  } else {
    fail(ErrorCode::kCorruptData,
         "{}: expected a checkpoint of torch.save (a zip archive, or the file of torch before 1.6), found {}", place,
         describe_other(bytes, place));
  }
}

}  // namespace imagerank
