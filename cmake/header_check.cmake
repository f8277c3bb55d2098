# SPDX-License-Identifier: MIT
# Every public header compiles alone, first and twice: as C, and as C++ where there is a compiler
# for it; uvdio.hpp as C++20. Every structure of them is zeroed by UVDIO_ZERO without a warning, in
# C and in C++11 to 23. The headers are globbed on purpose: one that was forgotten in a list
# would never be checked.

file(GLOB_RECURSE public_headers CONFIGURE_DEPENDS
  RELATIVE "${PROJECT_SOURCE_DIR}/include" "include/*.h")

# Objects only, nothing is linked: the target exists to be compiled.
function(uvdio_check_headers target extension)
  set(sources "")
  foreach(header IN LISTS public_headers)
    string(MAKE_C_IDENTIFIER "${header}" name)
    set(source "${PROJECT_BINARY_DIR}/header_check/${name}.${extension}")
    # The typedef: ISO C wants at least one declaration, and a header of macros has none.
    file(CONFIGURE OUTPUT "${source}" CONTENT
      "#include \"${header}\"\n#include \"${header}\"\ntypedef int check_${name};\n")
    list(APPEND sources "${source}")
  endforeach()
  add_library(${target} OBJECT ${sources})
  uvdio_own_target(${target})
  target_link_libraries(${target} PRIVATE uvdio::uvdio)
endfunction()

# One source for all headers, with a variable of every structure that they define.
function(uvdio_check_zero target extension standard)
  set(includes "")
  set(variables "")
  foreach(header IN LISTS public_headers)
    string(APPEND includes "#include \"${header}\"\n")
    file(STRINGS "${PROJECT_SOURCE_DIR}/include/${header}" heads
      REGEX "^(typedef )?struct uvdio_[a-z_]+_s {")
    foreach(head IN LISTS heads)
      string(REGEX REPLACE ".*struct (uvdio_[a-z_]+)_s {" "\\1_t" type "${head}")
      string(APPEND variables "  ${type} ${type}_zero = UVDIO_ZERO;\n  (void)${type}_zero;\n")
    endforeach()
  endforeach()
  set(source "${PROJECT_BINARY_DIR}/header_check/${target}.${extension}")
  file(CONFIGURE OUTPUT "${source}" CONTENT
    "${includes}void ${target}(void);\nvoid ${target}(void) {\n${variables}}\n")
  add_library(${target} OBJECT "${source}")
  uvdio_own_target(${target})
  target_link_libraries(${target} PRIVATE uvdio::uvdio)
  if(extension STREQUAL cpp)
    set_target_properties(${target} PROPERTIES CXX_STANDARD ${standard} CXX_STANDARD_REQUIRED ON
      CXX_EXTENSIONS OFF)
  endif()
endfunction()

uvdio_check_headers(uvdio_header_check c)
uvdio_check_zero(uvdio_zero_check c 11)

include(CheckLanguage)
check_language(CXX)
if(CMAKE_CXX_COMPILER)
  enable_language(CXX)
  uvdio_check_headers(uvdio_header_check_cxx cpp)
  set_target_properties(uvdio_header_check_cxx PROPERTIES CXX_STANDARD 11 CXX_STANDARD_REQUIRED ON)
  foreach(standard 11 14 17 20 23)
    if(cxx_std_${standard} IN_LIST CMAKE_CXX_COMPILE_FEATURES)
      uvdio_check_zero(uvdio_zero_check_cxx${standard} cpp ${standard})
    endif()
  endforeach()
  set(public_headers uvdio.hpp uvdio/log.hpp uvdio/stream.hpp)
  uvdio_check_headers(uvdio_header_check_cxx20 cpp)
  set_target_properties(uvdio_header_check_cxx20 PROPERTIES CXX_STANDARD 20 CXX_STANDARD_REQUIRED ON
    CXX_EXTENSIONS OFF)
endif()
