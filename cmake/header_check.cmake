# SPDX-License-Identifier: MIT
# Every public header compiles alone, first and twice: as C, and as C++ where there is a compiler
# for it; uvdio.hpp as C++20. The headers are globbed on purpose: one that was forgotten in a list
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

uvdio_check_headers(uvdio_header_check c)

include(CheckLanguage)
check_language(CXX)
if(CMAKE_CXX_COMPILER)
  enable_language(CXX)
  uvdio_check_headers(uvdio_header_check_cxx cpp)
  set_target_properties(uvdio_header_check_cxx PROPERTIES CXX_STANDARD 11 CXX_STANDARD_REQUIRED ON)
  set(public_headers uvdio.hpp)
  uvdio_check_headers(uvdio_header_check_cxx20 cpp)
  set_target_properties(uvdio_header_check_cxx20 PROPERTIES CXX_STANDARD 20 CXX_STANDARD_REQUIRED ON
    CXX_EXTENSIONS OFF)
endif()
