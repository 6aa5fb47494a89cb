#include <mutex>
#include <optional>
#include <unordered_map>
#include <utility>

#include "core/fail.h"
#include "core/random.h"
#include "embeddings/cache_filling.h"

namespace imagerank::embeddings {
namespace {

/// Images of one content, as their rows say; the first one's file is read for all.
using Content = std::vector<const workspace::Image*>;

/// The images that need a vector, by content; what the cache can say without a look at a file is done.
class ImageEncoding : private CacheFilling {
 public:
  ImageEncoding(const workspace::Workspace& workspace, const encoding::Tower& tower, EmbeddingCache& cache,
                const RunContext& context, EncodeCounts& counts)
      : CacheFilling(workspace, cache, context, counts), tower_(tower) {}

  void plan(const std::vector<workspace::Image>& images) {
    std::unordered_map<std::string_view, std::size_t> by_content;
    for (const workspace::Image& image : images) {
      if (image.path.empty()) {
        counts_.failed.push_back({image.image_uid, "not_fetched", "no file; run `imagerank fetch` first"});
      } else if (!image.sha256.empty() && cache_.find_content(image.sha256) != EmbeddingCache::npos) {
        copy(image, image.sha256);
      } else if (image.sha256.empty()) {
        todo_.push_back({&image});  // its content is known once it is read
      } else if (const auto [at, first] = by_content.emplace(image.sha256, todo_.size()); first) {
        todo_.push_back({&image});
      } else {
        todo_[at->second].push_back(&image);
      }
    }
  }

  void run() {
    for (const Content& content : todo_) total_ += content.size();
    while (!todo_.empty()) {
      run_list();
      todo_ = std::exchange(again_, {});
    }
    set_rate();
  }

 private:
  void run_list() {
    if (const auto seed = cache_.join(tower_.dim)) Random(*seed).shuffle(todo_);
    encoding::ImageList list;
    list.count = todo_.size();
    list.source = [&](std::size_t index) -> std::optional<encoding::ImageSource> {
      const workspace::Image& image = *todo_[index].front();
      if (is_known(image.sha256)) return std::nullopt;  // by another process, since the plan
      return encoding::ImageSource{image.image_uid, workspace_.resolve(image)};
    };
    list.known = [this](std::size_t, const std::string& sha256) { return is_known(sha256); };
    run_pipeline(tower_, list, [&](encoding::ImageResult&& result) {
      const Content& content = todo_[result.index];
      take(content, std::move(result));
    });
  }

  bool is_known(const std::string& sha256) {
    const std::lock_guard lock(mutex_);
    return cache_.find_content(sha256) != EmbeddingCache::npos;
  }

  void take(const Content& content, encoding::ImageResult&& result) {
    std::size_t done = 1;
    const workspace::Image& first = *content.front();
    const std::string& sha256 = result.sha256.empty() ? first.sha256 : result.sha256;
    if (result.failure) {
      counts_.failed.push_back(std::move(*result.failure));
    } else if (result.vector.empty()) {
      copy(first, sha256);
    } else {
      cache_.add(first.image_uid, sha256, result.vector);
      ++counts_.encoded;
    }
    for (std::size_t i = 1; i < content.size(); ++i) {
      if (!result.failure && content[i]->sha256 == sha256) {
        copy(*content[i], sha256);
        ++done;
      } else {
        again_.push_back({content[i]});  // the first one's file is not what its row says: each its own
      }
    }
    report("encode images", done);
  }

  /// Gives an image the vector of a content that the cache has.
  void copy(const workspace::Image& image, const std::string& sha256) {
    const std::size_t row = cache_.find(image.image_uid);
    const std::size_t source = cache_.find_content(sha256);
    if (row != EmbeddingCache::npos && cache_.content(row) == sha256) {
      ++counts_.cached;
    } else if (source != EmbeddingCache::npos) {
      cache_.add(image.image_uid, sha256, cache_.row(source));
      ++counts_.copied;
    } else {
      again_.push_back({&image});  // that row has been given another content since
    }
  }

  const encoding::Tower& tower_;
  std::vector<Content> todo_;
  std::vector<Content> again_;
};

}  // namespace

void encode_images(const workspace::Workspace& workspace, const std::vector<workspace::Image>& images,
                   const encoding::Tower& tower, EmbeddingCache& cache, const RunContext& context,
                   EncodeCounts& counts) {
  ImageEncoding encoding(workspace, tower, cache, context, counts);
  encoding.plan(images);
  encoding.run();
  counts.images += images.size() - counts.failed.size();
}

}  // namespace imagerank::embeddings
