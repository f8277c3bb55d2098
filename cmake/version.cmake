# SPDX-License-Identifier: MIT
# The version stands in one place, include/uvdio/version.h; this reads it from there.
# Sets UVDIO_VERSION. Runs before project(), which wants to know it.

set(version_header "${CMAKE_CURRENT_LIST_DIR}/../include/uvdio/version.h")
file(STRINGS "${version_header}" version_lines
  REGEX "^#define UVDIO_VERSION_(MAJOR|MINOR|PATCH) [0-9]+$")
list(TRANSFORM version_lines REPLACE "^.* " "")
list(LENGTH version_lines version_parts)
if(NOT version_parts EQUAL 3)
  message(FATAL_ERROR
    "${version_header}: expected UVDIO_VERSION_MAJOR, _MINOR and _PATCH, in this order")
endif()
list(JOIN version_lines "." UVDIO_VERSION)

# A new version number must reach the packages without a configure step by hand.
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${version_header}")
