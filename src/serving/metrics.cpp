#include "serving/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <mutex>

namespace imagerank::serving {
namespace {

/// A counter that follows a total that is kept elsewhere.
void follow(prometheus::Counter& counter, std::uint64_t total) {
  counter.Increment(static_cast<double>(total) - counter.Value());
}

}  // namespace

struct Metrics::State {
  prometheus::Registry registry;
  prometheus::Family<prometheus::Counter>& requests =
      prometheus::BuildCounter().Name("imagerank_requests_total").Help("Requests answered").Register(registry);
  prometheus::Histogram& seconds =
      prometheus::BuildHistogram()
          .Name("imagerank_request_seconds")
          .Help("From the whole request to its answer")
          .Register(registry)
          .Add({}, prometheus::Histogram::BucketBoundaries{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1,
                                                           2.5, 5, 10});
  prometheus::Gauge& connections =
      prometheus::BuildGauge().Name("imagerank_connections").Help("Connections open").Register(registry).Add({});
  prometheus::Gauge& queued =
      prometheus::BuildGauge().Name("imagerank_queued_items").Help("Items that wait").Register(registry).Add({});
  prometheus::Counter& items = total("imagerank_items_total", "Items scored or encoded, failures too");
  prometheus::Counter& failed = total("imagerank_failed_items_total", "Items that gave no score");
  prometheus::Counter& batches = total("imagerank_batches_total", "Batches that workers took");
  prometheus::Counter& images = total("imagerank_images_encoded_total", "Images through the vision tower");
  prometheus::Counter& image_hits = total("imagerank_image_cache_hits_total", "Images whose vector was kept");
  prometheus::Counter& prompts = total("imagerank_prompts_encoded_total", "Prompts through the text tower");
  prometheus::Counter& prompt_hits = total("imagerank_prompt_cache_hits_total", "Prompts whose vector was kept");
  std::mutex follow_mutex;

  prometheus::Counter& total(const char* name, const char* help) {
    return prometheus::BuildCounter().Name(name).Help(help).Register(registry).Add({});
  }
};

Metrics::Metrics() : state_(std::make_unique<State>()) {}
Metrics::~Metrics() = default;

void Metrics::add_request(const std::string& route, int status, double seconds) {
  state_->requests.Add({{"route", route}, {"status", std::to_string(status)}}).Increment();
  state_->seconds.Observe(seconds);
}

void Metrics::add_connection() { state_->connections.Increment(); }
void Metrics::remove_connection() { state_->connections.Decrement(); }

std::string Metrics::text(const ServiceCounts& counts) {
  const std::lock_guard lock(state_->follow_mutex);
  follow(state_->items, counts.items);
  follow(state_->failed, counts.failed);
  follow(state_->batches, counts.batches);
  follow(state_->images, counts.images_encoded);
  follow(state_->image_hits, counts.image_cache_hits);
  follow(state_->prompts, counts.prompts_encoded);
  follow(state_->prompt_hits, counts.prompt_cache_hits);
  state_->queued.Set(static_cast<double>(counts.queued));
  return prometheus::TextSerializer().Serialize(state_->registry.Collect());
}

}  // namespace imagerank::serving
