# SPDX-License-Identifier: MIT
# A port for vcpkg. It was never run: it was written where no vcpkg can be reached. Expect to mend
# it at its first run, and then remove these sentences. vcpkg.json beside it says what it needs.
#
# It takes the sources of the tree that it lies in: vcpkg install uvdio
# --overlay-ports=cmake/packaging/vcpkg. A port in a registry replaces the next lines by
# vcpkg_from_git(), with the address of the repository and the commit of a tag.
get_filename_component(SOURCE_PATH "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)

vcpkg_check_features(OUT_FEATURE_OPTIONS options FEATURES
  io-uring UVDIO_WITH_RING
  isal UVDIO_WITH_ISAL
  tools UVDIO_BUILD_CLI)

vcpkg_cmake_configure(
  SOURCE_PATH "${SOURCE_PATH}"
  OPTIONS
    ${options}
    -DUVDIO_BUILD_TESTS=OFF
    -DUVDIO_BUILD_EXAMPLES=OFF
    -DUVDIO_INSTALL=ON
    -DUVDIO_WITH_TRACING=OFF)
vcpkg_cmake_install()
vcpkg_cmake_config_fixup(CONFIG_PATH lib/cmake/uvdio)
vcpkg_fixup_pkgconfig()
if("tools" IN_LIST FEATURES)
  vcpkg_copy_tools(TOOL_NAMES uvdio AUTO_CLEAN)
endif()

# uvdio builds both libraries; a triplet has one of them. CMake's files of the other form go as
# well: find_package(uvdio) takes what is there.
if(VCPKG_LIBRARY_LINKAGE STREQUAL "static")
  set(gone shared)
  file(GLOB libraries "${CURRENT_PACKAGES_DIR}/lib/*uvdio*.so*"
    "${CURRENT_PACKAGES_DIR}/lib/*uvdio*.dylib" "${CURRENT_PACKAGES_DIR}/bin/*uvdio*.dll"
    "${CURRENT_PACKAGES_DIR}/debug/lib/*uvdio*.so*"
    "${CURRENT_PACKAGES_DIR}/debug/lib/*uvdio*.dylib"
    "${CURRENT_PACKAGES_DIR}/debug/bin/*uvdio*.dll")
else()
  set(gone static)
  file(GLOB libraries "${CURRENT_PACKAGES_DIR}/lib/libuvdio.a"
    "${CURRENT_PACKAGES_DIR}/lib/uvdio_static.lib" "${CURRENT_PACKAGES_DIR}/debug/lib/libuvdio.a"
    "${CURRENT_PACKAGES_DIR}/debug/lib/uvdio_static.lib")
endif()
file(GLOB exports "${CURRENT_PACKAGES_DIR}/share/uvdio/uvdio-${gone}*.cmake")
if(libraries OR exports)
  file(REMOVE ${libraries} ${exports})
endif()

file(REMOVE_RECURSE "${CURRENT_PACKAGES_DIR}/debug/include" "${CURRENT_PACKAGES_DIR}/debug/share")
vcpkg_install_copyright(FILE_LIST "${SOURCE_PATH}/LICENSE")
