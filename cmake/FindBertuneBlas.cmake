# Finds a CBLAS and offers it as the target bertune_blas: Accelerate on macOS, OpenBLAS elsewhere.
# Defines BERTUNE_HAS_OPENBLAS for code that calls openblas_*, BERTUNE_HAS_ACCELERATE for <Accelerate/Accelerate.h>.
# BERTUNE_STATIC takes OpenBLAS's archive, libopenblas.a, in place of its shared library.
# A copy outside the system's folders is named by OpenBLAS_HOME (environment) or CMAKE_PREFIX_PATH.
include(FindPackageHandleStandardArgs)
add_library(bertune_blas INTERFACE)

if(APPLE)
  find_library(BERTUNE_BLAS_LIBRARY Accelerate)
  find_package_handle_standard_args(BertuneBlas REQUIRED_VARS BERTUNE_BLAS_LIBRARY)
  target_link_libraries(bertune_blas INTERFACE ${BERTUNE_BLAS_LIBRARY})
  target_compile_definitions(bertune_blas INTERFACE BERTUNE_HAS_ACCELERATE ACCELERATE_NEW_LAPACK)
  return()
endif()

# OpenBLAS's own folder comes first: the plain cblas.h of a system may belong to the reference BLAS.
find_package(PkgConfig QUIET)
if(PkgConfig_FOUND)
  pkg_check_modules(PC_OPENBLAS QUIET openblas)
endif()
find_path(BERTUNE_BLAS_INCLUDE_DIR cblas.h
  HINTS "$ENV{OpenBLAS_HOME}" ${PC_OPENBLAS_INCLUDE_DIRS}
  PATH_SUFFIXES include/openblas include openblas-pthread openblas openblas-openmp openblas-serial)
if(BERTUNE_STATIC)
  set(names libopenblas.a)
else()
  set(names openblas libopenblas)
endif()
find_library(BERTUNE_BLAS_LIBRARY NAMES ${names}
  HINTS "$ENV{OpenBLAS_HOME}" ${PC_OPENBLAS_LIBRARY_DIRS}
  PATH_SUFFIXES lib lib64 openblas-pthread openblas openblas-openmp openblas-serial)

if(BERTUNE_BLAS_INCLUDE_DIR)
  file(STRINGS "${BERTUNE_BLAS_INCLUDE_DIR}/cblas.h" declaration REGEX "openblas_set_num_threads" LIMIT_COUNT 1)
endif()
if(NOT BERTUNE_BLAS_LIBRARY OR NOT declaration)
  # Nothing found is to be looked for again once the package is there.
  unset(BERTUNE_BLAS_INCLUDE_DIR CACHE)
  unset(BERTUNE_BLAS_LIBRARY CACHE)
  message(FATAL_ERROR "OpenBLAS with its headers was not found. Install it and build again:\n"
    "  Debian, Ubuntu:  sudo apt-get install -y libopenblas-dev\n"
    "  Fedora, RHEL:    sudo dnf install -y openblas-devel\n"
    "  Homebrew:        brew install openblas\n"
    "or name the folder of a copy of your own in the environment variable OpenBLAS_HOME.")
endif()

find_package_handle_standard_args(BertuneBlas REQUIRED_VARS BERTUNE_BLAS_LIBRARY BERTUNE_BLAS_INCLUDE_DIR)
mark_as_advanced(BERTUNE_BLAS_INCLUDE_DIR BERTUNE_BLAS_LIBRARY)
target_include_directories(bertune_blas SYSTEM INTERFACE "${BERTUNE_BLAS_INCLUDE_DIR}")
target_link_libraries(bertune_blas INTERFACE "${BERTUNE_BLAS_LIBRARY}")
target_compile_definitions(bertune_blas INTERFACE BERTUNE_HAS_OPENBLAS)
