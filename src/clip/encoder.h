#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "clip/tokenizer.h"
#include "images/preprocess.h"

namespace imagerank::clip {

enum class Precision { kFp32, kBf16, kInt8 };
enum class Device { kCpu, kCuda };
/// @throws Error kUnavailable where libtorch has no such device.
void require_device(Device device);
/// "fp32", "bf16", "int8". @throws Error kInvalidArgument naming them.
[[nodiscard]] Precision parse_precision(const std::string& name);

/// Which towers run.
enum class Engine {
  kAuto,    ///< kNative where it can run the model on the CPU, else kTorch
  kNative,  ///< our kernels (clip/cpu_towers.h)
  kTorch,   ///< libtorch's (clip/towers.h): the reference, and every device it has
};

/// What a published scorer does to its input otherwise than the model's files say. Where it changes anything, the
/// encoder has another name: its vectors are others.
struct InputRules {
  std::string text_prefix;                            ///< stands before every text
  std::optional<images::Resize> resize;               ///< instead of the files' own
  std::optional<images::CropRounding> crop_rounding;  ///< likewise
  std::optional<bool> antialias;                      ///< likewise
  /// With any of the three a model without preprocessing files takes CLIP's, at its own size.
  [[nodiscard]] bool changes_images() const noexcept { return resize || crop_rounding || antialias; }
  bool operator==(const InputRules&) const = default;
};

/// Towers that an encoder needs. What is not needed takes no time and no memory with Engine::kNative.
struct TowerNeed {
  bool images = true, texts = true;
};

struct EncoderOptions {
  Precision precision = Precision::kFp32;  ///< kInt8 is refused (kUnavailable) by libtorch's towers
  Device device = Device::kCpu;
  Engine engine = Engine::kAuto;        ///< kNative is refused (kUnavailable) where it cannot run
  bool allow_untrained = false;         ///< a model marked "imagerank_untrained" is kRefused otherwise
  std::filesystem::path tokenizer_dir;  ///< empty: the model's own folder
  TowerNeed need;                       ///< to call a tower that is not needed is kInvalidArgument
  bool need_tokenizer = true;           ///< false for images and tokens only
  TextCleaning text_cleaning = TextCleaning::kHuggingFace;
  InputRules rules;
};

/// Texts as vectors, and which of them did not fit the context.
struct TextEmbeddings {
  std::vector<float> values;        ///< [N, dim]
  std::vector<bool> truncated;      ///< N
  std::vector<std::size_t> tokens;  ///< N, that the tower read: with the ends, after truncation
};

/// A CLIP model folder, loaded: both towers, tokenizer, preprocessing. Not normalised unless said. Inference only.
/// With Engine::kNative a vector does not depend, in any bit, on what shares its batch, on order or threads; with
/// kTorch it may differ by float rounding. Its calls use as many threads as set_tower_threads said (clip/models.h).
class Encoder {
 public:
  /// @param model  a name ("builtin/sample", a hub id that was pulled) or a folder; see resolve_model.
  /// @throws Error kNotFound, kCorruptData, kRefused, kUnavailable.
  static Encoder load(const std::string& model, const EncoderOptions& options);
  Encoder(Encoder&&) noexcept;
  Encoder& operator=(Encoder&&) noexcept;
  ~Encoder();

  /// @param pixels  float32 [count, 3, S, S], preprocessed. @return [count, dim].
  [[nodiscard]] std::vector<float> embed_pixels(std::span<const float> pixels, std::size_t count) const;
  /// Images that one call of embed_group does best.
  [[nodiscard]] std::size_t group_size() const noexcept;
  /// embed_pixels for callers that bring threads of their own: several may call it at once.
  /// @param pixels  float32 [n, 3, S, S]. @param vectors  [n, dim], written. @throws Error kInvalidArgument.
  void embed_group(std::span<const float> pixels, std::span<float> vectors) const;
  /// @param tokens  int64 [count, length], each row with an end-of-text token. @return [count, dim].
  /// @throws Error kInvalidArgument naming the row: longer than the context, an id outside the vocabulary, no end of
  /// text.
  [[nodiscard]] std::vector<float> embed_tokens(std::span<const std::int64_t> tokens, std::size_t count) const;
  /// Tokenises, truncates to the context (end-of-text kept last), runs prompts of like length together.
  [[nodiscard]] TextEmbeddings embed_texts(std::span<const std::string> texts) const;

  [[nodiscard]] std::size_t dim() const noexcept;
  [[nodiscard]] std::size_t image_size() const noexcept;
  [[nodiscard]] const images::PreprocessOptions& preprocessing() const noexcept;
  [[nodiscard]] std::size_t context_length() const noexcept;
  /// Slug of the model, the precision and a hash of weights, config, tokenizer and preprocessing:
  /// "sample-fp32-1a2b3c4d". The same whatever need and need_tokenizer say.
  [[nodiscard]] const std::string& name() const noexcept;
  /// The folder, or the file of weights, that the model was loaded from, absolute.
  [[nodiscard]] const std::filesystem::path& folder() const noexcept;
  /// Marked so in config.json, or weights that cannot be told from random numbers (see untrained.h).
  [[nodiscard]] bool untrained() const noexcept;
  /// Which towers run, on what, and why: "native, AVX-512 BF16", "libtorch (device cuda)".
  [[nodiscard]] const std::string& engine() const noexcept;

 private:
  struct State;
  explicit Encoder(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// What Encoder::name() would be with these options, without loading the towers. @throws Error as Encoder::load.
[[nodiscard]] std::string encoder_name(const std::string& model, const EncoderOptions& options);

/// The folder of a model name: "builtin/sample" is assets/sample beside the program or in the source tree
/// (IMAGERANK_ASSETS overrides); then a folder, or a file of weights that need no config; then a hub id or an open_clip
/// pair (see clip/published.h) that lies in the cache of Hugging Face's tools. No network. @param needs_weights  a
/// cached model that has only its config or its tokenizer is then kNotFound. @throws Error kNotFound, saying what was
/// tried and how to pull it.
[[nodiscard]] std::filesystem::path resolve_model(const std::string& model, bool needs_weights = false);
/// The same for a model with weights, absolute. A file keeps its name, by which HPSv2's are known: in the cache it is a
/// link to a blob.
[[nodiscard]] std::filesystem::path resolve_weights(const std::string& model);

}  // namespace imagerank::clip
