#include "labels/components.h"

#include <numeric>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/fail.h"

namespace imagerank::labels {
namespace {

/// Union-find with path halving; the smallest member is the root, so that keys do not depend on the order of unions.
class Components {
 public:
  explicit Components(std::size_t count) : parent_(count) { std::iota(parent_.begin(), parent_.end(), std::size_t{0}); }
  std::size_t root(std::size_t node) {
    while (parent_[node] != node) node = parent_[node] = parent_[parent_[node]];
    return node;
  }
  void join(std::size_t a, std::size_t b) {
    a = root(a);
    b = root(b);
    if (a != b) parent_[std::max(a, b)] = std::min(a, b);
  }

 private:
  std::vector<std::size_t> parent_;
};

}  // namespace

void group_by_component(workspace::Database& database) {
  // Ordered by key, so that a component's name does not depend on the order of rows in the file.
  const workspace::Table table = database.query("SELECT r, key, prompt, user_id, image_uids FROM ranking ORDER BY key");
  Components components(table.row_count);
  std::unordered_map<std::string, std::size_t> first;
  const auto connect = [&](const char* kind, const std::string& name, std::size_t row) {
    const auto [at, inserted] = first.emplace(kind + name, row);
    if (!inserted) components.join(at->second, row);
  };
  for (std::size_t row = 0; row < table.row_count; ++row) {
    connect("p", table.columns[2].text[row], row);
    if (!table.columns[3].text[row].empty()) connect("u", table.columns[3].text[row], row);
    for (const std::string& uid : table.columns[4].text_list[row]) connect("i", uid, row);
  }
  database.execute("CREATE TABLE grouped (r INTEGER, key VARCHAR)");
  workspace::Database::Appender appender(database, "grouped");
  for (std::size_t row = 0; row < table.row_count; ++row) {
    appender.append(static_cast<std::int32_t>(table.columns[0].integer[row]));
    appender.append(table.columns[1].text[components.root(row)]);
    appender.end_row();
  }
  appender.close();
}

}  // namespace imagerank::labels
