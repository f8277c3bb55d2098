# SPDX-License-Identifier: MIT
# The library, twice: uvdio_static and uvdio_shared. uvdio::uvdio is one of them
# (BUILD_SHARED_LIBS).

set(uvdio_sources
  src/error.c
  src/allocator.c
  src/buffer.c
  src/arena.c
  src/api.c
  src/file.c
  src/frames.c
  src/durability.c
  src/class.c
  src/device_model.c
  src/group.c
  src/names.c
  src/path.c
  src/append.c
  src/log/log.c
  src/log/turn.c
  src/log/reader.c
  src/log/ahead.c
  src/log/parse.c
  src/log/flush.c
  src/log/keeper.c
  src/log/recover.c
  src/log/paths.c
  src/log/format.c
  src/log/crc32c.c
  src/stream/frames.c
  src/stream/knee.c
  src/stream/reader.c
  src/stream/ticker.c
  src/stream/writer.c
  src/order.c
  src/share.c
  src/pending.c
  src/late.c
  src/metrics.c
  src/metrics_print.c
  src/histogram.c
  src/ticks.c
  src/engine.c
  src/engine_init.c
  src/engine_close.c
  src/loop.c
  src/queue.c
  src/request.c
  src/vector.c
  src/backend/pool.c
  src/backend/memory.c
  src/backend/memory_files.c
  src/backend/memory_names.c
  src/faults/rules.c
  src/faults/front.c
  src/faults/held.c
  src/sim/sim.c
  src/sim/random.c
  src/sim/rules.c
  src/sim/trace.c
  src/sim/disk.c
  src/sim/late.c
  src/sim/names.c
  src/sim/perform.c
  src/sim/backend.c)

if(UVDIO_HAVE_RING)
  list(APPEND uvdio_sources src/ring/ring.c src/ring/submit.c src/ring/drain.c src/ring/open.c
    src/ring/failure.c src/ring/probe.c src/ring/syscalls.c src/ring/buffers.c
    src/ring/clone_source.c src/ring/files.c src/ring/thread.c
    src/ring/polled.c)
endif()

if(UVDIO_HAVE_AIO)
  list(APPEND uvdio_sources src/aio/aio.c src/aio/submit.c src/aio/drain.c src/aio/context.c
    src/aio/probe.c)
endif()

if(UVDIO_HAVE_RING OR UVDIO_HAVE_AIO)
  list(APPEND uvdio_sources src/wakeup.c)
endif()

if(CMAKE_SYSTEM_NAME STREQUAL "Linux")
  list(APPEND uvdio_sources src/backend/pool_fork.c src/os/posix.c src/os/posix_names.c
       src/os/linux.c
       src/os/linux_priority.c)
elseif(CMAKE_SYSTEM_NAME STREQUAL "Darwin")
  list(APPEND uvdio_sources src/backend/pool_fork.c src/os/posix.c src/os/posix_names.c
       src/os/darwin.c)
elseif(WIN32)
  list(APPEND uvdio_sources src/os/windows.c)
else()
  message(FATAL_ERROR "uvdio has no src/os/*.c for ${CMAKE_SYSTEM_NAME}")
endif()

option(UVDIO_DEBUG_OWNERSHIP
  "Report the first touch of what belongs to the library, and end there (for debugging)" OFF)
if(UVDIO_DEBUG_OWNERSHIP)
  list(APPEND uvdio_sources src/debug/ownership.c)
endif()

add_library(uvdio_static STATIC ${uvdio_sources})
add_library(uvdio_shared SHARED ${uvdio_sources})
set_target_properties(uvdio_static PROPERTIES POSITION_INDEPENDENT_CODE ON)
# Before 1.0 a minor version may change the ABI, from 1.0 on only a major one.
if(PROJECT_VERSION_MAJOR EQUAL 0)
  set(uvdio_soversion 0.${PROJECT_VERSION_MINOR})
else()
  set(uvdio_soversion ${PROJECT_VERSION_MAJOR})
endif()
set_target_properties(uvdio_shared PROPERTIES
  VERSION ${PROJECT_VERSION}
  SOVERSION ${uvdio_soversion})
target_compile_definitions(uvdio_shared
  PRIVATE UVDIO_BUILDING_SHARED
  INTERFACE UVDIO_USING_SHARED)

# gcc 12 and later pair neighbouring fields in vector registers, which takes more instructions than
# it saves here: 2 of 100 of all those of a read.
include(CheckCCompilerFlag)
check_c_compiler_flag(-fno-tree-slp-vectorize UVDIO_HAS_NO_SLP)

foreach(library uvdio_static uvdio_shared)
  add_library(uvdio::${library} ALIAS ${library})
  uvdio_own_target(${library})
  set_target_properties(${library} PROPERTIES OUTPUT_NAME uvdio)
  target_include_directories(${library}
    PUBLIC
      $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
      $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>
    PRIVATE src)
  target_compile_options(${library} PRIVATE $<$<BOOL:${UVDIO_HAS_NO_SLP}>:-fno-tree-slp-vectorize>)
  if(UVDIO_DEBUG_OWNERSHIP)
    target_compile_definitions(${library} PRIVATE UVDIO_DEBUG_OWNERSHIP=1)
  endif()
  target_link_libraries(${library} PUBLIC uvdio::libuv)
  if(UVDIO_HAVE_TRACING)
    target_compile_definitions(${library} PRIVATE UVDIO_HAVE_TRACING=1)
  endif()
  if(UVDIO_HAVE_AIO)
    target_compile_definitions(${library} PRIVATE UVDIO_HAVE_AIO=1)
  endif()
  if(UVDIO_HAVE_RING)
    target_compile_definitions(${library} PRIVATE UVDIO_HAVE_RING=1)
    target_link_libraries(${library} PRIVATE PkgConfig::UVDIO_LIBURING)
  endif()
  if(UVDIO_HAVE_ISAL)
    target_compile_definitions(${library} PRIVATE UVDIO_HAVE_ISAL=1)
    target_link_libraries(${library} PRIVATE PkgConfig::UVDIO_ISAL)
  endif()
endforeach()

uvdio_enable_coverage(uvdio_static)

if(MSVC) # where an import library would overwrite the static one
  set_target_properties(uvdio_static PROPERTIES OUTPUT_NAME uvdio_static)
endif()

# A project that embeds this one builds the form that it uses: the other one takes time, and a libuv
# that is made for programs can't be linked to a shared library.
set(uvdio_form uvdio_static)
set(uvdio_other_form uvdio_shared)
if(BUILD_SHARED_LIBS)
  set(uvdio_form uvdio_shared)
  set(uvdio_other_form uvdio_static)
endif()
add_library(uvdio::uvdio ALIAS ${uvdio_form})
if(NOT PROJECT_IS_TOP_LEVEL AND NOT UVDIO_INSTALL)
  set_target_properties(${uvdio_other_form} PROPERTIES EXCLUDE_FROM_ALL ON)
endif()
