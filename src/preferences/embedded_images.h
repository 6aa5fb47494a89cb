#pragma once

#include <string>

#include "preferences/incoming.h"

namespace imagerank::preferences {

/// Writes images that a file holds as bytes to images/ab/<uid>.<ext> of the workspace, named by what the bytes are, and
/// fills table `embedded` (image_uid, path VARCHAR; width, height INTEGER; sha256 VARCHAR). Images that the workspace
/// has, or that stand in `embedded`, are left alone. Bytes that are no whole image are counted as skipped, "embedded_"
/// and why. The files themselves come before the tables that name them: after a crash they are written again.
/// @param rows  SQL: FROM what, such as "read_parquet('x')".
/// @param uid, bytes  SQL expressions over it: VARCHAR, BLOB.
/// Memory: 2048 rows' bytes. @throws Error as Database and AtomicFile do.
void write_embedded_images(Incoming& incoming, const std::string& rows, const std::string& uid,
                           const std::string& bytes);

/// Makes the table, so that it can be joined where nothing is embedded.
void make_embedded_table(Incoming& incoming);

}  // namespace imagerank::preferences
