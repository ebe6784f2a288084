# Finds oneDNN, which multiplies faster than a BLAS where weights can be laid out beforehand, and in bfloat16 and bytes, and offers
# it as the target bertune_onednn. Defines BERTUNE_HAS_ONEDNN where it is found; products are the BLAS's alone where it is not.
# BERTUNE_STATIC takes oneDNN's archive, libdnnl.a, which must be built without threads of its own.
# A copy outside the system's folders is named by DNNLROOT (environment) or CMAKE_PREFIX_PATH. BERTUNE_ONEDNN_LIBRARY=OFF does
# without.
add_library(bertune_onednn INTERFACE)
if(APPLE)
  return()
endif()
if(BERTUNE_STATIC)
  set(names libdnnl.a)
else()
  set(names dnnl)
endif()
find_path(BERTUNE_ONEDNN_INCLUDE_DIR oneapi/dnnl/dnnl.hpp HINTS "$ENV{DNNLROOT}" PATH_SUFFIXES include)
find_library(BERTUNE_ONEDNN_LIBRARY NAMES ${names} HINTS "$ENV{DNNLROOT}" PATH_SUFFIXES lib lib64)
mark_as_advanced(BERTUNE_ONEDNN_INCLUDE_DIR BERTUNE_ONEDNN_LIBRARY)
if(BERTUNE_ONEDNN_INCLUDE_DIR)
  # Its threads are OpenMP's, and can then be kept at one, or there are none.
  file(STRINGS "${BERTUNE_ONEDNN_INCLUDE_DIR}/oneapi/dnnl/dnnl_config.h" runtime REGEX "#define DNNL_CPU_THREADING_RUNTIME ")
  if(runtime MATCHES "DNNL_RUNTIME_OMP" AND NOT BERTUNE_STATIC)
    find_package(OpenMP QUIET COMPONENTS CXX)
  endif()
endif()
if(NOT BERTUNE_ONEDNN_LIBRARY OR NOT (OpenMP_CXX_FOUND OR runtime MATCHES "DNNL_RUNTIME_SEQ"))
  # Nothing found is to be looked for again once the package is there.
  unset(BERTUNE_ONEDNN_INCLUDE_DIR CACHE)
  unset(BERTUNE_ONEDNN_LIBRARY CACHE)
  message(STATUS "oneDNN was not found: products are the BLAS's, and the CPU has no bf16 and no int8.")
  return()
endif()
message(STATUS "oneDNN: ${BERTUNE_ONEDNN_LIBRARY}")
target_include_directories(bertune_onednn SYSTEM INTERFACE "${BERTUNE_ONEDNN_INCLUDE_DIR}")
target_link_libraries(bertune_onednn INTERFACE "${BERTUNE_ONEDNN_LIBRARY}")
target_compile_definitions(bertune_onednn INTERFACE BERTUNE_HAS_ONEDNN)
if(NOT BERTUNE_STATIC) # the one that is linked in is built without what makes it fast
  target_compile_definitions(bertune_onednn INTERFACE BERTUNE_HAS_ONEDNN_SGEMM)
endif()
if(OpenMP_CXX_FOUND)
  target_link_libraries(bertune_onednn INTERFACE ${OpenMP_CXX_LIBRARIES})
  target_include_directories(bertune_onednn SYSTEM INTERFACE ${OpenMP_CXX_INCLUDE_DIRS})
endif()
