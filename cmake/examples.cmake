# SPDX-License-Identifier: MIT
# Programs that show the library at work, each in a folder of src/examples/. Their sources are
# installed as documentation.

# uvdio_add_example(folder source...): the program `uvdio-<folder>`, target example_<folder>.
function(uvdio_add_example folder)
  set(sources ${ARGN})
  list(TRANSFORM sources PREPEND src/examples/${folder}/)
  add_executable(example_${folder} ${sources})
  uvdio_own_target(example_${folder})
  set_target_properties(example_${folder} PROPERTIES OUTPUT_NAME uvdio-${folder})
  target_link_libraries(example_${folder} PRIVATE uvdio_static)
  if(UVDIO_INSTALL)
    install(FILES ${sources} DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples/${folder})
  endif()
endfunction()

uvdio_add_example(store main.c store.c store.h internal.h recover.c checkpoint.c record.c record.h
  pool.c pool.h page.c page.h)

# A part for another program, of which the tests are the only one here; and programs of one file,
# which the tests build and run.
if(UVDIO_INSTALL)
  foreach(program append copy faults pager range replace)
    install(FILES test/examples/${program}.c DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples)
  endforeach()
  install(FILES src/examples/raft/uv_writer.c src/examples/raft/uv_writer.h
    DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples/raft)
endif()

# What an example needs beside the library; it is left out where that is missing.
find_package(PkgConfig REQUIRED)
pkg_check_modules(UVDIO_HIREDIS QUIET IMPORTED_TARGET hiredis)

if(UVDIO_HIREDIS_FOUND)
  uvdio_add_example(kv
    batch.c batch.h bytes.c bytes.h change.c change.h checkpoint.c checkpoint.h command.c
    command.h data.c data.h index.c index.h list.h load.c load.h main.c output.c output.h
    recover.c recover.h request.c request.h server.c server.h state.h store.c store.h)
  target_link_libraries(example_kv PRIVATE PkgConfig::UVDIO_HIREDIS)
else()
  message(STATUS "uvdio: no example kv: hiredis was not found")
endif()

# httpd takes a parser that somebody keeps: llhttp, or http_parser before it. That one tells
# pkg-config nothing; it counts where a program with it compiles and links, without further paths,
# since a header of this system may be none of the one that is built for.
set(UVDIO_WITH_HTTPD AUTO CACHE STRING
  "The example uvdio-httpd: AUTO (where llhttp or http_parser is found), ON (required), OFF")
set_property(CACHE UVDIO_WITH_HTTPD PROPERTY STRINGS AUTO ON OFF)
if(UVDIO_WITH_HTTPD)
  pkg_check_modules(UVDIO_LLHTTP QUIET IMPORTED_TARGET libllhttp>=9)
  if(NOT UVDIO_LLHTTP_FOUND)
    include(CheckCSourceCompiles)
    include(CMakePushCheckState)
    cmake_push_check_state()
    list(APPEND CMAKE_REQUIRED_LIBRARIES http_parser)
    check_c_source_compiles("
      #include <http_parser.h>
      int main(void) { return http_parser_version() == 0; }" UVDIO_HAS_HTTP_PARSER)
    cmake_pop_check_state()
  endif()
  if(UVDIO_LLHTTP_FOUND OR UVDIO_HAS_HTTP_PARSER)
    uvdio_add_example(httpd connection.c connection.h files.c files.h head.c head.h list.h main.c
      parser.c parser.h request.c request.h server.c server.h types.c types.h)
    if(UVDIO_LLHTTP_FOUND)
      target_compile_definitions(example_httpd PRIVATE HTTPD_HAVE_LLHTTP)
      target_link_libraries(example_httpd PRIVATE PkgConfig::UVDIO_LLHTTP)
    else()
      target_link_libraries(example_httpd PRIVATE http_parser)
    endif()
    if(UVDIO_INSTALL)
      install(TARGETS example_httpd RUNTIME COMPONENT tools)
    endif()
  elseif(NOT UVDIO_WITH_HTTPD STREQUAL "AUTO")
    message(FATAL_ERROR
      "UVDIO_WITH_HTTPD is ${UVDIO_WITH_HTTPD}, but neither llhttp nor http_parser was found")
  else()
    message(STATUS "uvdio: no uvdio-httpd: neither llhttp nor http_parser was found")
  endif()
endif()
