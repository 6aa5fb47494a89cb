#pragma once

#include "votes/gallery.h"
#include "workspace/workspace.h"

namespace imagerank::cli {

/// What people can choose from in a workspace: images that are there (status ok), by the prompt they were made from and
/// by the prompts of rankings that showed them; prompts of one image are left out.
/// @throws Error kNotFound if that leaves none.
[[nodiscard]] votes::Gallery load_gallery(const workspace::Workspace& workspace);

}  // namespace imagerank::cli
