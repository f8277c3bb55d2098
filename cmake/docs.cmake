# SPDX-License-Identifier: MIT
# The target docs: the reference as HTML, and man pages, of the public headers and src/docs/, in
# docs/ of the build. With UVDIO_BUILD_DOCS it is part of the build. What was built is installed.
# HTML needs doxygen; man pages need python3 as well.

option(UVDIO_BUILD_DOCS "Build the reference and the man pages with everything else" OFF)

find_program(UVDIO_DOXYGEN doxygen)
mark_as_advanced(UVDIO_DOXYGEN)
find_package(Python3 COMPONENTS Interpreter QUIET)

# Who builds to install has to live with the warnings of another version of doxygen.
set(uvdio_docs_dir "${PROJECT_BINARY_DIR}/docs")
set(uvdio_docs_warnings FAIL_ON_WARNINGS)
set(uvdio_docs_all "")
set(uvdio_docs_lacks "the target docs was not built")
if(UVDIO_BUILD_DOCS)
  set(uvdio_docs_warnings NO)
  set(uvdio_docs_all ALL)
endif()

if(UVDIO_DOXYGEN)
  configure_file(cmake/Doxyfile.in docs/Doxyfile @ONLY)
  string(TIMESTAMP uvdio_docs_date "%Y-%m-%d" UTC)
  set(uvdio_man_command "")
  if(Python3_FOUND)
    set(uvdio_man_command COMMAND Python3::Interpreter "${PROJECT_SOURCE_DIR}/cmake/man.py"
      "${uvdio_docs_dir}/xml" "${PROJECT_SOURCE_DIR}/include" "${uvdio_docs_dir}/man"
      ${PROJECT_VERSION} ${uvdio_docs_date})
  else()
    set(uvdio_docs_lacks "python3 was not found")
  endif()
  add_custom_target(docs ${uvdio_docs_all}
    COMMAND ${CMAKE_COMMAND} -E rm -rf "${uvdio_docs_dir}/html" "${uvdio_docs_dir}/man"
      "${uvdio_docs_dir}/xml"
    COMMAND ${UVDIO_DOXYGEN} "${uvdio_docs_dir}/Doxyfile"
    ${uvdio_man_command}
    COMMENT "${uvdio_docs_dir}/html/index.html, ${uvdio_docs_dir}/man"
    VERBATIM)
else()
  set(uvdio_docs_lacks "doxygen was not found")
endif()

if(UVDIO_BUILD_DOCS AND NOT (UVDIO_DOXYGEN AND Python3_FOUND))
  message(WARNING "uvdio: UVDIO_BUILD_DOCS is ON, but ${uvdio_docs_lacks}: there will be no man "
    "pages. Install doxygen and python3, or say -DUVDIO_BUILD_DOCS=OFF")
endif()

if(UVDIO_INSTALL)
  install(DIRECTORY "${uvdio_docs_dir}/man/" DESTINATION "${CMAKE_INSTALL_MANDIR}" OPTIONAL)
  install(DIRECTORY "${uvdio_docs_dir}/html" DESTINATION "${CMAKE_INSTALL_DOCDIR}" OPTIONAL)
  install(CODE "if(NOT EXISTS \"${uvdio_docs_dir}/man/man3\")
    message(NOTICE \"uvdio: no man pages are installed: ${uvdio_docs_lacks}\")
  endif()")
endif()
