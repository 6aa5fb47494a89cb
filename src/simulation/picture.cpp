#include "simulation/picture.h"

#include <fmt/format.h>

#include <atomic>
#include <exception>
#include <filesystem>
#include <mutex>
#include <thread>

#include "core/atomic_file.h"
#include "core/hash.h"
#include "images/encode.h"
#include "simulation/drawing.h"

namespace imagerank::simulation {
namespace {

constexpr int kJpegQuality = 92;

bool already_holds(const std::filesystem::path& path, const std::string& bytes) {
  std::error_code error;
  if (std::filesystem::file_size(path, error) != bytes.size() || error) return false;
  return load_file(path) == bytes;
}

workspace::Image store_one(const workspace::Workspace& workspace, const Picture& picture) {
  workspace::Image row;
  row.image_uid = picture.uid;
  row.path = workspace::Workspace::image_path(picture.uid, picture.png ? ".png" : ".jpg").string();
  row.model = picture.model;
  row.prompt = picture.prompt;
  row.width = picture.size;
  row.height = picture.size;
  const std::string bytes = render(picture);
  row.sha256 = sha256_hex(bytes);
  row.status = "ok";
  const std::filesystem::path path = workspace.resolve(row);
  if (!already_holds(path, bytes)) write_file_atomically(path, bytes, /*durable=*/false);
  return row;
}

}  // namespace

Random stream(std::uint64_t seed, Purpose purpose, std::uint64_t index) noexcept {
  return {seed, (static_cast<std::uint64_t>(purpose) << 48) + index};
}

std::string make_uid(std::uint64_t seed, std::uint64_t index) {
  Random random = stream(seed, Purpose::kUid, index);
  const std::uint64_t high = random.next();
  const std::uint64_t low = random.next();
  return fmt::format("{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}", high >> 32, (high >> 16) & 0xffffU, high & 0xfffU,
                     0x8000U | ((low >> 48) & 0x3fffU), low & 0xffffffffffffULL);
}

std::string render(const Picture& picture) {
  Random random(picture.seed);
  images::Image image = draw_scene(picture.scene, picture.size, random);
  degrade(image, picture.quality, random);
  return picture.png ? images::encode_png(image) : images::encode_jpeg(image, kJpegQuality);
}

std::vector<workspace::Image> store_pictures(const workspace::Workspace& workspace,
                                             const std::vector<Picture>& pictures, const RunContext& context) {
  std::vector<workspace::Image> rows(pictures.size());
  std::atomic<std::size_t> next = 0;
  std::size_t done = 0;
  std::mutex mutex;  // guards done, failure and the progress callback
  std::exception_ptr failure;
  const auto work = [&] {
    try {
      for (std::size_t i = next++; i < pictures.size(); i = next++) {
        context.check_stop();
        rows[i] = store_one(workspace, pictures[i]);
        const std::lock_guard lock(mutex);
        context.report({"draw pictures", ++done, pictures.size(), ""});
      }
    } catch (...) {
      next = pictures.size();
      const std::lock_guard lock(mutex);
      if (!failure) failure = std::current_exception();
    }
  };
  {
    std::vector<std::jthread> workers;
    for (int i = 1; i < context.thread_count(); ++i) workers.emplace_back(work);
    work();
  }
  if (failure) std::rethrow_exception(failure);
  return rows;
}

}  // namespace imagerank::simulation
