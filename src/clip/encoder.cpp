#include "clip/encoder.h"

#include <algorithm>
#include <cctype>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "clip/models.h"
#include "clip/untrained.h"
#include "clip/weights.h"
#include "core/fail.h"
#include "core/hash.h"
#include "core/mapped_file.h"

namespace imagerank::clip {
namespace {

/// Rows of one pass of the text tower, in tokens: enough for full products, small enough for the caches.
constexpr std::int64_t kTokensPerPass = 4096;

constexpr std::size_t kTorchGroup = 32;  ///< images of a call that fill libtorch's products

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

/// All that decides on the vectors.
std::string content_hash(const std::filesystem::path& folder, const std::filesystem::path& tokenizer_folder,
                         TextCleaning cleaning) {
  Digest hash;
  const auto add = [&hash](const std::filesystem::path& path) {
    const MappedFile file(path);
    hash.update(fmt::format("{} {}\n", path.filename().string(), file.bytes().size()));
    hash.update(file.bytes());
  };
  add(find_weight_file(folder).path);
  for (const char* name : {"config.json", "open_clip_config.json", "preprocessor_config.json"}) {
    if (std::filesystem::exists(folder / name)) add(folder / name);
  }
  for (const std::string& name : find_tokenizer_files(tokenizer_folder)) add(tokenizer_folder / name);
  if (cleaning == TextCleaning::kOpenAi) hash.update("text-cleaning openai\n");
  return hash.hex_digest();
}

const char* precision_name(Precision precision) { return precision == Precision::kBf16 ? "bf16" : "fp32"; }

torch::Device find_device(Device device) {
  if (device == Device::kCpu) return torch::kCPU;
  if (!torch::cuda::is_available()) {
    fail(ErrorCode::kUnavailable, "device cuda: expected a CUDA device and a libtorch built for it, found none");
  }
  return torch::kCUDA;
}

/// One text or row of tokens to run: its tokens up to the pooled one, and where its vector goes.
struct Sequence {
  std::span<const std::int64_t> tokens;
  std::size_t row = 0;
};

std::vector<float> to_vector(const torch::Tensor& tensor) {
  const torch::Tensor values = tensor.to(torch::kCPU).contiguous();
  const float* data = values.data_ptr<float>();
  return {data, data + values.numel()};
}

}  // namespace

struct Encoder::State {
  bool untrained = false;
  std::filesystem::path folder;
  std::string name;
  ClipModel model{nullptr};
  torch::Device device = torch::kCPU;
  images::PreprocessOptions preprocessing;
  std::optional<Tokenizer> tokenizer;
  std::mutex torch_mutex;

  [[nodiscard]] const ModelConfig& config() const { return model->config(); }
  [[nodiscard]] std::size_t dim() const { return static_cast<std::size_t>(config().projection_dim); }

  /// Where a text is pooled: see ModelConfig::pooling. npos if it has no such token.
  [[nodiscard]] std::size_t pooled_position(std::span<const std::int64_t> tokens) const {
    const auto at = config().pooling == TextPooling::kArgmax ? std::ranges::max_element(tokens)
                                                             : std::ranges::find(tokens, config().eos_token_id);
    return at == tokens.end() ? std::string::npos : static_cast<std::size_t>(at - tokens.begin());
  }

  void check_tokenizer(const std::filesystem::path& place) const;
  void run_texts(std::vector<Sequence> sequences, std::span<float> output) const;
};

void Encoder::State::check_tokenizer(const std::filesystem::path& place) const {
  if (tokenizer->vocabulary_size() > config().vocabulary_size) {
    fail(ErrorCode::kCorruptData, "{}: tokenizer: expected at most the {} tokens of the model, found {}",
         place.string(), config().vocabulary_size, tokenizer->vocabulary_size());
  }
  if (config().pooling == TextPooling::kFirstEos && tokenizer->end_of_text() != config().eos_token_id) {
    fail(ErrorCode::kCorruptData,
         "{}: tokenizer: expected end of text to be token {} as the model's config says, found {}", place.string(),
         config().eos_token_id, tokenizer->end_of_text());
  }
}

/// Texts of like length share a pass, padded to its longest; the causal mask keeps the padding out of the result.
void Encoder::State::run_texts(std::vector<Sequence> sequences, std::span<float> output) const {
  const c10::InferenceMode inference;
  std::ranges::stable_sort(sequences, std::greater<>(),
                           [](const Sequence& sequence) { return sequence.tokens.size(); });
  TextTower tower = model->text;
  for (std::size_t begin = 0; begin < sequences.size();) {
    const std::size_t longest = sequences[begin].tokens.size();
    const std::size_t shortest = longest - std::min(longest, longest / 8);
    const std::size_t most = std::max<std::size_t>(1, static_cast<std::size_t>(kTokensPerPass) / longest);
    std::size_t end = begin + 1;
    while (end < sequences.size() && end - begin < most && sequences[end].tokens.size() >= shortest) ++end;

    const auto count = static_cast<std::int64_t>(end - begin);
    torch::Tensor tokens = torch::zeros({count, static_cast<std::int64_t>(longest)}, torch::kInt64);
    torch::Tensor rows = torch::empty({count}, torch::kInt64);
    for (std::size_t i = begin; i < end; ++i) {
      std::ranges::copy(sequences[i].tokens, tokens.data_ptr<std::int64_t>() + (i - begin) * longest);
      rows.data_ptr<std::int64_t>()[i - begin] = static_cast<std::int64_t>(sequences[i].tokens.size()) - 1;
    }
    const std::vector<float> vectors = to_vector(tower->forward_at(tokens.to(device), rows.to(device)));
    for (std::size_t i = begin; i < end; ++i) {
      std::copy_n(vectors.begin() + static_cast<std::ptrdiff_t>((i - begin) * dim()), dim(),
                  output.begin() + static_cast<std::ptrdiff_t>(sequences[i].row * dim()));
    }
    begin = end;
  }
}

Encoder::Encoder(std::unique_ptr<State> state) : state_(std::move(state)) {}
Encoder::Encoder(Encoder&&) noexcept = default;
Encoder& Encoder::operator=(Encoder&&) noexcept = default;
Encoder::~Encoder() = default;

Encoder Encoder::load(const std::string& model, const EncoderOptions& options) {
  auto state = std::make_unique<State>();
  state->folder = std::filesystem::canonical(resolve_model(model));
  const ModelConfig config = load_model_config(state->folder);
  if (config.untrained && !options.allow_untrained) {
    fail(ErrorCode::kRefused,
         "{}: expected a trained model, found random weights (imagerank_untrained in config.json); "
         "--allow-untrained uses them all the same",
         state->folder.string());
  }
  if (options.precision == Precision::kInt8) {
    fail(ErrorCode::kUnavailable, "precision int8: expected fp32 or bf16, which the libtorch towers have");
  }
  state->device = find_device(options.device);
  state->preprocessing = images::load_preprocess_options(state->folder);
  if (state->preprocessing.crop_size != config.image_size) {
    fail(ErrorCode::kCorruptData,
         "{}: preprocessor_config.json: crop_size: expected {}, the model's image size, found {}",
         state->folder.string(), config.image_size, state->preprocessing.crop_size);
  }
  state->model = load_clip_model(state->folder);
  state->untrained = config.untrained || weights_look_random(state->model);
  const std::filesystem::path tokenizer_folder = options.tokenizer_dir.empty() ? state->folder : options.tokenizer_dir;
  if (options.need_tokenizer) {
    state->tokenizer.emplace(Tokenizer::load(tokenizer_folder, options.text_cleaning));
    state->check_tokenizer(tokenizer_folder);
  }
  state->model->eval();
  if (options.precision == Precision::kBf16) state->model->use_bfloat16();
  state->model->to(state->device);
  state->name = fmt::format("{}-{}-{}", slug(state->folder.filename().string()), precision_name(options.precision),
                            content_hash(state->folder, tokenizer_folder, options.text_cleaning).substr(0, 8));
  return Encoder(std::move(state));
}

std::vector<float> Encoder::embed_pixels(std::span<const float> pixels, std::size_t count) const {
  const std::size_t image = 3 * image_size() * image_size();
  if (pixels.size() != count * image) {
    fail(ErrorCode::kInvalidArgument, "pixels: expected {} x 3 x {} x {} numbers, found {}", count, image_size(),
         image_size(), pixels.size());
  }
  if (count == 0) return {};
  const c10::InferenceMode inference;
  const auto size = static_cast<std::int64_t>(image_size());
  const torch::Tensor input =
      torch::from_blob(const_cast<float*>(pixels.data()), {static_cast<std::int64_t>(count), 3, size, size});
  return to_vector(state_->model->vision->forward(input.to(state_->device)));
}

std::size_t Encoder::group_size() const noexcept { return kTorchGroup; }

void Encoder::embed_group(std::span<const float> pixels, std::span<float> vectors) const {
  // libtorch has threads of its own.
  const std::scoped_lock lock(state_->torch_mutex);
  std::ranges::copy(embed_pixels(pixels, vectors.size() / dim()), vectors.begin());
}

std::vector<float> Encoder::embed_tokens(std::span<const std::int64_t> tokens, std::size_t count) const {
  if (count == 0 && tokens.empty()) return {};
  if (count == 0 || tokens.empty() || tokens.size() % count != 0) {
    fail(ErrorCode::kInvalidArgument, "tokens: expected {} rows of one length, found {} ids", count, tokens.size());
  }
  const std::size_t length = tokens.size() / count;
  if (length > context_length()) {
    fail(ErrorCode::kInvalidArgument, "tokens: expected at most {} in a row, found {}", context_length(), length);
  }
  std::vector<Sequence> sequences;
  for (std::size_t row = 0; row < count; ++row) {
    const std::span<const std::int64_t> ids = tokens.subspan(row * length, length);
    const auto vocabulary = state_->config().vocabulary_size;
    const auto wrong = std::ranges::find_if(ids, [&](std::int64_t id) { return id < 0 || id >= vocabulary; });
    if (wrong != ids.end()) {
      fail(ErrorCode::kInvalidArgument, "tokens: row {}: expected ids below {}, found {}", row, vocabulary, *wrong);
    }
    const std::size_t pooled = state_->pooled_position(ids);
    if (pooled == std::string::npos) {
      fail(ErrorCode::kInvalidArgument, "tokens: row {}: expected an end of text ({}), found none", row,
           state_->config().eos_token_id);
    }
    sequences.push_back({ids.first(pooled + 1), row});
  }
  std::vector<float> output(count * dim());
  state_->run_texts(std::move(sequences), output);
  return output;
}

TextEmbeddings Encoder::embed_texts(std::span<const std::string> texts) const {
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
    const std::vector<std::int32_t> ids = state_->tokenizer->tokenize(texts[i]);
    std::vector<std::int64_t>& tokens = token_lists.emplace_back(ids.begin(), ids.end());
    cut.push_back(tokens.size() > context_length());
    if (cut.back()) {
      tokens.resize(context_length());
      tokens.back() = state_->tokenizer->end_of_text();
    }
    tokens.resize(std::min(tokens.size(), state_->pooled_position(tokens) + 1));
  }
  std::vector<Sequence> sequences;
  for (std::size_t i = 0; i < token_lists.size(); ++i) sequences.push_back({token_lists[i], i});
  std::vector<float> vectors(token_lists.size() * dim());
  state_->run_texts(std::move(sequences), vectors);

  TextEmbeddings result;
  result.values.resize(texts.size() * dim());
  result.truncated.resize(texts.size());
  for (std::size_t i = 0; i < texts.size(); ++i) {
    std::copy_n(vectors.begin() + static_cast<std::ptrdiff_t>(unique_of[i] * dim()), dim(),
                result.values.begin() + static_cast<std::ptrdiff_t>(i * dim()));
    result.truncated[i] = cut[unique_of[i]];
  }
  return result;
}

std::size_t Encoder::dim() const noexcept { return static_cast<std::size_t>(state_->config().projection_dim); }
std::size_t Encoder::image_size() const noexcept { return static_cast<std::size_t>(state_->config().image_size); }
std::size_t Encoder::context_length() const noexcept {
  return static_cast<std::size_t>(state_->config().context_length);
}
const images::PreprocessOptions& Encoder::preprocessing() const noexcept { return state_->preprocessing; }
const std::string& Encoder::name() const noexcept { return state_->name; }
const std::filesystem::path& Encoder::folder() const noexcept { return state_->folder; }
bool Encoder::untrained() const noexcept { return state_->untrained; }

}  // namespace imagerank::clip
