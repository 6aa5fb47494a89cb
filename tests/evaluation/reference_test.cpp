// The metrics against scipy and scikit-learn: tests/testdata/evaluation/reference.py says how the values were made.

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/atomic_file.h"
#include "evaluation/measurement.h"
#include "evaluation/paired.h"
#include "support/test_support.h"

namespace imagerank::evaluation {
namespace {

using Doubles = std::vector<double>;

const nlohmann::json& reference() {
  static const auto kReference = nlohmann::json::parse(load_file(test::testdata("evaluation/reference.json")));
  return kReference;
}

Metric metric_named(const std::string& name) {
  const auto found = std::ranges::find(kMetricNames, name);
  EXPECT_NE(found, kMetricNames.end()) << name;
  return static_cast<Metric>(found - kMetricNames.begin());
}

TEST(Reference, MetricsOfLabels) {
  int compared = 0;
  for (const auto& given : reference().at("classifications")) {
    SplitTruth truth;
    truth.class_count = given.at("classes");
    truth.point_label = given.at("labels").get<std::vector<std::int32_t>>();
    truth.point_prompt.assign(truth.points(), 0);
    truth.prompt_count = 1;
    truth.ranking_begin = {0};
    Predictions predictions;
    predictions.probabilities = given.at("probabilities").get<Doubles>();
    predictions.class_scores = predictions.probabilities;
    predictions.classes = likeliest_classes(predictions.probabilities, truth.class_count);
    for (std::size_t i = 0; i < truth.points(); ++i) {
      double expected_label = 0.0;
      for (std::int32_t c = 0; c < truth.class_count; ++c) {
        expected_label +=
            c *
            predictions.probabilities[i * static_cast<std::size_t>(truth.class_count) + static_cast<std::size_t>(c)];
      }
      predictions.values.push_back(expected_label);
    }
    const auto measured = measure(truth, predictions, 0.0, Bootstrap(1));
    for (const auto& [name, expected] : given.at("expected").items()) {
      EXPECT_NEAR(at(measured, metric_named(name)).value.value(), expected.get<double>(), 1e-9)
          << name << " of " << truth.class_count << " classes";
      ++compared;
    }
  }
  EXPECT_EQ(compared, 14);
}

TEST(Reference, MetricsOfRankings) {
  const auto& rankings = reference().at("rankings");
  ASSERT_EQ(rankings.size(), 24U);
  for (const auto& ranking : rankings) {
    const auto relevance = ranking.at("relevance").get<Doubles>();
    const auto scores = ranking.at("scores").get<Doubles>();
    EXPECT_NEAR(kendall_tau_b(relevance, scores).value(), ranking.at("kendall_tau_b").get<double>(), 1e-12);
    EXPECT_NEAR(spearman(relevance, scores).value(), ranking.at("spearman").get<double>(), 1e-12);
    EXPECT_NEAR(ndcg_at(relevance, scores, 4).value(), ranking.at("ndcg_at_4").get<double>(), 1e-12);
  }
}

TEST(Reference, SignFlipTest) {
  for (const auto& given : reference().at("sign_flips")) {
    EXPECT_NEAR(sign_flip_p(given.at("differences").get<Doubles>()), given.at("p").get<double>(), 1e-12);
  }
}

TEST(Reference, StudentT) {
  for (const auto& [degrees, expected] : reference().at("student_t_975").items()) {
    EXPECT_NEAR(student_t_975(std::stod(degrees)) / expected.get<double>(), 1.0, 0.01) << degrees;
  }
}

}  // namespace
}  // namespace imagerank::evaluation
