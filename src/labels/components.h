#pragma once

#include "workspace/database.h"

namespace imagerank::labels {

/// Fills table `grouped` (r, key) with the connected component of each row of `ranking`: rankings that share a prompt,
/// an image or a user, directly or through others, get one key.
void group_by_component(workspace::Database& database);

}  // namespace imagerank::labels
