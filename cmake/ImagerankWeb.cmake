# web/ as C++: Vite bundles the script of reports and that of the server's pages, and bundles, style sheets and the page
# become strings of `evaluation` and `serving`. npm packages are installed by scripts/bootstrap.sh; nothing is fetched here.
find_program(NODE_EXECUTABLE NAMES node nodejs REQUIRED)
set(web ${PROJECT_SOURCE_DIR}/web)
foreach(package vite preact)
  if(NOT EXISTS ${web}/node_modules/${package}/package.json)
    message(FATAL_ERROR "web/node_modules is missing or incomplete: run scripts/bootstrap.sh")
  endif()
endforeach()

# imagerank_web(STAGE CONFIG BUNDLE HEADER INLINE FILES name=file...): a bundle made by a Vite config from web/FOLDER, and
# the files as functions that HEADER declares.
function(imagerank_web stage)
  cmake_parse_arguments(WEB "INLINE" "CONFIG;FOLDER;BUNDLE;HEADER" "FILES" ${ARGN})
  set(out ${PROJECT_BINARY_DIR}/web/${stage})
  file(GLOB sources CONFIGURE_DEPENDS ${web}/${WEB_FOLDER}/*.js ${web}/${WEB_FOLDER}/*.ts ${web}/${WEB_FOLDER}/*.tsx)
  add_custom_command(
    OUTPUT ${out}/${WEB_BUNDLE}
    COMMAND ${NODE_EXECUTABLE} node_modules/vite/bin/vite.js build --config ${WEB_CONFIG} --outDir ${out} --emptyOutDir
      --logLevel warn
    WORKING_DIRECTORY ${web}
    DEPENDS ${sources} ${web}/${WEB_CONFIG} ${web}/package-lock.json
    COMMENT "Bundling web/${WEB_FOLDER}" VERBATIM)
  set(files "")
  set(inputs "")
  foreach(entry IN LISTS WEB_FILES)
    string(REGEX MATCH "^(.*)=(.*)$" _ ${entry})
    set(file ${web}/${WEB_FOLDER}/${CMAKE_MATCH_2})
    if(CMAKE_MATCH_2 STREQUAL WEB_BUNDLE)
      set(file ${out}/${WEB_BUNDLE})
    endif()
    list(APPEND files ${CMAKE_MATCH_1}=${file})
    list(APPEND inputs ${file})
  endforeach()
  set(made ${PROJECT_BINARY_DIR}/${stage}_page_files.cpp)
  add_custom_command(
    OUTPUT ${made}
    COMMAND ${CMAKE_COMMAND} "-DFILES=${files}" -DSTAGE=${stage} -DHEADER=${WEB_HEADER} -DINLINE=${WEB_INLINE} -DOUT=${made}
      -P ${PROJECT_SOURCE_DIR}/cmake/embed_page_files.cmake
    DEPENDS ${inputs} ${PROJECT_SOURCE_DIR}/cmake/embed_page_files.cmake VERBATIM)
  target_sources(imagerank_${stage} PRIVATE ${made})
endfunction()

imagerank_web(evaluation CONFIG vite.config.js FOLDER report BUNDLE report.js HEADER evaluation/page_files.h INLINE
  FILES page_script=report.js page_style=style.css)
imagerank_web(serving CONFIG vite.app.config.js FOLDER app BUNDLE app.js HEADER serving/pages.h
  FILES app_html=index.html app_script=app.js app_style=style.css)
