#pragma once

#include "workspace/database.h"

namespace imagerank::labels {

/// Makes table `grouped` (r, prompt, key) of the connected components of `ranking`: rankings that share a prompt, an
/// image or a user, directly or through others, get one key, which does not depend on the order of rows.
void group_by_component(workspace::Database& database);

}  // namespace imagerank::labels
