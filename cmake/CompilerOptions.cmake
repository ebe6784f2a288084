# Compiler and linker flags of every target, as the interface library bertune_compile_options.
add_library(bertune_compile_options INTERFACE)

set(CMAKE_CXX_FLAGS_RELEASE "-O3 -DNDEBUG")
target_compile_options(bertune_compile_options INTERFACE
  -Wall -Wextra -Werror=return-type
  -fopenmp-simd         # `#pragma omp simd` on plain loops; no OpenMP runtime
  -fno-math-errno       # these two let loops with sqrt and comparisons vectorize; results stay IEEE
  -fno-trapping-math
  $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage> # of the sources of a unity build, which are included but no headers
  # Messages and debug information name sources from the root of the repository, not from the builder's folder.
  "-ffile-prefix-map=${PROJECT_SOURCE_DIR}/=")

if(BERTUNE_NATIVE_ARCH)
  include(CheckCXXCompilerFlag)
  check_cxx_compiler_flag(-march=native BERTUNE_HAS_MARCH_NATIVE)
  if(BERTUNE_HAS_MARCH_NATIVE)
    target_compile_options(bertune_compile_options INTERFACE -march=native)
  endif()
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  target_compile_options(bertune_compile_options INTERFACE -march=x86-64-v3)
endif()

if(BERTUNE_SANITIZE)
  if(NOT BERTUNE_SANITIZE MATCHES "^(address|undefined|address,undefined|thread)$")
    message(FATAL_ERROR "BERTUNE_SANITIZE is '${BERTUNE_SANITIZE}'; expected address, undefined, address,undefined or thread.")
  endif()
  target_compile_options(bertune_compile_options INTERFACE -O2 -g -fsanitize=${BERTUNE_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(bertune_compile_options INTERFACE -fsanitize=${BERTUNE_SANITIZE})
  if(BERTUNE_SANITIZE STREQUAL "thread")
    # ThreadSanitizer keeps what it knows of a library's memory, and its handlers of exit(), when the library is unloaded.
    target_link_options(bertune_compile_options INTERFACE LINKER:-z,nodelete)
  endif()
endif()
