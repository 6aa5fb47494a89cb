#include "fetch/shards.h"

#include <charconv>
#include <functional>
#include <nlohmann/json.hpp>
#include <unordered_set>
#include <vector>

#include "core/fail.h"
#include "core/hash.h"
#include "core/mapped_file.h"

namespace imagerank::fetch {
namespace {

using std::filesystem::path;

constexpr std::string_view kPartial = ".partial";

path shard_folder() { return path("images") / "shards"; }

/// What a shard is called until it is whole.
path with_partial(const path& shard) {
  return shard.parent_path() / fmt::format(".{}{}", shard.filename().string(), kPartial);
}

std::string key_of(const std::string& uid) {
  constexpr std::size_t kMostBytes = 90;  // a tar header has room for 100, with the extension
  return uid.find('.') == std::string::npos && uid.size() <= kMostBytes ? uid : sha256_hex(uid);
}

/// One more than the highest number of a shard that is there.
std::int64_t next_number(const path& folder) {
  std::int64_t next = 0;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    std::int64_t number = 0;
    const auto parsed = std::from_chars(name.data(), name.data() + name.size(), number);
    if (parsed.ec == std::errc() && number >= next) next = number + 1;
  }
  return next;
}

void put_into_place(const path& from, const path& to) {
  std::error_code error;
  std::filesystem::rename(from, to, error);
  if (error) fail(ErrorCode::kIo, "{}: cannot rename into place: {}", to.string(), error.message());
}

/// Where the last member ends that `is_known`; 0 if there is none.
std::uint64_t end_of_known(const path& partial, const std::function<bool(const TarMember&)>& is_known) {
  const MappedFile file(partial);
  TarReader reader(file.bytes(), partial.string());
  std::uint64_t end = 0;
  try {
    while (const auto member = reader.next()) {
      if (is_known(*member)) end = member->offset + (member->size + 511) / 512 * 512;
    }
  } catch (const Error&) {
    return end;  // cut in the middle of the last member, which is what is looked for
  }
  return end;
}

}  // namespace

ShardWriter::ShardWriter(const workspace::Workspace& workspace, std::int64_t images)
    : workspace_(workspace), images_per_shard_(images) {}

void ShardWriter::open() {
  shard_ = shard_folder() / fmt::format("{:05}.tar", next_number(workspace_.root() / shard_folder()));
  tar_.emplace(with_partial(workspace_.root() / shard_));
  ++shards_;
}

std::string ShardWriter::add(const LedgerEntry& image, std::string_view extension, std::string_view bytes) {
  if (images_ == images_per_shard_) finish();  // not sooner: the ledger has its last image by now
  if (!tar_) open();
  const std::string key = key_of(image.image_uid);
  const nlohmann::ordered_json json = {
      {"key", key},           {"image_uid", image.image_uid}, {"url", image.url},   {"sha256", image.sha256},
      {"width", image.width}, {"height", image.height},       {"status", "success"}};  // img2dataset's word for it
  TarMember member{fmt::format("{}{}", key, extension), 0, bytes.size()};
  const std::uint64_t start = tar_->size();
  try {
    // The image last: where the ledger has it, the sample is whole.
    tar_->add(fmt::format("{}.json", key), json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
    member.offset = tar_->add(member.name, bytes);
  } catch (const Error&) {
    tar_->rewind(start);
    throw;
  }
  ++images_;
  return tar_part_path(shard_, member, extension);
}

void ShardWriter::finish() {
  if (!tar_) return;
  tar_->finish();
  tar_.reset();
  images_ = 0;
  put_into_place(with_partial(workspace_.root() / shard_), workspace_.root() / shard_);
}

void recover_shards(const workspace::Workspace& workspace, const FetchLedger& ledger) {
  std::vector<path> partials;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(workspace.root() / shard_folder(), error)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with('.') && name.ends_with(kPartial)) partials.push_back(entry.path().filename());
  }
  for (const path& name : partials) {
    const path partial = workspace.root() / shard_folder() / name;
    const path shard = shard_folder() / name.stem().string().substr(1);
    std::unordered_set<std::string> known;
    ledger.for_each([&](const LedgerEntry& entry) {
      if (entry.path.starts_with(shard.string())) known.insert(entry.path);
    });
    const std::uint64_t end = end_of_known(partial, [&](const TarMember& member) {
      return known.contains(tar_part_path(shard, member, path(member.name).extension().string()));
    });
    if (end == 0) {
      std::filesystem::remove(partial, error);
      if (error) fail(ErrorCode::kIo, "{}: cannot remove: {}", partial.string(), error.message());
      continue;
    }
    TarWriter(partial, end).finish();
    put_into_place(partial, workspace.root() / shard);
  }
}

}  // namespace imagerank::fetch
