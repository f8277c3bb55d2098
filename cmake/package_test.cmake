# SPDX-License-Identifier: MIT
# Tests that install this build to a temporary prefix and use it from there as others would, and
# that embed its sources: through find_package and pkg-config, static and shared, with libuv from
# each place where it may be. Without sanitizers: an outside program is not built with them.

if(UVDIO_INSTALL AND UNIX AND NOT UVDIO_SANITIZE)
  set(environment
    CMAKE_GENERATOR=${CMAKE_GENERATOR}
    CC=${CMAKE_C_COMPILER}
    CMAKE=${CMAKE_COMMAND}
    PKG_CONFIG=${PKG_CONFIG_EXECUTABLE}
    UVDIO_VERSION=${PROJECT_VERSION}
    UVDIO_HAVE_TRACING=${UVDIO_HAVE_TRACING})
  foreach(script run libuv)
    set(name package)
    if(NOT script STREQUAL "run")
      set(name package_${script})
    endif()
    add_test(NAME ${name}
      COMMAND sh "${PROJECT_SOURCE_DIR}/test/package/${script}.sh" "${PROJECT_BINARY_DIR}"
        "$<CONFIG>")
    set_tests_properties(${name} PROPERTIES
      LABELS package ENVIRONMENT "${environment}" TIMEOUT 600 COST 50
      DEPENDS docs) # which must not be made while it is installed
  endforeach()
endif()
