# SPDX-License-Identifier: MIT
# What gets installed: headers, both libraries, the command and its completions, scripts for the
# probes, and the two descriptions by which others find them: a CMake package and a pkg-config file.
# Neither contains a path of this machine, so that the installed tree can be moved.

include(CMakePackageConfigHelpers)

install(DIRECTORY include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h"
  PATTERN "*.hpp")
if(UVDIO_BUILD_CLI)
  install(TARGETS uvdio_cli RUNTIME COMPONENT tools)
  # Where each shell looks for them.
  install(FILES src/cli/completions/uvdio.bash
    DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME uvdio
    COMPONENT tools)
  install(FILES src/cli/completions/_uvdio
    DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions COMPONENT tools)
  install(FILES src/cli/completions/uvdio.fish
    DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d COMPONENT tools)
endif()
if(UVDIO_HAVE_TRACING)
  install(PROGRAMS src/tools/uvdio-latency.bt src/tools/uvdio-stalls.bt
    DESTINATION ${CMAKE_INSTALL_DATADIR}/uvdio COMPONENT tools)
endif()

# One export set per form: a user of the shared library need not have what the static one links to.
set(uvdio_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/uvdio)
foreach(form static shared)
  install(TARGETS uvdio_${form} EXPORT uvdio-${form}
    RUNTIME COMPONENT runtime
    LIBRARY COMPONENT runtime NAMELINK_COMPONENT dev
    ARCHIVE COMPONENT dev)
  install(EXPORT uvdio-${form} NAMESPACE uvdio::
    FILE uvdio-${form}.cmake DESTINATION ${uvdio_package_dir})
endforeach()

configure_package_config_file(cmake/uvdio-config.cmake.in uvdio-config.cmake
  INSTALL_DESTINATION ${uvdio_package_dir} NO_SET_AND_CHECK_MACRO)
# Before 1.0 a minor version may change what is there: 0.2 does not stand in for 0.1.
write_basic_package_version_file(uvdio-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES
  cmake/uvdio-libuv.cmake
  ${CMAKE_CURRENT_BINARY_DIR}/uvdio-config.cmake
  ${CMAKE_CURRENT_BINARY_DIR}/uvdio-config-version.cmake
  DESTINATION ${uvdio_package_dir})

# The prefix is found from where uvdio.pc lies, unless the library directory is outside of the
# prefix.
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
  set(uvdio_pc_prefix "${CMAKE_INSTALL_PREFIX}")
else()
  file(RELATIVE_PATH uvdio_pc_up "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
  string(REGEX REPLACE "/$" "" uvdio_pc_up "${uvdio_pc_up}")
  set(uvdio_pc_prefix "\${pcfiledir}/${uvdio_pc_up}")
endif()
set(uvdio_pc_libdir "\${prefix}")
set(uvdio_pc_includedir "\${prefix}")
cmake_path(APPEND uvdio_pc_libdir "${CMAKE_INSTALL_LIBDIR}") # an absolute path replaces the prefix
cmake_path(APPEND uvdio_pc_includedir "${CMAKE_INSTALL_INCLUDEDIR}")
# What a static program links to as well is no Requires.private: its .pc files would be asked for by
# everybody, for the sake of --cflags. A linker knows its own folders.
set(uvdio_pc_libs_private "")
if(UVDIO_HAVE_RING)
  list(APPEND uvdio_pc_libs_private ${UVDIO_LIBURING_LDFLAGS})
endif()
if(UVDIO_HAVE_ISAL)
  list(APPEND uvdio_pc_libs_private ${UVDIO_ISAL_LDFLAGS})
endif()
list(TRANSFORM CMAKE_C_IMPLICIT_LINK_DIRECTORIES PREPEND "-L" OUTPUT_VARIABLE uvdio_linker_folders)
list(REMOVE_ITEM uvdio_pc_libs_private ${uvdio_linker_folders})
list(JOIN uvdio_pc_libs_private " " uvdio_pc_libs_private)
configure_file(cmake/uvdio.pc.in uvdio.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/uvdio.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
