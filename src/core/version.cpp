#include "imagerank/version.h"

namespace imagerank {

const char* version() noexcept { return IMAGERANK_VERSION; }

}  // namespace imagerank
