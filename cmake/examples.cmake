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
