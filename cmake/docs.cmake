# SPDX-License-Identifier: MIT
# The target docs: HTML and man pages of the public headers, in docs/ of the build. Needs doxygen;
# without it there is no such target.

find_program(UVDIO_DOXYGEN doxygen)
mark_as_advanced(UVDIO_DOXYGEN)
if(UVDIO_DOXYGEN)
  set(uvdio_docs_dir "${PROJECT_BINARY_DIR}/docs")
  configure_file(cmake/Doxyfile.in docs/Doxyfile @ONLY)
  add_custom_target(docs
    COMMAND ${CMAKE_COMMAND} -E rm -rf "${uvdio_docs_dir}/html" "${uvdio_docs_dir}/man"
    COMMAND ${UVDIO_DOXYGEN} "${uvdio_docs_dir}/Doxyfile"
    COMMENT "${uvdio_docs_dir}/html/index.html, ${uvdio_docs_dir}/man"
    VERBATIM)
endif()
