# Flags every target of ours is compiled with.
add_library(imagerank_flags INTERFACE)
target_compile_options(imagerank_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Wold-style-cast -Wcast-qual -Woverloaded-virtual
  $<$<BOOL:${IMAGERANK_WERROR}>:-Werror>)
if(IMAGERANK_SANITIZE)
  target_compile_options(imagerank_flags INTERFACE
    -fsanitize=${IMAGERANK_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(imagerank_flags INTERFACE -fsanitize=${IMAGERANK_SANITIZE})
endif()

# imagerank_stage(NAME [DEPENDS stage...] [LIBRARIES target...] [PRIVATE_LIBRARIES target...])
# One folder of src/ as the static library imagerank_NAME. Its headers are included as "NAME/file.h", and only by
# targets that depend on it: each stage's include root is a folder of the build tree that holds one link, to the stage.
function(imagerank_stage name)
  cmake_parse_arguments(STAGE "" "" "DEPENDS;LIBRARIES;PRIVATE_LIBRARIES" ${ARGN})
  set(include_root ${PROJECT_BINARY_DIR}/stages/${name})
  file(MAKE_DIRECTORY ${include_root})
  file(CREATE_LINK ${PROJECT_SOURCE_DIR}/src/${name} ${include_root}/${name} SYMBOLIC)
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${name}/*.cpp)
  add_library(imagerank_${name} STATIC ${sources})
  set_target_properties(imagerank_${name} PROPERTIES LINKER_LANGUAGE CXX)
  list(TRANSFORM STAGE_DEPENDS PREPEND imagerank_)
  target_include_directories(imagerank_${name} PUBLIC ${include_root} ${PROJECT_SOURCE_DIR}/include)
  target_link_libraries(imagerank_${name}
    PUBLIC ${STAGE_DEPENDS} ${STAGE_LIBRARIES}
    PRIVATE ${STAGE_PRIVATE_LIBRARIES} imagerank_flags)
endfunction()
