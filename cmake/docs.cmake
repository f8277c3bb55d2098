# SPDX-License-Identifier: MIT
# The target docs: the reference as HTML, and man pages, of the public headers and src/docs/, in
# docs/ of the build. With UVDIO_BUILD_DOCS it is part of the build. What was built is installed.
# HTML needs doxygen; man pages need python3 as well.

option(UVDIO_BUILD_DOCS "Build the reference and the man pages with everything else" OFF)

find_program(UVDIO_DOXYGEN doxygen)
mark_as_advanced(UVDIO_DOXYGEN)
find_package(Python3 COMPONENTS Interpreter QUIET)

set(uvdio_docs_dir "${PROJECT_BINARY_DIR}/docs")
set(uvdio_docs_lacks "")
if(NOT UVDIO_DOXYGEN)
  set(uvdio_docs_lacks "doxygen was not found")
elseif(NOT Python3_FOUND)
  set(uvdio_docs_lacks "python3 was not found")
endif()
if(UVDIO_BUILD_DOCS AND uvdio_docs_lacks)
  message(WARNING "uvdio: UVDIO_BUILD_DOCS is ON, but ${uvdio_docs_lacks}: there will be no man "
    "pages. Install doxygen and python3, or say -DUVDIO_BUILD_DOCS=OFF")
endif()

if(UVDIO_DOXYGEN)
  # Who builds to install has to live with the warnings of another version of doxygen.
  set(uvdio_docs_warnings FAIL_ON_WARNINGS)
  set(uvdio_docs_all "")
  if(UVDIO_BUILD_DOCS)
    set(uvdio_docs_warnings NO)
    set(uvdio_docs_all ALL)
  endif()
  configure_file(cmake/Doxyfile.in docs/Doxyfile @ONLY)

  file(GLOB uvdio_docs_sources CONFIGURE_DEPENDS include/*.h include/*.hpp include/uvdio/*.h
    src/docs/*.md src/docs/*.dox)
  foreach(source cmake/docs.awk cmake/docs_pages.awk cmake/man.py cmake/roff.py README.md
      src/cli/main.c src/cli/probe.c src/cli/copy.c src/cli/bench.c)
    list(APPEND uvdio_docs_sources "${PROJECT_SOURCE_DIR}/${source}")
  endforeach()
  set(uvdio_man_command "")
  if(Python3_FOUND)
    string(TIMESTAMP uvdio_docs_date "%Y-%m-%d" UTC)
    set(uvdio_man_command COMMAND Python3::Interpreter -B "${PROJECT_SOURCE_DIR}/cmake/man.py"
      "${uvdio_docs_dir}/xml" "${PROJECT_SOURCE_DIR}/include" "${uvdio_docs_dir}/man"
      ${PROJECT_VERSION} ${uvdio_docs_date})
  endif()
  add_custom_command(OUTPUT "${uvdio_docs_dir}/made"
    COMMAND ${CMAKE_COMMAND} -E rm -rf "${uvdio_docs_dir}/html" "${uvdio_docs_dir}/man"
      "${uvdio_docs_dir}/xml"
    COMMAND ${UVDIO_DOXYGEN} "${uvdio_docs_dir}/Doxyfile"
    ${uvdio_man_command}
    COMMAND ${CMAKE_COMMAND} -E touch "${uvdio_docs_dir}/made"
    DEPENDS "${uvdio_docs_dir}/Doxyfile" ${uvdio_docs_sources}
    COMMENT "${uvdio_docs_dir}/html/index.html, ${uvdio_docs_dir}/man"
    VERBATIM)
  add_custom_target(docs ${uvdio_docs_all} DEPENDS "${uvdio_docs_dir}/made")
endif()

if(UVDIO_INSTALL)
  # The page of the command belongs to the command, all others to the headers.
  install(DIRECTORY "${uvdio_docs_dir}/man/man1" DESTINATION "${CMAKE_INSTALL_MANDIR}"
    COMPONENT tools OPTIONAL)
  install(DIRECTORY "${uvdio_docs_dir}/man/" DESTINATION "${CMAKE_INSTALL_MANDIR}"
    COMPONENT dev OPTIONAL PATTERN man1 EXCLUDE)
  install(DIRECTORY "${uvdio_docs_dir}/html" DESTINATION "${CMAKE_INSTALL_DOCDIR}"
    COMPONENT dev OPTIONAL)
  if(NOT uvdio_docs_lacks)
    set(uvdio_docs_lacks "the target docs was not built (-DUVDIO_BUILD_DOCS=ON)")
  endif()
  install(CODE "if(NOT EXISTS \"${uvdio_docs_dir}/man/man3\")
    message(NOTICE \"uvdio: no man pages are installed: ${uvdio_docs_lacks}\")
  endif()")
endif()
