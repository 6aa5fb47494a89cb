#include "serving/scoring_service.h"

#include <gmock/gmock.h>

#include <cmath>
#include <future>

#include "serving/serving_world.h"
#include "support/http_server.h"

namespace imagerank::serving {
namespace {

class ScoringServiceTest : public ServingWorld {
 protected:
  static Results run(ScoringService& service, Work work) {
    std::promise<Results> promise;
    auto results = promise.get_future();
    EXPECT_TRUE(service.submit(std::move(work), [&](Results&& given) { promise.set_value(std::move(given)); }));
    return results.get();
  }
};

TEST_F(ScoringServiceTest, GivesTheBitsOfScoreWhateverSharesTheBatch) {
  const std::string prompt = "a red car";
  std::vector<std::string> images;
  for (std::uint64_t i = 0; i < 9; ++i) images.push_back(noisy_png(i));
  const auto first = scores_of("first", prompt, images), third = scores_of("third", prompt, images);
  for (const std::size_t batch : {1U, 4U, 64U}) {
    ServiceOptions options;
    options.max_batch = batch;
    ScoringService service(sources({"first", "second", "third"}), {}, options);
    Work work{{}, {2, 0}, false};
    for (const std::string& image : images) work.items.push_back({image, prompt});
    const Results results = run(service, work);
    for (std::size_t i = 0; i < images.size(); ++i) {
      EXPECT_EQ(results[i].scores, (std::vector<float>{third[i].score, first[i].score})) << batch << ", image " << i;
    }
  }
}

TEST_F(ScoringServiceTest, RewardsOfOneEncoderShareItAndItsVectors) {
  ScoringService service(sources({"first", "second"}), {}, {});
  const Results results = run(service, {{{noisy_png(1), "a car"}}, {0, 1}, false});
  EXPECT_EQ(results[0].scores.size(), 2U);
  EXPECT_EQ(service.counts().images_encoded, 1U);
  (void)run(service, {{{noisy_png(1), "a car"}}, {0}, false});
  const ServiceCounts counts = service.counts();
  EXPECT_EQ(counts.images_encoded, 1U);
  EXPECT_EQ(counts.image_cache_hits, 1U);
  EXPECT_EQ(counts.prompts_encoded, 1U);
  EXPECT_EQ(counts.items, 2U);
}

TEST_F(ScoringServiceTest, ABrokenImageFailsAloneAndALongPromptIsFlagged) {
  ScoringService service(sources({"first"}), {}, {});
  std::string longer = "a";
  for (int i = 0; i < 300; ++i) longer += " car";
  const Results results =
      run(service,
          {{{noisy_png(1), "a car"}, {"\x89PNG\r\n\x1a\n and no more", "a car"}, {noisy_png(2), longer}}, {0}, false});
  EXPECT_FALSE(results[0].failure);
  EXPECT_FALSE(results[0].truncated);
  ASSERT_TRUE(results[1].failure);
  EXPECT_EQ(results[1].failure->reason, "corrupt");
  EXPECT_TRUE(std::isnan(results[1].scores[0]));
  EXPECT_TRUE(results[2].truncated);
  EXPECT_EQ(service.counts().failed, 1U);
}

TEST_F(ScoringServiceTest, VectorsOfImagesAndOfTexts) {
  ScoringService service(sources({"first"}), {}, {});
  const Results results = run(service, {{{noisy_png(1), std::nullopt}, {std::nullopt, "a car"}}, {0}, true});
  clip::EncoderOptions options;
  options.allow_untrained = true;
  const auto encoder = clip::Encoder::load(path("tiny").string(), options);
  EXPECT_EQ(results[0].vector.size(), encoder.dim());
  EXPECT_EQ(results[1].vector, encoder.embed_texts(std::vector<std::string>{"a car"}).values);
}

TEST_F(ScoringServiceTest, ImagesByUrlAreScoredAsTheirBytes) {
  test::HttpServer images([](const test::HttpRequest& request) {
    test::HttpResponse response;
    response.body = noisy_png(1);
    if (request.path == "/gone") response.status = 404;
    if (request.path == "/slow") response.delay_before = std::chrono::milliseconds(200);
    return response;
  });
  const Work work{{{std::nullopt, "a car", images.url("/a")},
                   {std::nullopt, "a car", images.url("/gone")},
                   {noisy_png(1), "a car"}},
                  {0},
                  false};
  ServiceOptions options;
  options.image_urls = true;
  {
    ScoringService careful(sources({"first"}), {}, options);
    EXPECT_EQ(run(careful, work)[0].failure->reason, "refused_address");
  }
  options.urls.allow_local = true;
  std::atomic<int> finished = 0;
  {
    ScoringService service(sources({"first"}), {}, options);
    const Results results = run(service, work);
    EXPECT_FALSE(results[0].failure);
    EXPECT_EQ(results[0].scores, results[2].scores);
    EXPECT_EQ(results[1].failure->reason, "http_404");
    EXPECT_TRUE(std::isnan(results[1].scores[0]));
    EXPECT_EQ(service.counts().items, 3U);
    EXPECT_EQ(service.counts().failed, 1U);
    EXPECT_TRUE(service.submit({{{std::nullopt, "a car", images.url("/slow")}}, {0}, false},
                               [&](Results&& late) { finished += late[0].failure ? 0 : 1; }));
  }
  EXPECT_EQ(finished, 1) << "what was accepted is finished at the end";
  options.image_urls = false;
  ScoringService without(sources({"first"}), {}, options);
  EXPECT_THROW((void)without.submit(work, [](Results&&) {}), Error);
}

TEST_F(ScoringServiceTest, AFullQueueAndADrainingServiceTurnWorkAway) {
  ServiceOptions options;
  options.max_queued = 2;
  options.max_wait_ms = 0;
  ScoringService service(sources({"first"}), {}, options);
  Work three{{}, {0}, false};
  for (int i = 0; i < 3; ++i) three.items.push_back({noisy_png(1), "a car"});
  EXPECT_FALSE(service.submit(three, [](Results&&) { ADD_FAILURE() << "called"; }));
  service.drain();
  three.items.resize(1);
  EXPECT_FALSE(service.submit(three, [](Results&&) { ADD_FAILURE() << "called"; }));
}

TEST_F(ScoringServiceTest, WhatIsQueuedIsFinishedAtTheEnd) {
  std::atomic<int> done = 0;
  {
    ScoringService service(sources({"first"}), {}, {});
    for (std::uint64_t i = 0; i < 40; ++i) {
      EXPECT_TRUE(service.submit({{{noisy_png(i), "a car"}}, {0}, false}, [&](Results&&) { ++done; }));
    }
  }
  EXPECT_EQ(done, 40);
}

TEST_F(ScoringServiceTest, BadSettingsAreNamed) {
  EXPECT_TRUE(ScoringService({}, {}, {}).rewards().empty());
  EXPECT_THROW(ScoringService({{"a", path("first")}, {"a", path("third")}}, {}, {}), Error);
  EXPECT_THROW(ScoringService({{"a", path("none")}}, {}, {}), Error);
  ServiceOptions options;
  options.max_queued = 0;
  EXPECT_THROW(ScoringService(sources({"first"}), {}, options), Error);
  ScoringService service(sources({"first"}), {}, {});
  EXPECT_THROW((void)service.submit({{{noisy_png(1), std::nullopt}}, {0}, false}, [](Results&&) {}), Error);
}

}  // namespace
}  // namespace imagerank::serving
