# SPDX-License-Identifier: MIT
# What the library stands on: libuv, on Linux liburing where it is there, for the log's checksums
# ISA-L where that is there, and for its probes a header. Sets UVDIO_HAVE_RING, UVDIO_HAVE_AIO,
# UVDIO_HAVE_ISAL and UVDIO_HAVE_TRACING. The imported targets are
# global, so that they follow uvdio into a project that embeds it, and carry a name of ours, so that
# they don't meet that project's own.

set(UVDIO_LIBUV_MINIMUM 1.44)
set(UVDIO_LIBURING_MINIMUM 2.3)

set(UVDIO_WITH_RING AUTO CACHE STRING
  "The io_uring backend: AUTO (where liburing is found), ON (required), OFF")
set_property(CACHE UVDIO_WITH_RING PROPERTY STRINGS AUTO ON OFF)

set(UVDIO_LIBUV_TARGET "" CACHE STRING
  "The target that is libuv, or its headers; where this is empty, libuv is looked for")

set(uvdio_libuv_scope GLOBAL)
include(${CMAKE_CURRENT_LIST_DIR}/uvdio-libuv.cmake)
if(uvdio_libuv_error)
  message(FATAL_ERROR "uvdio: ${uvdio_libuv_error}")
endif()
message(STATUS "uvdio: libuv is ${uvdio_libuv_found}")

find_package(PkgConfig QUIET) # by which the others are found

set(UVDIO_HAVE_RING OFF)
if(UVDIO_WITH_RING AND CMAKE_SYSTEM_NAME STREQUAL "Linux" AND PKG_CONFIG_FOUND)
  pkg_check_modules(UVDIO_LIBURING QUIET IMPORTED_TARGET GLOBAL liburing>=${UVDIO_LIBURING_MINIMUM})
  if(UVDIO_LIBURING_FOUND)
    set(UVDIO_HAVE_RING ON)
    message(STATUS "uvdio: io_uring backend, with liburing ${UVDIO_LIBURING_VERSION}")
  endif()
endif()

if(NOT UVDIO_HAVE_RING)
  set(ring_reason "liburing >= ${UVDIO_LIBURING_MINIMUM} was not found")
  if(NOT PKG_CONFIG_FOUND)
    set(ring_reason "${ring_reason}: there is no pkg-config")
  endif()
  if(NOT UVDIO_WITH_RING)
    set(ring_reason "UVDIO_WITH_RING is ${UVDIO_WITH_RING}")
  elseif(NOT CMAKE_SYSTEM_NAME STREQUAL "Linux")
    set(ring_reason "${CMAKE_SYSTEM_NAME} has no io_uring")
  endif()
  if(UVDIO_WITH_RING AND NOT UVDIO_WITH_RING STREQUAL "AUTO")
    message(FATAL_ERROR "UVDIO_WITH_RING is ${UVDIO_WITH_RING}, but ${ring_reason}")
  endif()
  message(STATUS "uvdio: no io_uring backend: ${ring_reason}")
endif()

# Kernel AIO takes nothing but system calls, and a header that knows them (Linux 4.19).
set(UVDIO_HAVE_AIO OFF)
if(CMAKE_SYSTEM_NAME STREQUAL "Linux")
  include(CheckCSourceCompiles)
  check_c_source_compiles("
    #include <linux/aio_abi.h>
    #include <sys/syscall.h>
    int main(void) { return SYS_io_submit + IOCB_CMD_POLL + IOCB_FLAG_RESFD; }" UVDIO_HAS_AIO_ABI)
  if(UVDIO_HAS_AIO_ABI)
    set(UVDIO_HAVE_AIO ON)
  endif()
endif()

# Checksums of logs by the processor's instructions (src/log/crc32c.h).
set(UVDIO_ISAL_MINIMUM 2.30)
set(UVDIO_WITH_ISAL AUTO CACHE STRING
  "Checksums by ISA-L: AUTO (where it is found), ON (required), OFF (by tables)")
set_property(CACHE UVDIO_WITH_ISAL PROPERTY STRINGS AUTO ON OFF)

set(UVDIO_HAVE_ISAL OFF)
if(UVDIO_WITH_ISAL)
  if(PKG_CONFIG_FOUND)
    pkg_check_modules(UVDIO_ISAL QUIET IMPORTED_TARGET GLOBAL libisal>=${UVDIO_ISAL_MINIMUM})
  endif()
  if(UVDIO_ISAL_FOUND)
    set(UVDIO_HAVE_ISAL ON)
    message(STATUS "uvdio: checksums by ISA-L ${UVDIO_ISAL_VERSION}")
  elseif(NOT UVDIO_WITH_ISAL STREQUAL "AUTO")
    message(FATAL_ERROR
      "UVDIO_WITH_ISAL is ${UVDIO_WITH_ISAL}, but libisal >= ${UVDIO_ISAL_MINIMUM} was not found")
  endif()
endif()
if(NOT UVDIO_HAVE_ISAL)
  message(STATUS "uvdio: checksums by tables")
endif()

# Probes (src/trace.h) take a header, and asm statements as gcc 9 and clang know them. On other
# systems a header of that name is for something else.
set(UVDIO_WITH_TRACING AUTO CACHE STRING
  "Probes for tracers: AUTO (where sys/sdt.h is found), ON (required), OFF")
set_property(CACHE UVDIO_WITH_TRACING PROPERTY STRINGS AUTO ON OFF)

set(UVDIO_HAVE_TRACING OFF)
if(UVDIO_WITH_TRACING AND CMAKE_SYSTEM_NAME STREQUAL "Linux")
  include(CheckCSourceCompiles)
  check_c_source_compiles("
    #include <sys/sdt.h>
    int main(int count, char** words) {
      unsigned long long wide = (unsigned long long)count;
      __asm__ __volatile__ __inline__(
          STAP_PROBE_ASM(uvdio, check, STAP_PROBE_ASM_TEMPLATE(6))::STAP_PROBE_ASM_OPERANDS(
              6, words, count, wide, words[0], wide, \"text\"));
      return 0; }" UVDIO_HAS_SDT)
  if(UVDIO_HAS_SDT)
    set(UVDIO_HAVE_TRACING ON)
  endif()
endif()

if(UVDIO_HAVE_TRACING)
  message(STATUS "uvdio: with probes for tracers")
elseif(UVDIO_WITH_TRACING AND NOT UVDIO_WITH_TRACING STREQUAL "AUTO")
  message(FATAL_ERROR
    "UVDIO_WITH_TRACING is ${UVDIO_WITH_TRACING}, but there is no sys/sdt.h that works here")
else()
  message(STATUS "uvdio: no probes for tracers")
endif()
