# SPDX-License-Identifier: MIT
# Packages, by CPack: .tar.gz everywhere, .deb where dpkg is, .rpm where rpmbuild is. Each is in
# three parts, which are the components of the installation: runtime (the shared library), dev
# (headers, the static library, what finds them) and tools (the commands). For packages of a
# distribution take the preset dist: it builds for /usr.

set(UVDIO_PACKAGER "The uvdio authors <packager@uvdio.invalid>" CACHE STRING
  "Who makes the packages: NAME <ADDRESS>, for .deb and .rpm")

set(CPACK_PACKAGE_NAME uvdio)
set(CPACK_PACKAGE_VENDOR "The uvdio authors")
set(CPACK_PACKAGE_CONTACT "${UVDIO_PACKAGER}")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${PROJECT_DESCRIPTION}")
set(CPACK_PACKAGE_CHECKSUM SHA256)
set(CPACK_RESOURCE_FILE_LICENSE "${PROJECT_SOURCE_DIR}/LICENSE")
set(CPACK_STRIP_FILES ON)
set(CPACK_VERBATIM_VARIABLES ON)
set(CPACK_THREADS 0)
set(CPACK_PRE_BUILD_SCRIPTS "${PROJECT_SOURCE_DIR}/cmake/pack_documents.cmake")
set(CPACK_POST_BUILD_SCRIPTS "${PROJECT_SOURCE_DIR}/cmake/pack_trigger.cmake")
set(CPACK_UVDIO_SOURCE "${PROJECT_SOURCE_DIR}")

set(CPACK_COMPONENTS_ALL runtime dev tools)
set(CPACK_COMPONENTS_GROUPING IGNORE)
# Lines of at most 80 columns, as dpkg wants them.
set(about "\
A C library for storage engines, write-ahead logs and servers on libuv that
keep their own cache. Reads and writes bypass the page cache and never block
the loop. On Linux they go through io_uring, through kernel AIO where that is
denied, or through libuv's threads.
")
set(CPACK_COMPONENT_RUNTIME_DESCRIPTION "${about}
This package has the shared library.")
set(CPACK_COMPONENT_DEV_DESCRIPTION "${about}
This package is for building programs: it has the headers, the static library,
and what CMake and pkg-config look for.")
set(CPACK_COMPONENT_TOOLS_DESCRIPTION "${about}
This package has the command uvdio, which probes a machine, copies files and
measures, and scripts for tracers.")
foreach(component IN LISTS CPACK_COMPONENTS_ALL)
  install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/licenses/uvdio-${component}
    COMPONENT ${component} EXCLUDE_FROM_ALL)
endforeach()

find_program(UVDIO_DPKG dpkg-shlibdeps)
find_program(UVDIO_RPMBUILD rpmbuild)
mark_as_advanced(UVDIO_DPKG UVDIO_RPMBUILD)
set(CPACK_GENERATOR TGZ)
if(UVDIO_DPKG)
  list(APPEND CPACK_GENERATOR DEB)
elseif(UVDIO_RPMBUILD)
  list(APPEND CPACK_GENERATOR RPM)
endif()
set(CPACK_SOURCE_GENERATOR "") # RELEASING.md makes that archive from a tag

set(CPACK_ARCHIVE_COMPONENT_INSTALL ON)
# An archive is unpacked in one folder; the others know no such thing.
file(WRITE ${PROJECT_BINARY_DIR}/pack_format.cmake "\
if(CPACK_GENERATOR STREQUAL TGZ)
  set(CPACK_COMPONENT_INCLUDE_TOPLEVEL_DIRECTORY ON)
endif()
")
set(CPACK_PROJECT_CONFIG_FILE ${PROJECT_BINARY_DIR}/pack_format.cmake)
string(TOLOWER "${PROJECT_NAME}-${PROJECT_VERSION}-${CMAKE_SYSTEM_NAME}-${CMAKE_SYSTEM_PROCESSOR}"
  CPACK_PACKAGE_FILE_NAME)

# Debian's names have the SONAME's number in the library's, so that two of them can be installed.
set(release 1)
set(runtime libuvdio${uvdio_soversion})
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
set(CPACK_DEBIAN_PACKAGE_RELEASE ${release})
set(CPACK_DEBIAN_RUNTIME_PACKAGE_NAME ${runtime})
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_DEV_PACKAGE_NAME libuvdio-dev)
set(CPACK_DEBIAN_DEV_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_TOOLS_PACKAGE_NAME uvdio-tools)
set(CPACK_DEBIAN_TOOLS_PACKAGE_SECTION utils)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_TOOLS_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS_POLICY ">=")
string(CONCAT CPACK_DEBIAN_DEV_PACKAGE_DEPENDS
  "${runtime} (= ${PROJECT_VERSION}-${release}), libuv1-dev (>= ${UVDIO_LIBUV_MINIMUM})")
# Only who links to the static library needs them.
set(static_needs "")
if(UVDIO_HAVE_RING)
  list(APPEND static_needs "liburing-dev (>= ${UVDIO_LIBURING_MINIMUM})")
endif()
if(UVDIO_HAVE_ISAL)
  list(APPEND static_needs "libisal-dev (>= ${UVDIO_ISAL_MINIMUM})")
endif()
list(JOIN static_needs ", " CPACK_DEBIAN_DEV_PACKAGE_SUGGESTS)
set(CPACK_DEBIAN_TOOLS_PACKAGE_SUGGESTS bpftrace)

# rpmbuild finds the dependencies on libraries by itself.
set(CPACK_RPM_COMPONENT_INSTALL ON)
set(CPACK_RPM_FILE_NAME RPM-DEFAULT)
set(CPACK_RPM_PACKAGE_RELEASE ${release})
set(CPACK_RPM_PACKAGE_LICENSE MIT)
set(CPACK_RPM_RUNTIME_PACKAGE_NAME uvdio-libs)
set(CPACK_RPM_DEV_PACKAGE_NAME uvdio-devel)
set(CPACK_RPM_TOOLS_PACKAGE_NAME uvdio-tools)
string(CONCAT CPACK_RPM_DEV_PACKAGE_REQUIRES
  "uvdio-libs = ${PROJECT_VERSION}-${release}, libuv-devel >= ${UVDIO_LIBUV_MINIMUM}")
file(WRITE ${PROJECT_BINARY_DIR}/ldconfig.sh "/sbin/ldconfig\n")
set(CPACK_RPM_RUNTIME_POST_INSTALL_SCRIPT_FILE ${PROJECT_BINARY_DIR}/ldconfig.sh)
set(CPACK_RPM_RUNTIME_POST_UNINSTALL_SCRIPT_FILE ${PROJECT_BINARY_DIR}/ldconfig.sh)
# Folders that others own as well.
foreach(folder IN ITEMS ${CMAKE_INSTALL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_LIBDIR}/cmake
    ${CMAKE_INSTALL_MANDIR} ${CMAKE_INSTALL_MANDIR}/man1 ${CMAKE_INSTALL_MANDIR}/man3
    ${CMAKE_INSTALL_MANDIR}/man7 ${CMAKE_INSTALL_DATADIR}/licenses)
  list(APPEND CPACK_RPM_EXCLUDE_FROM_AUTO_FILELIST_ADDITION /usr/${folder})
endforeach()

include(CPack)
