#pragma once

#include <cstddef>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "reward/reward.h"

namespace imagerank::reward {

/// A reward in a mixture: weight (score - mean) / deviation is its share of the sum.
struct MixtureTerm {
  std::string place;  ///< as Reward::load takes it; a folder relative to the mixture's own
  EncoderPlace encoder;
  double weight = 1.0;
  double mean = 0.0;
  double deviation = 1.0;             ///< > 0
  std::vector<std::string> encoders;  ///< Encoder::name() of each that it stands on, when it was mixed
};

/// The record of a mixture, as reward.json holds it: {"head": "mixture", "terms": [...]} and what `more` has.
[[nodiscard]] nlohmann::json mixture_record(std::span<const MixtureTerm> terms, const nlohmann::json& more);
/// The terms of a record. @param where  its file. @throws Error kCorruptData naming the field.
[[nodiscard]] std::vector<MixtureTerm> parse_mixture(const nlohmann::json& record, const std::string& where);
/// Writes folder/reward.json, whole or not at all.
void save_mixture(const std::filesystem::path& folder, const nlohmann::json& record);

/// The terms' rewards, and the encoders they stand on, each once.
class Mixture {
 public:
  /// @param folder  the mixture's, which places are relative to. @throws Error as Reward::load; kCorruptData for a
  /// mixture that holds itself.
  Mixture(const std::vector<MixtureTerm>& terms, const std::filesystem::path& folder, const EncoderPlace& encoder);
  [[nodiscard]] const std::vector<EncoderNeed>& needs() const noexcept { return needs_; }
  /// The weighted sum, in the order of the terms, in float64.
  [[nodiscard]] Scores score(std::span<const VectorBlock> blocks, std::size_t count) const;

 private:
  struct Part {
    Reward reward;
    MixtureTerm term;
    std::vector<std::size_t> blocks;  ///< which of needs_ each of the reward's is
  };
  std::vector<Part> parts_;
  std::vector<EncoderNeed> needs_;
};

}  // namespace imagerank::reward
