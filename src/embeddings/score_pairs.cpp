#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>

#include "core/fail.h"
#include "core/random.h"
#include "embeddings/cache_filling.h"

namespace imagerank::embeddings {
namespace {

using Clock = std::chrono::steady_clock;

/// The images that are judged, and for which prompts.
using Judged = std::map<std::string, std::vector<std::string>>;

Judged load_pairs(const workspace::Workspace& workspace, const RunContext& context) {
  workspace::Database database(context.threads);
  workspace.attach(database, "rankings");
  workspace.attach_or_empty(database, "ratings");
  Judged judged;
  database.for_each_chunk(
      "SELECT unnest(image_uids) AS image_uid, prompt FROM rankings UNION SELECT image_uid, prompt FROM ratings "
      "ORDER BY 1, 2",
      [&](const workspace::Table& rows) {
        for (std::size_t i = 0; i < rows.row_count; ++i) {
          judged[rows.column("image_uid").text[i]].push_back(rows.column("prompt").text[i]);
        }
      });
  return judged;
}

/// What a score was made of.
std::string content_of(const std::string& sha256, const std::string& prompt) { return sha256 + '\n' + prompt; }

/// Uids whose rows name one content, and all their prompts; the first one's file is read for all.
struct Work {
  struct Wanted {
    const workspace::Image* image = nullptr;
    std::string prompt;
  };
  std::vector<Wanted> wanted;
  std::vector<std::string> prompts;  ///< each once, sorted

  [[nodiscard]] const workspace::Image& first() const { return *wanted.front().image; }
};

class PairScoring : private CacheFilling {
 public:
  PairScoring(const workspace::Workspace& workspace, const blip::CrossEncoder& encoder, EmbeddingCache& cache,
              const RunContext& context, EncodeCounts& counts)
      : CacheFilling(workspace, cache, context, counts), encoder_(encoder) {}

  void plan(const std::vector<workspace::Image>& images, const Judged& judged) {
    std::unordered_map<std::string_view, const workspace::Image*> rows;
    for (const workspace::Image& image : images) rows.emplace(image.image_uid, &image);
    std::map<std::string, std::size_t> by_content;
    for (const auto& [uid, prompts] : judged) {
      const auto row = rows.find(uid);
      if (row == rows.end() || row->second->path.empty()) {
        counts_.failed.push_back({uid, "not_fetched", "no file; run `imagerank fetch` first"});
        continue;
      }
      ++counts_.images;
      counts_.pairs += prompts.size();
      const workspace::Image& image = *row->second;
      std::size_t place = todo_.size();
      if (!image.sha256.empty()) place = by_content.emplace(image.sha256, place).first->second;
      if (place == todo_.size()) todo_.emplace_back();
      for (const std::string& prompt : prompts) {
        if (image.sha256.empty() || !take_known(image, image.sha256, prompt)) {
          todo_[place].wanted.push_back({&image, prompt});
        }
      }
    }
    std::erase_if(todo_, [](const Work& work) { return work.wanted.empty(); });
    read_prompts(judged);
  }

  void run() {
    for (const Work& work : todo_) total_ += work.wanted.size();
    while (!todo_.empty()) {
      for (Work& work : todo_) {
        std::set<std::string> prompts;
        for (const Work::Wanted& wanted : work.wanted) prompts.insert(wanted.prompt);
        work.prompts.assign(prompts.begin(), prompts.end());
      }
      run_list();
      todo_ = std::exchange(again_, {});
    }
    set_rate();
  }

 private:
  void read_prompts(const Judged& judged) {
    for (const auto& [uid, prompts] : judged) {
      for (const std::string& prompt : prompts) prompts_.try_emplace(prompt);
    }
    counts_.texts = prompts_.size();
    for (auto& [text, prompt] : prompts_) {
      prompt = encoder_.read_prompt(text);
      counts_.texts_truncated += prompt.truncated ? 1 : 0;
    }
  }

  void run_list() {
    if (const auto seed = cache_.join(1)) Random(*seed).shuffle(todo_);
    encoding::ImageList list;
    list.count = todo_.size();
    list.source = [&](std::size_t index) -> std::optional<encoding::ImageSource> {
      const workspace::Image& image = todo_[index].first();
      if (is_known(index, image.sha256)) return std::nullopt;  // by another process, since the plan
      return encoding::ImageSource{image.image_uid, workspace_.resolve(image)};
    };
    list.known = [this](std::size_t index, const std::string& sha256) { return is_known(index, sha256); };
    const encoding::Tower tower = encoding::cross_tower(encoder_, [this](std::size_t index) {
      std::vector<const blip::CrossPrompt*> prompts;
      for (const std::string& prompt : todo_[index].prompts) prompts.push_back(&prompts_.at(prompt));
      return prompts;
    });
    run_pipeline(tower, list, [&](encoding::ImageResult&& result) {
      const Work& work = todo_[result.index];
      take(work, std::move(result));
    });
  }

  bool is_known(std::size_t index, const std::string& sha256) {
    if (sha256.empty()) return false;
    const std::lock_guard lock(mutex_);
    return std::ranges::all_of(todo_[index].prompts, [&](const std::string& prompt) {
      return cache_.find_content(content_of(sha256, prompt)) != EmbeddingCache::npos;
    });
  }

  void take(const Work& work, encoding::ImageResult&& result) {
    const std::string& sha256 = result.sha256.empty() ? work.first().sha256 : result.sha256;
    const bool scored = !result.failure && !result.vector.empty();
    counts_.encoded += scored ? 1 : 0;
    std::size_t done = 0;
    std::map<const workspace::Image*, Work> others;  // the first one's file is not what their rows say: each its own
    for (const Work::Wanted& wanted : work.wanted) {
      const bool same = wanted.image == &work.first() || (!result.failure && wanted.image->sha256 == sha256);
      if (!same) {
        others[wanted.image].wanted.push_back(wanted);
        continue;
      }
      ++done;
      if (result.failure) {
        --counts_.pairs;
      } else if (scored) {
        const auto place = std::ranges::lower_bound(work.prompts, wanted.prompt) - work.prompts.begin();
        cache_.add(score_key(wanted.image->image_uid, wanted.prompt), content_of(sha256, wanted.prompt),
                   result.vector.subspan(static_cast<std::size_t>(place), 1));
      } else if (!take_known(*wanted.image, sha256, wanted.prompt)) {
        --done;
        again_.push_back({{wanted}, {}});  // that row has been given another content since
      }
    }
    for (auto& [image, own] : others) again_.push_back(std::move(own));
    if (result.failure) {
      --counts_.images;
      counts_.failed.push_back(std::move(*result.failure));
    }
    report("score images", done);
  }

  /// Gives a pair the score of its content, if the cache has one.
  bool take_known(const workspace::Image& image, const std::string& sha256, const std::string& prompt) {
    const std::string content = content_of(sha256, prompt), key = score_key(image.image_uid, prompt);
    const std::size_t row = cache_.find(key), source = cache_.find_content(content);
    if (row != EmbeddingCache::npos && cache_.content(row) == content) {
      ++counts_.cached;
    } else if (source != EmbeddingCache::npos) {
      cache_.add(key, content, cache_.row(source));
      ++counts_.copied;
    } else {
      return false;
    }
    return true;
  }

  const blip::CrossEncoder& encoder_;
  std::map<std::string, blip::CrossPrompt> prompts_;
  std::vector<Work> todo_;
  std::vector<Work> again_;
};

}  // namespace

EmbeddingCache open_scores(const std::filesystem::path& folder) {
  return EmbeddingCache::open(folder, "pair", Stored::kFloat);
}

std::string score_key(std::string_view image_uid, std::string_view prompt) {
  return fmt::format("{}\n{}", image_uid, prompt);
}

EncodeCounts score_workspace(const workspace::Workspace& workspace, const blip::CrossEncoder& encoder,
                             const RunContext& context) {
  EncodeCounts counts;
  const Clock::time_point start = Clock::now();
  const std::vector<workspace::Image> images = workspace.load_images();
  const Judged judged = load_pairs(workspace, context);
  if (judged.empty()) {
    fail(ErrorCode::kNotFound, "{}: expected rankings, whose images are judged for their prompts, found none",
         workspace.root().string());
  }
  const std::filesystem::path folder = workspace.embeddings_dir(encoder.name());
  fill_cache(open_scores(folder), folder / "pair", 1, counts, [&](EmbeddingCache& cache) {
    PairScoring scoring(workspace, encoder, cache, context, counts);
    scoring.plan(images, judged);
    scoring.run();
  });
  counts.seconds = std::chrono::duration<double>(Clock::now() - start).count();
  return counts;
}

}  // namespace imagerank::embeddings
