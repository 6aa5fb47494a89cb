#pragma once

#include <string>

#include "core/random.h"
#include "embeddings/embedding_cache.h"
#include "images/encode.h"
#include "labels/label.h"
#include "reward/trainer.h"
#include "support/test_support.h"
#include "workspace/workspace.h"

namespace imagerank::cli::test {

inline constexpr const char* kEncoder = "made-up";
inline constexpr std::size_t kDim = 8;

/// A workspace whose vectors tell the truth: an image's utility is its first coordinate. With `informative` false the
/// vectors are noise, so that no head can know anything.
struct EvaluationWorld {
  imagerank::test::TemporaryFolder folder;
  workspace::Workspace workspace = workspace::Workspace::create(folder.path());

  explicit EvaluationWorld(std::size_t prompts = 90, bool informative = true, const std::string& split = "prompt") {
    Random random(4);
    auto images = embeddings::EmbeddingCache::open(workspace.embeddings_dir(kEncoder), "image");
    auto texts = embeddings::EmbeddingCache::open(workspace.embeddings_dir(kEncoder), "text");
    std::vector<workspace::Ranking> rankings;
    std::vector<workspace::Image> rows;
    std::vector<workspace::Truth> truth;
    for (std::size_t prompt = 0; prompt < prompts; ++prompt) {
      const std::string text = prompt == 0 ? "<i>odd</i> & \"quoted\"" : "prompt " + std::to_string(prompt);
      texts.add(text, "", vector(random));
      for (int round = 0; round < 2; ++round) {
        workspace::Ranking ranking;
        ranking.ranking_id = std::to_string(rankings.size());
        ranking.dataset = "made-up";
        ranking.user_id = "u" + std::to_string(prompt % 7);
        ranking.prompt = text;
        double best = -1e9;
        for (int i = 0; i < 4; ++i) {
          const std::string uid = "p" + std::to_string(prompt) + "r" + std::to_string(round) + "i" + std::to_string(i);
          const double utility = random.normal();
          auto values = vector(random);
          if (informative) values[0] = static_cast<float>(utility);
          images.add(uid, "x", values);
          add_image(rows, uid, prompt < 20);
          truth.push_back({uid, text, utility});
          ranking.image_uids.push_back(uid);
          if (utility > best) {
            best = utility;
            ranking.best_image_uid = uid;
          }
        }
        if (random.chance(0.15)) ranking.best_image_uid.reset();
        rankings.push_back(ranking);
      }
    }
    images.save();
    texts.save();
    workspace.write_rankings(rankings);
    workspace.write_images(rows);
    workspace.write_truth(truth);
    labels::LabelSettings settings;
    settings.split = labels::split_rule_of(split);
    settings.test = 0.4;
    settings.validation = 0.2;
    labels::make_labels(workspace, settings, {});
  }

  static std::vector<float> vector(Random& random) {
    std::vector<float> values;
    for (std::size_t i = 0; i < kDim; ++i) values.push_back(static_cast<float>(random.normal()));
    return values;
  }

  /// Files for some images; the others are in the table, but were never fetched.
  void add_image(std::vector<workspace::Image>& rows, const std::string& uid, bool with_file) const {
    workspace::Image row;
    row.image_uid = uid;
    if (with_file) {
      images::Image picture{300, 200, std::vector<std::uint8_t>(std::size_t{300} * 200 * 3, 90)};
      row.path = workspace::Workspace::image_path(uid, ".png").string();
      row.status = "ok";
      std::filesystem::create_directories((folder.path() / row.path).parent_path());
      imagerank::test::write_text(folder.path() / row.path, images::encode_png(picture));
    }
    rows.push_back(row);
  }
};

}  // namespace imagerank::cli::test
