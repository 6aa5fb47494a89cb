#include "labels/components.h"

#include <cstdint>

#include "core/union_find.h"
#include "labels/rules.h"

namespace imagerank::labels {

void group_by_component(workspace::Database& database) {
  const std::int64_t count = database.query_integer("SELECT max(r) + 1 FROM ranking");
  UnionFind<std::int64_t> components(static_cast<std::size_t>(count));
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
