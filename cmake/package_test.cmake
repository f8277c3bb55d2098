# SPDX-License-Identifier: MIT
# A test that installs this build to a temporary prefix and uses it from there as others would:
# through find_package and through pkg-config, static and shared. Without sanitizers: an outside
# program is not built with them.

if(UVDIO_INSTALL AND UNIX AND NOT UVDIO_SANITIZE)
  add_test(NAME package
    COMMAND sh "${PROJECT_SOURCE_DIR}/test/package/run.sh" "${PROJECT_BINARY_DIR}" "$<CONFIG>")
  set(environment
    CMAKE_GENERATOR=${CMAKE_GENERATOR}
    CC=${CMAKE_C_COMPILER}
    CMAKE=${CMAKE_COMMAND}
    PKG_CONFIG=${PKG_CONFIG_EXECUTABLE}
    UVDIO_VERSION=${PROJECT_VERSION}
    UVDIO_HAVE_TRACING=${UVDIO_HAVE_TRACING})
  set_tests_properties(package PROPERTIES LABELS package ENVIRONMENT "${environment}"
    DEPENDS docs) # which must not be made while it is installed
endif()
