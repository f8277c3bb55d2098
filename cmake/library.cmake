# The library, twice: uvdio_static and uvdio_shared. uvdio::uvdio is one of them (BUILD_SHARED_LIBS).

set(uvdio_sources
  src/error.c
  src/memory.c
  src/buffer.c
  src/arena.c
  src/engine.c
  src/request.c
  src/file.c
  src/register.c
  src/backend_pool.c
  src/backend_memory.c
  src/memory_store.c
  src/sim.c
  src/sim_disk.c
  src/sim_late.c
  src/sim_perform.c
  src/sim_backend.c)

if(UVDIO_HAVE_RING)
  list(APPEND uvdio_sources src/backend_ring.c src/ring_probe.c src/ring_buffers.c src/ring_files.c
    src/ring_thread.c)
endif()

if(CMAKE_SYSTEM_NAME STREQUAL "Linux")
  list(APPEND uvdio_sources src/os_posix.c src/os_linux.c)
elseif(CMAKE_SYSTEM_NAME STREQUAL "Darwin")
  list(APPEND uvdio_sources src/os_posix.c src/os_darwin.c)
elseif(WIN32)
  list(APPEND uvdio_sources src/os_windows.c)
else()
  message(FATAL_ERROR "uvdio has no src/os_*.c for ${CMAKE_SYSTEM_NAME}")
endif()

option(UVDIO_DEBUG_OWNERSHIP "Report the first touch of what belongs to the library, and end there (for debugging)" OFF)
if(UVDIO_DEBUG_OWNERSHIP)
  list(APPEND uvdio_sources src/ownership.c)
endif()

add_library(uvdio_static STATIC ${uvdio_sources})
add_library(uvdio_shared SHARED ${uvdio_sources})
set_target_properties(uvdio_static PROPERTIES POSITION_INDEPENDENT_CODE ON)
set_target_properties(uvdio_shared PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION 0)
target_compile_definitions(uvdio_shared
  PRIVATE UVDIO_BUILDING_SHARED
  INTERFACE UVDIO_USING_SHARED)

# gcc 12 and later pair neighbouring fields in vector registers, which takes more instructions than it saves here: 2 of 100 of
# all those of a read.
include(CheckCCompilerFlag)
check_c_compiler_flag(-fno-tree-slp-vectorize UVDIO_HAS_NO_SLP)

foreach(library uvdio_static uvdio_shared)
  add_library(uvdio::${library} ALIAS ${library})
  uvdio_own_target(${library})
  set_target_properties(${library} PROPERTIES OUTPUT_NAME uvdio)
  target_include_directories(${library}
    PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>
    PRIVATE src)
  target_compile_options(${library} PRIVATE $<$<BOOL:${UVDIO_HAS_NO_SLP}>:-fno-tree-slp-vectorize>)
  if(UVDIO_DEBUG_OWNERSHIP)
    target_compile_definitions(${library} PRIVATE UVDIO_DEBUG_OWNERSHIP=1)
  endif()
  target_link_libraries(${library} PUBLIC PkgConfig::UVDIO_LIBUV)
  if(UVDIO_HAVE_RING)
    target_compile_definitions(${library} PRIVATE UVDIO_HAVE_RING=1)
    target_link_libraries(${library} PRIVATE PkgConfig::UVDIO_LIBURING)
  endif()
endforeach()

uvdio_enable_coverage(uvdio_static)

if(MSVC) # where an import library would overwrite the static one
  set_target_properties(uvdio_static PROPERTIES OUTPUT_NAME uvdio_static)
endif()

if(BUILD_SHARED_LIBS)
  add_library(uvdio::uvdio ALIAS uvdio_shared)
else()
  add_library(uvdio::uvdio ALIAS uvdio_static)
endif()
