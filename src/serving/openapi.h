#pragma once

#include <string>

namespace imagerank::serving {

/// GET /openapi.json: what the routes take and give, as OpenAPI 3.0.
[[nodiscard]] std::string openapi_document();
/// GET /docs: a page that shows it. It fetches nothing but /openapi.json.
[[nodiscard]] std::string openapi_page();

}  // namespace imagerank::serving
