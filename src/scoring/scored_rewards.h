#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "encoding/image_pipeline.h"
#include "imagerank/scorer.h"
#include "scoring/rewarded_encoder.h"

namespace imagerank::scoring {

/// Rewards that are asked about the same images and prompts: each encoder sees each image, and each prompt, once.
/// Not thread-safe.
class ScoredRewards {
 public:
  /// @param batch  images a call of a vision tower; 0: what suits the encoder.
  ScoredRewards(std::vector<RewardedEncoder> rewards, int threads, std::size_t batch);

  /// Item `index`; the prompt outlives the run.
  using Source = std::function<encoding::ImageSource(std::size_t index)>;
  using Prompt = std::function<const std::string&(std::size_t index)>;
  /// A broken image is a result with a reason, of each reward. @return [rewards][count], in order.
  [[nodiscard]] std::vector<std::vector<ScoredImage>> run(std::size_t count, const Source& source,
                                                          const Prompt& prompt);
  [[nodiscard]] const std::vector<RewardedEncoder>& rewards() const noexcept { return rewards_; }
  /// Whether an encoder of one of them was never trained.
  [[nodiscard]] bool untrained() const;

 private:
  struct Text {
    std::vector<float> vector;
    bool truncated = false;
  };
  /// An encoder and what it gave in this run.
  struct Seen {
    SharedEncoder encoder;
    bool reads_text = false;
    std::unordered_map<std::string, Text> texts;  ///< kept from run to run
    std::vector<float> images;                    ///< [count, dim], as the cache rounds them
    std::vector<float> pairs;                     ///< [count], of a cross-encoder
    std::vector<bool> cut;                        ///< [count], likewise: prompts that did not fit
  };
  static void encode_texts(Seen& seen, std::size_t count, const Prompt& prompt);
  void encode_images(Seen& seen, std::size_t count, const Source& source, std::vector<ScoredImage>& failures) const;
  void score_pairs(Seen& seen, std::size_t count, const Source& source, const Prompt& prompt,
                   std::vector<ScoredImage>& failures) const;
  void score(std::size_t reward, const std::vector<std::size_t>& rows, const Prompt& prompt,
             std::vector<ScoredImage>& results) const;

  std::vector<RewardedEncoder> rewards_;
  std::vector<Seen> seen_;
  std::vector<std::vector<std::size_t>> places_;  ///< of each reward's encoders in seen_
  int threads_;
  std::size_t batch_;
};

}  // namespace imagerank::scoring
