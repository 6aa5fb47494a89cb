# DuckDB::duckdb, the C API. A system DuckDB first, then what scripts/bootstrap.sh put under .deps.
file(GLOB _duckdb_local ${PROJECT_SOURCE_DIR}/.deps/duckdb-*)
find_path(DuckDB_INCLUDE_DIR duckdb.h HINTS ENV DUCKDB_DIR PATH_SUFFIXES include)
find_library(DuckDB_LIBRARY duckdb HINTS ENV DUCKDB_DIR PATH_SUFFIXES lib)
if(NOT DuckDB_INCLUDE_DIR OR NOT DuckDB_LIBRARY)
  find_path(DuckDB_INCLUDE_DIR duckdb.h PATHS ${_duckdb_local} PATH_SUFFIXES include NO_DEFAULT_PATH)
  find_library(DuckDB_LIBRARY duckdb PATHS ${_duckdb_local} PATH_SUFFIXES lib NO_DEFAULT_PATH)
endif()
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(DuckDB REQUIRED_VARS DuckDB_LIBRARY DuckDB_INCLUDE_DIR
  REASON_FAILURE_MESSAGE "run scripts/bootstrap.sh, or point DUCKDB_DIR at a DuckDB with include/ and lib/")
if(DuckDB_FOUND AND NOT TARGET DuckDB::duckdb)
  add_library(DuckDB::duckdb SHARED IMPORTED)
  set_target_properties(DuckDB::duckdb PROPERTIES
    IMPORTED_LOCATION ${DuckDB_LIBRARY}
    IMPORTED_NO_SONAME ON
    INTERFACE_INCLUDE_DIRECTORIES ${DuckDB_INCLUDE_DIR})
endif()
