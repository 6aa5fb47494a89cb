# `cmake --install`: the program, its built-in encoder, and the library with its CMake package.
include(CMakePackageConfigHelpers)

# One shared library for consumers: the whole of core and scoring, whose classes the public headers declare.
file(WRITE ${PROJECT_BINARY_DIR}/library.cpp "")
add_library(imagerank SHARED ${PROJECT_BINARY_DIR}/library.cpp)
add_library(imagerank::imagerank ALIAS imagerank)
target_include_directories(imagerank INTERFACE
  $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_link_options(imagerank PRIVATE
  LINKER:--whole-archive $<TARGET_FILE:imagerank_core> $<TARGET_FILE:imagerank_scoring> LINKER:--no-whole-archive)
target_link_libraries(imagerank PRIVATE imagerank_scoring)
target_compile_features(imagerank INTERFACE cxx_std_20)
set_target_properties(imagerank PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR})

set_target_properties(imagerank imagerank_program imagerank_torch_program PROPERTIES INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}")
install(TARGETS imagerank EXPORT imagerankTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS imagerank_program imagerank_torch_program RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES ${DuckDB_LIBRARY} DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY include/imagerank DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(DIRECTORY assets/sample DESTINATION ${CMAKE_INSTALL_DATADIR}/imagerank/models OPTIONAL)
install(EXPORT imagerankTargets NAMESPACE imagerank:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/imagerank)
configure_package_config_file(cmake/imagerankConfig.cmake.in ${PROJECT_BINARY_DIR}/imagerankConfig.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/imagerank)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/imagerankConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/imagerankConfig.cmake ${PROJECT_BINARY_DIR}/imagerankConfigVersion.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/imagerank)
