# SPDX-License-Identifier: MIT
# Makes the target uvdio::libuv, which the library and its users link to. The build reads this
# file, and so does find_package(uvdio), which has a copy. libuv is the first that is there of:
#   - the target that UVDIO_LIBUV_TARGET names. It may carry nothing but include directories, where
#     the program exports libuv's functions by itself;
#   - the module libuv of pkg-config;
#   - libuv::uv or libuv::uv_a, of libuv's own CMake package.
# The version of a libuv that tells none to CMake is checked by uvdio.h.
#
# Takes UVDIO_LIBUV_MINIMUM, and uvdio_libuv_scope: GLOBAL where the target has to be seen outside
# of this folder, or empty. Sets uvdio_libuv_error: why there is no target, or empty.

set(uvdio_libuv_error "")
set(uvdio_libuv_found "")
if(UVDIO_LIBUV_TARGET)
  if(TARGET "${UVDIO_LIBUV_TARGET}")
    set(uvdio_libuv_found "${UVDIO_LIBUV_TARGET}")
  else()
    string(CONCAT uvdio_libuv_error "UVDIO_LIBUV_TARGET is ${UVDIO_LIBUV_TARGET}, and there is no "
      "such target here: name one that was made before uvdio is added or looked for")
  endif()
else()
  find_package(PkgConfig QUIET)
  if(PKG_CONFIG_FOUND AND NOT TARGET PkgConfig::UVDIO_LIBUV)
    pkg_check_modules(UVDIO_LIBUV QUIET IMPORTED_TARGET ${uvdio_libuv_scope}
      libuv>=${UVDIO_LIBUV_MINIMUM})
  endif()
  if(TARGET PkgConfig::UVDIO_LIBUV)
    set(uvdio_libuv_found PkgConfig::UVDIO_LIBUV)
  else()
    # Older packages of libuv tell no version, and so fit no request for one.
    find_package(libuv CONFIG QUIET ${uvdio_libuv_scope})
    foreach(candidate IN ITEMS libuv::uv libuv::uv_a)
      if(TARGET ${candidate} AND NOT uvdio_libuv_found)
        set(uvdio_libuv_found ${candidate})
      endif()
    endforeach()
    if(uvdio_libuv_found AND libuv_VERSION AND libuv_VERSION VERSION_LESS UVDIO_LIBUV_MINIMUM)
      set(uvdio_libuv_found "")
    endif()
  endif()
  if(NOT uvdio_libuv_found)
    string(CONCAT uvdio_libuv_error "libuv >= ${UVDIO_LIBUV_MINIMUM} was not found: neither by "
      "pkg-config (set PKG_CONFIG_PATH) nor as a CMake package (set CMAKE_PREFIX_PATH), and "
      "UVDIO_LIBUV_TARGET names no target")
  endif()
endif()

if(uvdio_libuv_found AND NOT TARGET uvdio::libuv)
  add_library(uvdio::libuv INTERFACE IMPORTED ${uvdio_libuv_scope})
  target_link_libraries(uvdio::libuv INTERFACE ${uvdio_libuv_found})
endif()
