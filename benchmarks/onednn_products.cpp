// Images a second that oneDNN alone reaches on the four matrix products of ViT-B/32's layers, if nothing else cost
// anything: 12 layers with weights of their own, packed beforehand, activations row-major. The best of several batches.
// OMP_NUM_THREADS sets the threads. usage: onednn_products fp32|bf16|int8 [SECONDS=2]
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <dnnl.hpp>
#include <exception>
#include <map>
#include <random>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace {

using dnnl::memory;

constexpr int kLayers = 12;
constexpr int kRowsPerImage = 50;  // 49 patches and the class row
constexpr std::array<std::pair<int, int>, 4> kProducts = {{{768, 2304}, {768, 768}, {768, 3072}, {3072, 768}}};
constexpr std::array<int, 6> kBatches = {4, 8, 16, 32, 64, 128};

/// Random values: constants would be faster than real data, because they draw less power.
memory random_matrix(const memory::desc& target, memory::dim rows, memory::dim columns, const dnnl::engine& engine,
                     dnnl::stream& stream) {
  const bool integer = target.data_type() == memory::data_type::s8;
  static std::mt19937 generator(1);
  std::uniform_real_distribution<float> values(integer ? -127.0F : -1.0F, integer ? 127.0F : 1.0F);
  memory plain({{rows, columns}, memory::data_type::f32, memory::format_tag::ab}, engine);
  auto* data = static_cast<float*>(plain.get_data_handle());
  std::generate_n(data, rows * columns, [&] { return values(generator); });
  memory packed(target, engine);
  dnnl::reorder(plain, packed).execute(stream, plain, packed);
  stream.wait();
  return packed;
}

struct Product {
  dnnl::matmul primitive;
  std::unordered_map<int, memory> arguments;
};

std::vector<Product> make_products(int batch, memory::data_type type, const dnnl::engine& engine,
                                   dnnl::stream& stream) {
  const memory::dim rows = static_cast<memory::dim>(batch) * kRowsPerImage;
  std::vector<Product> products;
  std::map<int, memory> inputs;
  std::map<int, memory> outputs;
  for (int layer = 0; layer < kLayers; ++layer) {
    for (const auto& [k, n] : kProducts) {
      const memory::desc source({rows, k}, type, memory::format_tag::ab);
      const memory::desc weights({k, n}, type, memory::format_tag::any);
      const memory::desc target({rows, n}, type, memory::format_tag::ab);
      const dnnl::matmul::primitive_desc description(dnnl::matmul::desc(source, weights, target), engine);
      if (!inputs.contains(k)) inputs.emplace(k, random_matrix(source, rows, k, engine, stream));
      if (!outputs.contains(n)) outputs.emplace(n, memory(target, engine));
      products.push_back({dnnl::matmul(description),
                          {{DNNL_ARG_SRC, inputs.at(k)},
                           {DNNL_ARG_WEIGHTS, random_matrix(description.weights_desc(), k, n, engine, stream)},
                           {DNNL_ARG_DST, outputs.at(n)}}});
    }
  }
  return products;
}

/// Images a second: the median pass of those that fit into `seconds`, after one that does not count.
double measure(const std::vector<Product>& products, int batch, double seconds, dnnl::stream& stream) {
  using Clock = std::chrono::steady_clock;
  std::vector<double> passes;
  double total = 0.0;
  for (int pass = 0; total < seconds || passes.size() < 3; ++pass) {
    const Clock::time_point start = Clock::now();
    for (const Product& product : products) product.primitive.execute(stream, product.arguments);
    stream.wait();
    if (pass == 0) continue;
    passes.push_back(std::chrono::duration<double>(Clock::now() - start).count());
    total += passes.back();
  }
  std::ranges::nth_element(passes, passes.begin() + static_cast<std::ptrdiff_t>(passes.size() / 2));
  return batch / passes[passes.size() / 2];
}

int run(const std::string& precision, double seconds) {
  static const std::map<std::string, memory::data_type> kTypes = {
      {"fp32", memory::data_type::f32}, {"bf16", memory::data_type::bf16}, {"int8", memory::data_type::s8}};
  const auto type = kTypes.find(precision);
  if (type == kTypes.end()) {
    std::fprintf(stderr, "precision: expected fp32, bf16 or int8, found %s\n", precision.c_str());
    return 2;
  }
  const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  dnnl::stream stream(engine);
  double best = 0.0;
  int best_batch = 0;
  for (const int batch : kBatches) {
    const double rate = measure(make_products(batch, type->second, engine, stream), batch, seconds, stream);
    if (rate > best) best_batch = batch;
    best = std::max(best, rate);
  }
  std::printf("oneDNN %s, four products, batch %d: %.1f images/s\n", precision.c_str(), best_batch, best);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: onednn_products fp32|bf16|int8 [SECONDS=2]\n");
    return 2;
  }
  try {
    return run(argv[1], argc > 2 ? std::atof(argv[2]) : 2.0);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "onednn_products: %s\n", error.what());
    return 1;
  }
}
