#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "workspace/database.h"

namespace imagerank::workspace {

/// One act of choosing: a prompt, two or more images, the best one or none.
struct Ranking {
  std::string ranking_id;
  std::string dataset;
  std::string official_split;  ///< "" where the dataset has none
  std::string created_at;      ///< "YYYY-MM-DD HH:MM:SS[.ffffff]", "" if unknown; sorts by time
  std::string user_id;
  std::string prompt;
  std::vector<std::string> image_uids;
  std::optional<std::string> best_image_uid;  ///< empty: a tie
  std::vector<std::int32_t> ranks;            ///< 1 = best, parallel to image_uids; empty unless given
  double weight = 1.0;
};

struct Image {
  std::string image_uid;
  std::string url;
  std::string path;    ///< relative to the workspace, or absolute; "" until fetched
  std::string model;   ///< the generator, "" if unknown
  std::string prompt;  ///< what the image was generated from, "" if unknown; `pretrain` reads it
  std::int32_t width = 0;
  std::int32_t height = 0;
  std::string sha256;
  std::string status;  ///< "" not tried, "ok", "missing", or the reason of a failure
};

struct Point {
  std::string image_uid;
  std::string prompt;
  std::int32_t label = 0;
  std::string split;  ///< "train" | "validation" | "test"
};

struct Pair {
  std::string ranking_id;
  std::string user_id;
  std::string prompt;
  std::string image_a;
  std::string image_b;
  double p_a = 0.5;  ///< probability that a is preferred: 1, 0.5, 0 or soft
  double weight = 1.0;
  std::string split;
};

/// The true utility of an image for a prompt, which only a simulated world knows.
struct Truth {
  std::string image_uid;
  std::string prompt;
  double utility = 0.0;
};

/// The tables of a workspace directory: Parquet files, each written whole and atomically.
/// Reading a table that does not exist gives an empty vector from find_*, Error kNotFound (naming the command that
/// makes it) from load_*. Rows come in the order of their table's key (schema.h). A table of the wrong columns, or a
/// truncated one, is kCorruptData. Not thread-safe.
class Workspace {
 public:
  /// An existing directory. @throws Error kNotFound.
  static Workspace open(const std::filesystem::path& root);
  /// The directory, made if missing. @throws Error kIo.
  static Workspace create(const std::filesystem::path& root);

  [[nodiscard]] const std::filesystem::path& root() const noexcept { return root_; }
  /// root/<name>.parquet
  [[nodiscard]] std::filesystem::path table_path(const std::string& name) const;
  [[nodiscard]] bool has_table(const std::string& name) const;
  /// Makes a view `name` of the table in `database`, after checking its columns.
  /// @throws Error kNotFound (naming the command that makes it), kCorruptData.
  void attach(Database& database, const std::string& name) const;
  /// An empty view or the table itself, for tables that may not be there yet.
  void attach_or_empty(Database& database, const std::string& name) const;
  /// root/images/<first two characters of a hash of uid>/<uid><extension>, relative to root. extension like ".png".
  /// @throws Error kInvalidArgument if uid is no safe file name.
  [[nodiscard]] static std::filesystem::path image_path(const std::string& uid, const std::string& extension);
  /// The absolute path of an image row's file.
  [[nodiscard]] std::filesystem::path resolve(const Image& image) const;
  [[nodiscard]] std::filesystem::path embeddings_dir(const std::string& encoder) const;
  /// The encoders whose vectors lie under embeddings/, by name; those that have scores in their place are left out.
  [[nodiscard]] std::vector<std::string> vector_encoders() const;
  [[nodiscard]] std::filesystem::path reward_dir(const std::string& name) const;
  [[nodiscard]] std::filesystem::path report_dir(const std::string& name) const;

  [[nodiscard]] std::vector<Ranking> load_rankings() const;
  [[nodiscard]] std::vector<Image> load_images() const;
  [[nodiscard]] std::vector<Image> find_images() const;
  [[nodiscard]] std::vector<Point> load_points() const;
  [[nodiscard]] std::vector<Pair> load_pairs() const;
  [[nodiscard]] std::vector<Truth> find_truth() const;

  void write_rankings(const std::vector<Ranking>& rows) const;
  void write_images(const std::vector<Image>& rows) const;
  void write_truth(const std::vector<Truth>& rows) const;

 private:
  explicit Workspace(std::filesystem::path root) : root_(std::move(root)) {}
  std::filesystem::path root_;
};

}  // namespace imagerank::workspace
