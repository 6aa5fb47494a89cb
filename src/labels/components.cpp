#include "labels/components.h"

#include <cstdint>
#include <numeric>
#include <vector>

#include "labels/rules.h"

namespace imagerank::labels {
namespace {

/// Union-find with path halving; the smallest member is the root.
class Components {
 public:
  explicit Components(std::size_t count) : parent_(count) {
    std::iota(parent_.begin(), parent_.end(), std::int64_t{0});
  }
  std::int64_t root(std::int64_t node) {
    while (parent(node) != node) node = parent(node) = parent(parent(node));
    return node;
  }
  void join(std::int64_t a, std::int64_t b) {
    a = root(a);
    b = root(b);
    if (a != b) parent(std::max(a, b)) = std::min(a, b);
  }

 private:
  std::int64_t& parent(std::int64_t node) { return parent_[static_cast<std::size_t>(node)]; }
  std::vector<std::int64_t> parent_;
};

}  // namespace

void group_by_component(workspace::Database& database) {
  const std::int64_t count = database.query_integer("SELECT max(r) + 1 FROM ranking");
  Components components(static_cast<std::size_t>(count));
  {
    const workspace::Table edges = database.query(rules::shared_edges());
    for (std::size_t i = 0; i < edges.row_count; ++i)
      components.join(edges.columns[0].integer[i], edges.columns[1].integer[i]);
  }
  database.execute("CREATE TABLE component (r BIGINT, root BIGINT)");
  workspace::Database::Appender appender(database, "component");
  for (std::int64_t r = 0; r < count; ++r) {
    appender.append(r);
    appender.append(components.root(r));
    appender.end_row();
  }
  appender.close();
  database.execute(R"(
    CREATE TABLE grouped AS
    WITH name AS (SELECT root, min(key) AS key FROM ranking JOIN component USING (r) GROUP BY root)
    SELECT r, prompt, name.key FROM ranking JOIN component USING (r) JOIN name USING (root))");
}

}  // namespace imagerank::labels
