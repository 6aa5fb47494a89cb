#include "clip/tokenizer.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <mutex>
#include <queue>
#include <unordered_map>

#include "clip/text_cleaning.h"
#include "clip/tokenizer_files.h"
#include "clip/tokenizer_text.h"
#include "core/fail.h"

namespace imagerank::clip {
namespace {

struct StringHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const noexcept { return std::hash<std::string_view>{}(text); }
};
using WordCache = std::unordered_map<std::string, std::vector<std::int32_t>, StringHash, std::equal_to<>>;
constexpr std::size_t kCachedWords = 1 << 15;
constexpr std::size_t kCachedWordBytes = 64;
constexpr std::size_t kCacheStripes = 8;
// Below this many symbols a scan for the best merge beats a queue.
constexpr std::size_t kScanLimit = 48;

struct Merge {
  std::int32_t rank = 0;
  std::int32_t id = 0;
};

constexpr std::uint64_t pair_key(std::int32_t left, std::int32_t right) noexcept {
  return (static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32) | static_cast<std::uint32_t>(right);
}

/// The merges of a byte-level BPE over ids.
class BytePairs {
 public:
  BytePairs() = default;
  explicit BytePairs(const TokenizerFiles& files) : unknown_(files.unknown_id) {
    const auto find = [&](const std::string& symbol) {
      const auto found = files.vocabulary.find(symbol);
      return found == files.vocabulary.end() ? -1 : found->second;
    };
    for (std::size_t byte = 0; byte < 256; ++byte) {
      inner_[byte] = find(byte_alphabet()[byte]);
      last_[byte] = find(byte_alphabet()[byte] + files.end_of_word_suffix);
    }
    merges_.reserve(files.merges.size());
    for (std::size_t rank = 0; rank < files.merges.size(); ++rank) {
      const auto& [left, right] = files.merges[rank];
      const std::int32_t merged = find(left + right);
      const std::int32_t left_id = find(left);
      const std::int32_t right_id = find(right);
      if (merged < 0 || left_id < 0 || right_id < 0) {
        fail(ErrorCode::kCorruptData, "tokenizer: merge {} (\"{} {}\"): expected symbols of the vocabulary, found none",
             rank, left, right);
      }
      merges_.insert_or_assign(pair_key(left_id, right_id), Merge{static_cast<std::int32_t>(rank), merged});
    }
  }

  void encode(std::string_view word, std::vector<std::int32_t>& ids) const {
    std::vector<std::int32_t> symbols;
    symbols.reserve(word.size());
    for (std::size_t i = 0; i < word.size(); ++i) {
      const auto byte = static_cast<unsigned char>(word[i]);
      const std::int32_t id = i + 1 == word.size() ? last_[byte] : inner_[byte];
      if (id >= 0) symbols.push_back(id);
      if (id < 0 && unknown_ >= 0) symbols.push_back(unknown_);
    }
    if (symbols.size() <= kScanLimit) {
      merge_by_scan(symbols);
    } else {
      merge_by_queue(symbols);
    }
    ids.insert(ids.end(), symbols.begin(), symbols.end());
  }

 private:
  const Merge* find(std::int32_t left, std::int32_t right) const {
    const auto found = merges_.find(pair_key(left, right));
    return found == merges_.end() ? nullptr : &found->second;
  }

  void merge_by_scan(std::vector<std::int32_t>& symbols) const {
    std::array<Merge, kScanLimit> merges{};  // of each symbol with its right neighbour; id < 0: none
    const auto look_up = [&](std::size_t i) {
      const Merge* merge = find(symbols[i], symbols[i + 1]);
      merges[i] = merge != nullptr ? *merge : Merge{INT32_MAX, -1};
    };
    for (std::size_t i = 0; i + 1 < symbols.size(); ++i) look_up(i);
    while (symbols.size() > 1) {
      std::size_t best = 0;
      for (std::size_t i = 1; i + 1 < symbols.size(); ++i) {
        if (merges[i].rank < merges[best].rank) best = i;
      }
      if (merges[best].id < 0) break;
      symbols[best] = merges[best].id;
      symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(best) + 1);
      std::copy(merges.begin() + static_cast<std::ptrdiff_t>(best) + 2,
                merges.begin() + static_cast<std::ptrdiff_t>(symbols.size()) + 1,
                merges.begin() + static_cast<std::ptrdiff_t>(best) + 1);
      if (best > 0) look_up(best - 1);
      if (best + 1 < symbols.size()) look_up(best);
    }
  }

  void merge_by_queue(std::vector<std::int32_t>& symbols) const {
    struct Candidate {
      std::int32_t rank;
      std::size_t left;
      std::int32_t id;
      std::int32_t left_id, right_id;  ///< what stood there when it was found: stale candidates are skipped
      bool operator>(const Candidate& other) const { return std::tie(rank, left) > std::tie(other.rank, other.left); }
    };
    const std::size_t count = symbols.size();
    std::vector<std::size_t> next(count);
    std::vector<std::size_t> previous(count);
    for (std::size_t i = 0; i < count; ++i) {
      next[i] = i + 1;
      previous[i] = i == 0 ? count : i - 1;
    }
    std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue;
    const auto look_up = [&](std::size_t left) {
      const std::size_t right = next[left];
      if (right >= count) return;
      if (const Merge* merge = find(symbols[left], symbols[right]); merge != nullptr) {
        queue.push({merge->rank, left, merge->id, symbols[left], symbols[right]});
      }
    };
    for (std::size_t i = 0; i < count; ++i) look_up(i);
    while (!queue.empty()) {
      const Candidate best = queue.top();
      queue.pop();
      const std::size_t right = next[best.left];
      if (symbols[best.left] != best.left_id || right >= count || symbols[right] != best.right_id) continue;
      symbols[best.left] = best.id;
      symbols[right] = -1;
      next[best.left] = next[right];
      if (next[right] < count) previous[next[right]] = best.left;
      if (previous[best.left] < count) look_up(previous[best.left]);
      look_up(best.left);
    }
    std::erase(symbols, -1);
  }

  std::array<std::int32_t, 256> inner_{};
  std::array<std::int32_t, 256> last_{};
  std::int32_t unknown_ = -1;
  std::unordered_map<std::uint64_t, Merge> merges_;
};

/// Finds added tokens in a text: leftmost, then longest.
class AddedTokens {
 public:
  void add(AddedToken token) {
    if (token.content.empty()) return;
    starts_[static_cast<unsigned char>(token.content[0])] = true;
    tokens_.push_back(std::move(token));
    std::ranges::stable_sort(tokens_, [](const auto& a, const auto& b) { return a.content.size() > b.content.size(); });
  }

  /// Calls piece(text) and token(id) in order.
  template <typename Piece, typename Token>
  void split(std::string_view text, Piece&& piece, Token&& token) const {
    std::size_t done = 0;
    for (std::size_t i = 0; i < text.size();) {
      const AddedToken* found = starts_[static_cast<unsigned char>(text[i])] ? match(text, i) : nullptr;
      if (found == nullptr) {
        ++i;
        continue;
      }
      std::size_t begin = i;
      std::size_t end = i + found->content.size();
      i = end;
      if (found->single_word && touches_word(text, begin, end)) continue;
      if (found->lstrip) {
        while (begin > done) {
          std::size_t before = 0;
          if (!is_white_space(code_point_before(text, begin, before))) break;
          begin = before;
        }
      }
      while (found->rstrip && end < text.size()) {
        std::size_t after = 0;
        if (!is_white_space(code_point_at(text, end, after))) break;
        end = after;
      }
      if (begin > done) piece(text.substr(done, begin - done));
      token(found->id);
      done = end;
      i = std::max(i, end);
    }
    if (done < text.size()) piece(text.substr(done));
  }

 private:
  const AddedToken* match(std::string_view text, std::size_t at) const {
    for (const AddedToken& token : tokens_) {
      if (text.substr(at, token.content.size()) == token.content) return &token;
    }
    return nullptr;
  }
  static bool touches_word(std::string_view text, std::size_t begin, std::size_t end) {
    std::size_t edge = 0;
    return (begin > 0 && is_word_character(code_point_before(text, begin, edge))) ||
           (end < text.size() && is_word_character(code_point_at(text, end, edge)));
  }

  std::vector<AddedToken> tokens_;
  std::array<bool, 256> starts_{};
};

}  // namespace

struct Tokenizer::State {
  State(const TokenizerFiles& files, TextCleaning text_cleaning)
      : cleaning(text_cleaning),
        normalizer(files.normalizers),
        splitter(files.splits),
        pairs(files),
        start(files.start_id),
        end(files.end_id) {
    for (const auto& [symbol, id] : files.vocabulary) size = std::max(size, id + 1);
    for (const AddedToken& token : files.added_tokens) {
      size = std::max(size, token.id + 1);
      if (token.normalized) {
        AddedToken copy = token;
        copy.content = normalizer.normalize(repair_utf8(copy.content));
        after_normalization.add(std::move(copy));
      } else {
        before_normalization.add(token);
      }
    }
  }

  void encode_word(std::string_view word, WordCache* cache, std::vector<std::int32_t>& ids) const {
    if (cache == nullptr || word.size() > kCachedWordBytes) {
      pairs.encode(word, ids);
      return;
    }
    const auto found = cache->find(word);
    if (found != cache->end()) {
      ids.insert(ids.end(), found->second.begin(), found->second.end());
      return;
    }
    const std::size_t first = ids.size();
    pairs.encode(word, ids);
    if (cache->size() < kCachedWords) {
      cache->emplace(word, std::vector<std::int32_t>(ids.begin() + static_cast<std::ptrdiff_t>(first), ids.end()));
    }
  }

  struct CacheStripe {
    std::mutex mutex;
    WordCache words;
  };

  TextCleaning cleaning;
  TextNormalizer normalizer;
  TextSplitter splitter;
  BytePairs pairs;
  AddedTokens before_normalization;
  AddedTokens after_normalization;
  std::int32_t start = 0;
  std::int32_t end = 0;
  std::int32_t size = 0;
  mutable std::array<CacheStripe, kCacheStripes> caches;
};

Tokenizer::Tokenizer(std::unique_ptr<State> state) : state_(std::move(state)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Tokenizer Tokenizer::load(const std::filesystem::path& folder, TextCleaning cleaning) {
  return Tokenizer(std::make_unique<State>(load_tokenizer_files(folder), cleaning));
}

std::vector<std::int32_t> Tokenizer::tokenize(std::string_view text) const {
  static std::atomic<std::size_t> next_thread{0};
  thread_local const std::size_t kStripe = next_thread++ % kCacheStripes;
  State::CacheStripe& stripe = state_->caches[kStripe];
  const std::unique_lock lock(stripe.mutex, std::try_to_lock);
  WordCache* cache = lock.owns_lock() ? &stripe.words : nullptr;

  std::string repaired;
  if (!is_ascii(text)) text = repaired = repair_utf8(text);
  if (state_->cleaning == TextCleaning::kOpenAi) text = repaired = clean_text_as_openai(text);

  std::vector<std::int32_t> ids;
  ids.reserve(2 + text.size() / 3);
  ids.push_back(state_->start);
  const auto token = [&](std::int32_t id) { ids.push_back(id); };
  state_->before_normalization.split(
      text,
      [&](std::string_view piece) {
        const std::string normalized = state_->normalizer.normalize(piece);
        state_->after_normalization.split(
            normalized,
            [&](std::string_view rest) {
              state_->splitter.split(rest, [&](std::string_view word) { state_->encode_word(word, cache, ids); });
            },
            token);
      },
      token);
  ids.push_back(state_->end);
  return ids;
}

std::int32_t Tokenizer::start_of_text() const noexcept { return state_->start; }
std::int32_t Tokenizer::end_of_text() const noexcept { return state_->end; }
std::int32_t Tokenizer::vocabulary_size() const noexcept { return state_->size; }

}  // namespace imagerank::clip
