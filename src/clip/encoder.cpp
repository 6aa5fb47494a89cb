#include "clip/encoder.h"

#include <algorithm>
#include <cctype>
#include <functional>
#include <numeric>
#include <optional>
#include <unordered_map>

#include "clip/engine.h"
#include "clip/model_config.h"
#include "clip/models.h"
#include "clip/published.h"
#include "clip/untrained.h"
#include "clip/weight_reader.h"
#include "core/fail.h"
#include "core/hash.h"
#include "core/mapped_file.h"
#include "core/threads.h"

namespace imagerank::clip {
namespace {

std::string slug(const std::string& name) {
  std::string result;
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0 && byte < 128) {
      result += static_cast<char>(std::tolower(byte));
    } else if (!result.empty() && result.back() != '-') {
      result += '-';
    }
  }
  while (!result.empty() && result.back() == '-') result.pop_back();
  return result.empty() ? "model" : result;
}

/// What a model is called: its folder's name, or its repository's in the cache of a hub.
std::string title(const std::filesystem::path& folder) {
  const std::optional<std::string> cached = cached_model_name(folder);
  if (!cached) return folder.filename().string();
  const std::size_t slash = cached->find('/');
  return cached->substr(slash + 1, cached->find('@') - slash - 1);
}

/// What the rules change, for the encoder's name; "" if nothing.
std::string changes_of(const std::filesystem::path& folder, const ModelConfig& config, const InputRules& rules) {
  std::string changes;
  if (!rules.text_prefix.empty()) changes += fmt::format("text-prefix {}\n", rules.text_prefix);
  if (!rules.changes_images()) return changes;
  const images::PreprocessOptions used = load_preprocessing(folder, config, rules);
  std::optional<images::PreprocessOptions> own;
  try {
    own = load_preprocessing(folder);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kNotFound) throw;
  }
  if (!own || own->resize != used.resize || own->crop_rounding != used.crop_rounding ||
      own->antialias != used.antialias) {
    changes += fmt::format("images {} {} {}\n", images::resize_name(used.resize),
                           used.crop_rounding == images::CropRounding::kDown ? "down" : "even", used.antialias);
  }
  return changes;
}

/// All that decides on the vectors.
std::string content_hash(const WeightReader& weights, const std::filesystem::path& folder,
                         const std::filesystem::path& tokenizer_folder, const EncoderOptions& options) {
  Digest hash;
  const auto add = [&hash](const std::filesystem::path& path) {
    const MappedFile file(path);
    hash.update(fmt::format("{} {}\n", path.filename().string(), file.bytes().size()));
    hash.update(file.bytes());
  };
  hash.update(
      fmt::format("{} {}\n", layout_name(weights.layout()), weights.digest(static_cast<std::size_t>(tower_threads()))));
  for (const char* name : {"config.json", "open_clip_config.json", "preprocessor_config.json"}) {
    if (std::filesystem::exists(folder / name)) add(folder / name);
  }
  for (const std::string& name : find_tokenizer_files(tokenizer_folder)) add(tokenizer_folder / name);
  if (options.text_cleaning == TextCleaning::kOpenAi) hash.update("text-cleaning openai\n");
  hash.update(changes_of(folder, weights.config(), options.rules));
  return hash.hex_digest();
}

std::filesystem::path tokenizer_folder_of(const std::filesystem::path& folder, const EncoderOptions& options) {
  return options.tokenizer_dir.empty() ? folder : options.tokenizer_dir;
}

/// @param folder  absolute.
std::string name_of(const WeightReader& weights, const std::filesystem::path& folder, const EncoderOptions& options) {
  const std::string hash = content_hash(weights, folder, tokenizer_folder_of(folder, options), options);
  return fmt::format("{}-{}-{}", slug(title(folder)), precision_name(options.precision), hash.substr(0, 8));
}

}  // namespace

Precision parse_precision(const std::string& name) {
  for (const Precision precision : {Precision::kFp32, Precision::kBf16, Precision::kInt8}) {
    if (name == precision_name(precision)) return precision;
  }
  fail(ErrorCode::kInvalidArgument, "--precision: expected fp32, bf16 or int8, found '{}'", name);
}

struct Encoder::State {
  TowerNeed need;
  bool untrained = false;
  std::filesystem::path folder;
  std::string name;
  ModelConfig config;
  std::unique_ptr<TowerEngine> engine;
  images::PreprocessOptions preprocessing;
  std::optional<Tokenizer> tokenizer;
  std::string text_prefix;

  [[nodiscard]] std::size_t dim() const { return static_cast<std::size_t>(config.projection_dim); }
  /// Threads that call the engine at once.
  [[nodiscard]] std::size_t callers() const {
    return engine->one_thread_a_call() ? static_cast<std::size_t>(tower_threads()) : 1;
  }

  /// Where a text is pooled: see ModelConfig::pooling. npos if it has no such token.
  [[nodiscard]] std::size_t pooled_position(std::span<const std::int64_t> tokens) const {
    const auto at = config.pooling == TextPooling::kArgmax ? std::ranges::max_element(tokens)
                                                           : std::ranges::find(tokens, config.eos_token_id);
    return at == tokens.end() ? std::string::npos : static_cast<std::size_t>(at - tokens.begin());
  }

  /// @throws Error kInvalidArgument if the encoder was loaded without this tower.
  void check_loaded(bool loaded, const char* what) const {
    if (loaded) return;
    fail(ErrorCode::kInvalidArgument, "encoder {}: {} need a tower that it was loaded without", name, what);
  }
  void check_tokenizer(const std::filesystem::path& place) const;
  /// @param texts  each up to its pooled token. @param output  [texts, dim].
  void run_texts(const std::vector<std::span<const std::int64_t>>& texts, std::span<float> output) const;
};

void Encoder::State::check_tokenizer(const std::filesystem::path& place) const {
  if (tokenizer->vocabulary_size() > config.vocabulary_size) {
    fail(ErrorCode::kCorruptData, "{}: tokenizer: expected at most the {} tokens of the model, found {}",
         place.string(), config.vocabulary_size, tokenizer->vocabulary_size());
  }
  if (config.pooling == TextPooling::kFirstEos && tokenizer->end_of_text() != config.eos_token_id) {
    fail(ErrorCode::kCorruptData,
         "{}: tokenizer: expected end of text to be token {} as the model's config says, found {}", place.string(),
         config.eos_token_id, tokenizer->end_of_text());
  }
  if (config.pooling == TextPooling::kArgmax && tokenizer->end_of_text() != config.vocabulary_size - 1) {
    fail(ErrorCode::kCorruptData,
         "{}: tokenizer: expected end of text to be token {}, the model's largest, at which texts are pooled, found {}",
         place.string(), config.vocabulary_size - 1, tokenizer->end_of_text());
  }
}

/// In passes of like length: one of an engine's calls does no more tokens than another.
void Encoder::State::run_texts(const std::vector<std::span<const std::int64_t>>& texts, std::span<float> output) const {
  std::vector<std::size_t> order(texts.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, std::greater<>(), [&](std::size_t i) { return texts[i].size(); });
  std::vector<std::span<const std::int64_t>> sorted;
  std::vector<float*> vectors;
  std::vector<std::size_t> starts;  // of each pass
  std::size_t tokens = 0;
  for (const std::size_t i : order) {
    if (starts.empty() || tokens + texts[i].size() > engine->text_group()) {
      starts.push_back(sorted.size());
      tokens = 0;
    }
    tokens += texts[i].size();
    sorted.push_back(texts[i]);
    vectors.push_back(output.data() + i * dim());
  }
  const std::size_t passes = starts.size();
  starts.push_back(sorted.size());
  share_range(passes, 1, callers(), [&](std::size_t first, std::size_t last) {
    const std::size_t begin = starts[first], count = starts[last] - begin;
    engine->embed_texts(std::span(sorted).subspan(begin, count), std::span(vectors).subspan(begin, count));
  });
}

Encoder::Encoder(std::unique_ptr<State> state) : state_(std::move(state)) {}
Encoder::Encoder(Encoder&&) noexcept = default;
Encoder& Encoder::operator=(Encoder&&) noexcept = default;
Encoder::~Encoder() = default;

Encoder Encoder::load(const std::string& model, const EncoderOptions& options) {
  auto state = std::make_unique<State>();
  state->need = options.need;
  state->folder = resolve_weights(model);
  const WeightReader weights(state->folder);
  const ModelConfig& config = state->config = weights.config();
  if (config.untrained && !options.allow_untrained) {
    fail(ErrorCode::kRefused,
         "{}: expected a trained model, found random weights (imagerank_untrained in config.json); "
         "--allow-untrained uses them all the same",
         state->folder.string());
  }
  state->preprocessing = load_preprocessing(state->folder, config, options.rules);
  state->text_prefix = options.rules.text_prefix;
  if (state->preprocessing.crop_size != config.image_size) {
    fail(ErrorCode::kCorruptData, "{}: preprocessing: crop_size: expected {}, the model's image size, found {}",
         state->folder.string(), config.image_size, state->preprocessing.crop_size);
  }
  state->engine = make_engine(weights, options);
  state->untrained = config.untrained || weights_look_random(weights);
  const std::filesystem::path tokenizer_folder = tokenizer_folder_of(state->folder, options);
  if (options.need_tokenizer) {
    state->tokenizer.emplace(Tokenizer::load(tokenizer_folder, options.text_cleaning));
    state->check_tokenizer(tokenizer_folder);
  }
  state->name = name_of(weights, state->folder, options);
  return Encoder(std::move(state));
}

std::string encoder_name(const std::string& model, const EncoderOptions& options) {
  const std::filesystem::path folder = resolve_weights(model);
  return name_of(WeightReader(folder), folder, options);
}

std::vector<float> Encoder::embed_pixels(std::span<const float> pixels, std::size_t count) const {
  state_->check_loaded(state_->need.images, "images");
  const std::size_t image = 3 * image_size() * image_size();
  if (pixels.size() != count * image) {
    fail(ErrorCode::kInvalidArgument, "pixels: expected {} x 3 x {} x {} numbers, found {}", count, image_size(),
         image_size(), pixels.size());
  }
  std::vector<float> vectors(count * dim());
  const TowerEngine& engine = *state_->engine;
  const std::size_t group = engine.one_thread_a_call() ? engine.image_group() : std::max<std::size_t>(count, 1);
  share_range(count, group, state_->callers(), [&](std::size_t first, std::size_t last) {
    engine.embed_images(pixels.subspan(first * image, (last - first) * image),
                        std::span(vectors).subspan(first * dim(), (last - first) * dim()));
  });
  return vectors;
}

std::size_t Encoder::group_size() const noexcept { return state_->engine->image_group(); }

void Encoder::embed_group(std::span<const float> pixels, std::span<float> vectors) const {
  state_->check_loaded(state_->need.images, "images");
  const std::size_t image = 3 * image_size() * image_size();
  if (pixels.size() % image != 0 || vectors.size() != pixels.size() / image * dim()) {
    fail(ErrorCode::kInvalidArgument, "pixels: expected n x {} numbers for n x {}, found {} for {}", image, dim(),
         pixels.size(), vectors.size());
  }
  if (!pixels.empty()) state_->engine->embed_images(pixels, vectors);
}

std::vector<float> Encoder::embed_tokens(std::span<const std::int64_t> tokens, std::size_t count) const {
  state_->check_loaded(state_->need.texts, "texts");
  if (count == 0 && tokens.empty()) return {};
  if (count == 0 || tokens.empty() || tokens.size() % count != 0) {
    fail(ErrorCode::kInvalidArgument, "tokens: expected {} rows of one length, found {} ids", count, tokens.size());
  }
  const std::size_t length = tokens.size() / count;
  if (length > context_length()) {
    fail(ErrorCode::kInvalidArgument, "tokens: expected at most {} in a row, found {}", context_length(), length);
  }
  std::vector<std::span<const std::int64_t>> texts;
  for (std::size_t row = 0; row < count; ++row) {
    const std::span<const std::int64_t> ids = tokens.subspan(row * length, length);
    const auto vocabulary = state_->config.vocabulary_size;
    const auto wrong = std::ranges::find_if(ids, [&](std::int64_t id) { return id < 0 || id >= vocabulary; });
    if (wrong != ids.end()) {
      fail(ErrorCode::kInvalidArgument, "tokens: row {}: expected ids below {}, found {}", row, vocabulary, *wrong);
    }
    const std::size_t pooled = state_->pooled_position(ids);
    if (pooled == std::string::npos) {
      fail(ErrorCode::kInvalidArgument, "tokens: row {}: expected an end of text ({}), found none", row,
           state_->config.eos_token_id);
    }
    texts.push_back(ids.first(pooled + 1));
  }
  std::vector<float> output(count * dim());
  state_->run_texts(texts, output);
  return output;
}

TextEmbeddings Encoder::embed_texts(std::span<const std::string> texts) const {
  state_->check_loaded(state_->need.texts, "texts");
  if (!state_->tokenizer)
    fail(ErrorCode::kInvalidArgument, "encoder {}: texts need a tokenizer, and it was loaded without", name());
  std::unordered_map<std::string_view, std::size_t> unique;
  std::vector<std::size_t> unique_of(texts.size());
  std::vector<std::vector<std::int64_t>> token_lists;
  std::vector<bool> cut;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const auto [at, inserted] = unique.emplace(texts[i], token_lists.size());
    unique_of[i] = at->second;
    if (!inserted) continue;
    const std::vector<std::int32_t> ids = state_->tokenizer->tokenize(state_->text_prefix + texts[i]);
    std::vector<std::int64_t>& tokens = token_lists.emplace_back(ids.begin(), ids.end());
    cut.push_back(tokens.size() > context_length());
    if (cut.back()) {
      tokens.resize(context_length());
      tokens.back() = state_->tokenizer->end_of_text();
    }
    tokens.resize(std::min(tokens.size(), state_->pooled_position(tokens) + 1));
  }
  std::vector<float> vectors(token_lists.size() * dim());
  state_->run_texts({token_lists.begin(), token_lists.end()}, vectors);

  TextEmbeddings result;
  result.values.resize(texts.size() * dim());
  result.truncated.resize(texts.size());
  result.tokens.resize(texts.size());
  for (std::size_t i = 0; i < texts.size(); ++i) {
    std::copy_n(vectors.begin() + static_cast<std::ptrdiff_t>(unique_of[i] * dim()), dim(),
                result.values.begin() + static_cast<std::ptrdiff_t>(i * dim()));
    result.truncated[i] = cut[unique_of[i]];
    result.tokens[i] = token_lists[unique_of[i]].size();
  }
  return result;
}

std::size_t Encoder::dim() const noexcept { return static_cast<std::size_t>(state_->config.projection_dim); }
std::size_t Encoder::image_size() const noexcept { return static_cast<std::size_t>(state_->config.image_size); }
std::size_t Encoder::context_length() const noexcept { return static_cast<std::size_t>(state_->config.context_length); }
const images::PreprocessOptions& Encoder::preprocessing() const noexcept { return state_->preprocessing; }
const std::string& Encoder::name() const noexcept { return state_->name; }
const std::filesystem::path& Encoder::folder() const noexcept { return state_->folder; }
bool Encoder::untrained() const noexcept { return state_->untrained; }
const std::string& Encoder::engine() const noexcept { return state_->engine->description(); }

}  // namespace imagerank::clip
