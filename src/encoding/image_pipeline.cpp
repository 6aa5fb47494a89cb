#include "encoding/image_pipeline.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <map>
#include <mutex>
#include <new>
#include <thread>
#include <utility>
#include <vector>

#include "core/atomic_file.h"
#include "core/bounded_queue.h"
#include "core/fail.h"
#include "core/hash.h"
#include "images/decode.h"

namespace imagerank::encoding {
namespace {

constexpr std::size_t kReaders = 2;          // one slow file does not hold up the next
constexpr std::size_t kGroupsPerWorker = 4;  // read, in the tower, and waiting for an earlier one
constexpr std::size_t kMaxFileBytes = std::size_t{256} << 20;

/// How far readers may run ahead: so many groups that are not delivered, so many bytes of files that are not decoded.
class Window {
 public:
  Window(std::size_t groups, std::size_t most) : groups_(groups), most_(most) {}

  /// The next group to read, when there is room. @return nullopt after the last, or once closed.
  std::optional<std::size_t> next() {
    std::unique_lock lock(mutex_);
    room_.wait(lock, [&] {
      return closed_ || next_ == groups_ || (next_ < delivered_ + most_ && held_bytes_ < kMaxFileBytes);
    });
    if (closed_ || next_ == groups_) return std::nullopt;
    return next_++;
  }
  /// Waits until fewer than `most` groups are begun and not delivered.
  void begin(std::size_t most) {
    std::unique_lock lock(mutex_);
    room_.wait(lock, [&] { return closed_ || begun_ < delivered_ + most; });
    ++begun_;
  }
  void hold(std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    held_bytes_ += bytes;
  }
  void release(std::size_t bytes) {
    {
      const std::lock_guard lock(mutex_);
      held_bytes_ -= bytes;
    }
    room_.notify_all();
  }
  void delivered() {
    {
      const std::lock_guard lock(mutex_);
      ++delivered_;
    }
    room_.notify_all();
  }
  void close() {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
    }
    room_.notify_all();
  }

 private:
  const std::size_t groups_;
  const std::size_t most_;
  std::mutex mutex_;
  std::condition_variable room_;
  std::size_t next_ = 0;
  std::size_t begun_ = 0;
  std::size_t delivered_ = 0;
  std::size_t held_bytes_ = 0;
  bool closed_ = false;
};

/// A file on its way to a worker.
struct LoadedImage {
  ImageResult result;
  bool wanted = false;
  std::string item;
  std::string place;  ///< "path: " before what the decoder says
  std::string file;
  std::span<const std::byte> bytes;  ///< of `file`, or of the caller's memory
};

struct LoadedGroup {
  std::size_t number = 0;
  std::vector<LoadedImage> images;
  std::size_t file_bytes = 0;
};

struct EncodedGroup {
  std::size_t number = 0;
  std::vector<ImageResult> results;
  std::vector<float> vectors;  ///< of the good ones
};

class Pipeline {
 public:
  Pipeline(const Tower& tower, const ImageList& images, const RunContext& context)
      : tower_(tower),
        images_(images),
        context_(context),
        group_(share_of(images.count, context.thread_count(), tower.group)),
        groups_((images.count + group_ - 1) / group_),
        workers_(std::clamp<std::size_t>(groups_, 1, static_cast<std::size_t>(context.thread_count()))),
        window_(groups_, kGroupsPerWorker * workers_),
        loaded_(kGroupsPerWorker * workers_),
        encoded_(kGroupsPerWorker * workers_),
        readers_left_(kReaders),
        workers_left_(workers_) {}
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;
  ~Pipeline() { abandon(); }

  void run(const std::function<void(ImageResult&&)>& sink) {
    for (std::size_t i = 0; i < kReaders; ++i) threads_.emplace_back([this] { read(); });
    for (std::size_t i = 0; i < workers_; ++i) threads_.emplace_back([this] { work(); });
    const std::stop_callback on_stop(context_.stop, [this] { window_.close(); });
    std::map<std::size_t, EncodedGroup> waiting;
    std::size_t front = 0;
    while (auto group = encoded_.pop()) {
      const std::size_t number = group->number;
      waiting.emplace(number, std::move(*group));
      while (!waiting.empty() && (!images_.in_order || waiting.begin()->first == front)) {
        deliver(waiting.begin()->second, sink);
        waiting.erase(waiting.begin());
        ++front;
        window_.delivered();
      }
    }
    threads_.clear();
    if (problem_) std::rethrow_exception(problem_);
    if (front < groups_) context_.check_stop();
  }

 private:
  /// Images a group: a list too short for a whole one each is divided among the threads.
  static std::size_t share_of(std::size_t count, int threads, std::size_t group) {
    const auto workers = static_cast<std::size_t>(threads);
    return std::clamp<std::size_t>((count + workers - 1) / workers, 1, group);
  }

  /// Nobody waits for anybody any more.
  void abandon() {
    abandoned_ = true;
    window_.close();
    loaded_.close();
    encoded_.close();
  }
  void keep_problem() {
    const std::lock_guard lock(problem_mutex_);
    if (!problem_) problem_ = std::current_exception();
    abandoned_ = true;
    window_.close();
    loaded_.close();
  }

  void read() {
    try {
      while (const auto number = window_.next()) {
        LoadedGroup group = load(*number);
        window_.hold(group.file_bytes);
        if (!loaded_.push(std::move(group))) break;
      }
    } catch (...) {
      keep_problem();
    }
    if (--readers_left_ == 0) loaded_.close();
  }

  void work() {
    try {
      std::vector<float> pixels;
      while (auto group = loaded_.pop()) {
        if (!images_.in_order) window_.begin(workers_);
        if (abandoned_ || context_.stop.stop_requested()) continue;
        if (!encoded_.push(encode(*group, pixels))) break;
      }
    } catch (...) {
      keep_problem();
    }
    if (--workers_left_ == 0) encoded_.close();
  }

  LoadedGroup load(std::size_t number) const {
    LoadedGroup group{number, {}, 0};
    const std::size_t first = number * group_;
    for (std::size_t index = first; index < std::min(first + group_, images_.count); ++index) {
      LoadedImage& image = group.images.emplace_back();
      image.result.index = index;
      std::optional<ImageSource> source = images_.source(index);
      if (!source) continue;
      image.wanted = true;
      image.item = std::move(source->item);
      load_bytes(*source, image);
      group.file_bytes += image.file.size();
    }
    return group;
  }

  static void load_bytes(const ImageSource& source, LoadedImage& image) {
    if (const auto* const bytes = std::get_if<std::span<const std::byte>>(&source.file)) {
      image.bytes = *bytes;
      return;
    }
    const auto& path = std::get<std::filesystem::path>(source.file);
    image.place = path.string() + ": ";
    try {
      image.file = load_file(path, images::DecodeLimits{}.max_file_bytes);
    } catch (const Error& error) {
      image.result.failure = {image.item, images::failure_reason(error.code()), error.what()};
    } catch (const std::bad_alloc&) {
      image.result.failure = {image.item, "too_large", image.place + "out of memory"};
    }
  }

  EncodedGroup encode(LoadedGroup& group, std::vector<float>& pixels) {
    EncodedGroup encoded{group.number, {}, {}};
    std::vector<std::size_t> good;
    pixels.clear();
    for (LoadedImage& image : group.images) {
      if (!image.file.empty()) image.bytes = std::as_bytes(std::span(image.file));
      if (image.wanted && !image.result.failure && prepare(image, pixels)) good.push_back(encoded.results.size());
      window_.release(std::exchange(image.file, {}).size());
      encoded.results.push_back(std::move(image.result));
    }
    std::vector<std::size_t> indices, ends;
    for (const std::size_t place : good) {
      const std::size_t index = encoded.results[place].index;
      indices.push_back(index);
      ends.push_back((ends.empty() ? 0 : ends.back()) + (tower_.dim_of ? tower_.dim_of(index) : tower_.dim));
    }
    if (good.empty()) return encoded;
    encoded.vectors.resize(ends.back());
    tower_.embed(indices, pixels, encoded.vectors);
    for (std::size_t i = 0; i < good.size(); ++i) {
      const std::size_t begin = i == 0 ? 0 : ends[i - 1];
      encoded.results[good[i]].vector = std::span(encoded.vectors).subspan(begin, ends[i] - begin);
    }
    return encoded;
  }

  /// Appends the image's pixels. @return false if it failed, or needs none.
  bool prepare(LoadedImage& image, std::vector<float>& pixels) const {
    if (images_.hash) {
      image.result.sha256 = sha256_hex(image.bytes);
      if (images_.known && images_.known(image.result.index, image.result.sha256)) return false;
    }
    try {
      const std::vector<float> own = images::preprocess(images::decode_image(image.bytes), tower_.preprocessing);
      pixels.insert(pixels.end(), own.begin(), own.end());
      return true;
    } catch (const Error& error) {
      image.result.failure = {image.item, images::failure_reason(error.code()), image.place + error.what()};
    } catch (const std::bad_alloc&) {
      image.result.failure = {image.item, "too_large", image.place + "out of memory"};
    }
    return false;
  }

  static void deliver(EncodedGroup& group, const std::function<void(ImageResult&&)>& sink) {
    for (ImageResult& result : group.results) sink(std::move(result));
  }

  const Tower& tower_;
  const ImageList& images_;
  const RunContext& context_;
  const std::size_t group_;
  const std::size_t groups_;
  const std::size_t workers_;
  Window window_;
  BoundedQueue<LoadedGroup> loaded_;
  BoundedQueue<EncodedGroup> encoded_;
  std::atomic<std::size_t> readers_left_;
  std::atomic<std::size_t> workers_left_;
  std::atomic<bool> abandoned_ = false;
  std::mutex problem_mutex_;
  std::exception_ptr problem_;         // problem_mutex_
  std::vector<std::jthread> threads_;  // the last: they use the others
};

}  // namespace

Tower vision_tower(const clip::Encoder& encoder, std::size_t group) {
  return {encoder.preprocessing(), encoder.dim(), group == 0 ? encoder.group_size() : group,
          [&encoder](std::span<const std::size_t>, std::span<const float> pixels, std::span<float> vectors) {
            encoder.embed_group(pixels, vectors);
          }};
}

Tower cross_tower(const blip::CrossEncoder& encoder,
                  std::function<std::vector<const blip::CrossPrompt*>(std::size_t index)> prompts) {
  Tower tower;
  tower.preprocessing = encoder.preprocessing();
  tower.dim_of = [prompts](std::size_t index) { return prompts(index).size(); };
  tower.embed = [&encoder, prompts = std::move(prompts)](std::span<const std::size_t> images,
                                                         std::span<const float> pixels, std::span<float> scores) {
    encoder.score(pixels, prompts(images.front()), scores);
  };
  return tower;
}

void encode_images(const Tower& tower, const ImageList& images, const RunContext& context,
                   const std::function<void(ImageResult&&)>& sink) {
  if (tower.group == 0 || (images.known && !images.hash)) {
    fail(ErrorCode::kInvalidArgument, "image pipeline: expected groups of 1 or more, and hashes where known is asked");
  }
  context.check_stop();
  if (images.count == 0) return;
  Pipeline(tower, images, context).run(sink);
}

}  // namespace imagerank::encoding
