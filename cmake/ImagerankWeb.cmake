# web/ as C++: Vite bundles the report's script, and the bundle and the style sheet become two strings of `evaluation`.
# npm packages are installed by scripts/bootstrap.sh; nothing is fetched here.
find_program(NODE_EXECUTABLE NAMES node nodejs REQUIRED)
set(web ${PROJECT_SOURCE_DIR}/web)
if(NOT EXISTS ${web}/node_modules/vite/bin/vite.js)
  message(FATAL_ERROR "web/node_modules is missing or incomplete: run scripts/bootstrap.sh")
endif()
set(web_out ${PROJECT_BINARY_DIR}/web)
file(GLOB web_sources CONFIGURE_DEPENDS ${web}/report/*.js)
add_custom_command(
  OUTPUT ${web_out}/report.js
  COMMAND ${NODE_EXECUTABLE} node_modules/vite/bin/vite.js build --outDir ${web_out} --emptyOutDir --logLevel warn
  WORKING_DIRECTORY ${web}
  DEPENDS ${web_sources} ${web}/vite.config.js ${web}/package-lock.json
  COMMENT "Bundling the report's script" VERBATIM)
add_custom_command(
  OUTPUT ${PROJECT_BINARY_DIR}/page_files.cpp
  COMMAND ${CMAKE_COMMAND} -DSCRIPT=${web_out}/report.js -DSTYLE=${web}/report/style.css
    -DOUT=${PROJECT_BINARY_DIR}/page_files.cpp -P ${PROJECT_SOURCE_DIR}/cmake/embed_page_files.cmake
  DEPENDS ${web_out}/report.js ${web}/report/style.css ${PROJECT_SOURCE_DIR}/cmake/embed_page_files.cmake VERBATIM)
target_sources(imagerank_evaluation PRIVATE ${PROJECT_BINARY_DIR}/page_files.cpp)
