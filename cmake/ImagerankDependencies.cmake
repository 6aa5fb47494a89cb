# Every third-party library, found in one place. Debian 12 has all but DuckDB; scripts/bootstrap.sh installs them.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(ZLIB REQUIRED)
find_package(ICU REQUIRED COMPONENTS uc i18n)
find_package(JPEG REQUIRED)
find_package(GIF REQUIRED)
pkg_check_modules(DEFLATE REQUIRED IMPORTED_TARGET libdeflate)
pkg_check_modules(WEBP REQUIRED IMPORTED_TARGET libwebp libwebpdemux)
if(IMAGERANK_DATA_STAGES)
  find_package(Eigen3 3.4 REQUIRED NO_MODULE)
  find_package(CURL REQUIRED)
  find_package(Boost 1.74 REQUIRED)  # headers: Beast, Asio
  find_package(prometheus-cpp REQUIRED COMPONENTS core)
  find_package(CLI11 REQUIRED)
  pkg_check_modules(CAIRO REQUIRED IMPORTED_TARGET cairo)
  pkg_check_modules(TOMLPLUSPLUS REQUIRED IMPORTED_TARGET tomlplusplus)
  find_package(DuckDB REQUIRED)
  # Debian's SOCI comes without a CMake package; its headers of back ends include those of SQLite and libpq.
  pkg_check_modules(PQ REQUIRED IMPORTED_TARGET libpq)
  pkg_check_modules(SQLITE REQUIRED IMPORTED_TARGET sqlite3)
  find_path(SOCI_INCLUDE_DIR soci/soci.h REQUIRED)
  find_library(SOCI_CORE_LIBRARY soci_core REQUIRED)
  find_library(SOCI_SQLITE_LIBRARY soci_sqlite3 REQUIRED)
  find_library(SOCI_POSTGRESQL_LIBRARY soci_postgresql REQUIRED)
  add_library(imagerank_soci INTERFACE)
  target_include_directories(imagerank_soci SYSTEM INTERFACE ${SOCI_INCLUDE_DIR})
  target_link_libraries(imagerank_soci INTERFACE
    ${SOCI_SQLITE_LIBRARY} ${SOCI_POSTGRESQL_LIBRARY} ${SOCI_CORE_LIBRARY} PkgConfig::PQ PkgConfig::SQLITE)
endif()

# libtorch's own targets force a C++14 flag, the old ABI macro and warnings on its headers; take its libraries and
# headers only, as system includes.
find_package(Torch REQUIRED)
add_library(imagerank_torch INTERFACE)
target_include_directories(imagerank_torch SYSTEM INTERFACE ${TORCH_INCLUDE_DIRS})
target_link_libraries(imagerank_torch INTERFACE ${TORCH_LIBRARIES})
# libtorch.so has no symbols, it only loads the devices' libraries: where the linker leaves out what seems unused (Ubuntu),
# CUDA would not be there.
target_link_options(imagerank_torch INTERFACE LINKER:--no-as-needed)
