#include "cli/voting_gallery.h"

#include <unordered_map>

#include "core/fail.h"

namespace imagerank::cli {

votes::Gallery load_gallery(const workspace::Workspace& workspace) {
  workspace::Database database;
  workspace.attach(database, "images");
  workspace.attach_or_empty(database, "rankings");
  const workspace::Table rows = database.query(R"(
    WITH there AS (SELECT image_uid, path FROM images WHERE status = 'ok' AND path <> ''),
         wanted AS (SELECT prompt, image_uid FROM images WHERE prompt <> ''
                    UNION SELECT prompt, unnest(image_uids) FROM rankings WHERE prompt <> '')
    SELECT prompt, image_uid, path FROM wanted JOIN there USING (image_uid)
    WHERE NOT contains(prompt, chr(0))
    QUALIFY count(*) OVER (PARTITION BY prompt) > 1
    ORDER BY prompt, image_uid)");
  if (rows.row_count == 0) {
    fail(ErrorCode::kNotFound,
         "{}: expected two images of one prompt with status ok, found none; import images with prompts, then fetch",
         workspace.root().string());
  }
  votes::Gallery gallery;
  std::unordered_map<std::string, std::uint32_t> places;
  for (std::size_t i = 0; i < rows.row_count; ++i) {
    const std::string &prompt = rows.columns[0].text[i], &uid = rows.columns[1].text[i];
    const auto [place, fresh] = places.emplace(uid, static_cast<std::uint32_t>(gallery.images.size()));
    if (fresh) {
      workspace::Image image;
      image.path = rows.columns[2].text[i];
      gallery.images.push_back({uid, workspace.resolve(image)});
    }
    if (gallery.prompts.empty() || gallery.prompts.back().text != prompt) gallery.prompts.push_back({prompt, {}});
    gallery.prompts.back().images.push_back(place->second);
  }
  gallery.index();
  return gallery;
}

}  // namespace imagerank::cli
