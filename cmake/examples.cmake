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
# What an example needs beside the library; it is left out where that is missing.
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
