# SPDX-License-Identifier: MIT
# UVDIO_COVERAGE: the library counts which of its lines and branches run. The target `coverage` runs
# the unit, contract and fault tests, prints a table per file, writes annotated sources to
# coverage/index.html in the build directory, and fails where a line is not reached that
# test/coverage/exceptions.txt does not name, with a reason.
#
# Assertions are left out: their false branch is never to run.

option(UVDIO_COVERAGE "Count which lines and branches of the static library run (GCC, gcovr)" OFF)

function(uvdio_enable_coverage target)
  if(UVDIO_COVERAGE)
    # Atomic counters: workers run the library's code, too.
    target_compile_options(${target} PRIVATE --coverage -fprofile-update=atomic -fprofile-abs-path)
    target_compile_definitions(${target} PRIVATE NDEBUG)
    target_link_options(${target} PUBLIC $<BUILD_INTERFACE:--coverage>)
  endif()
endfunction()

if(UVDIO_COVERAGE)
  add_custom_target(coverage
    COMMAND sh ${PROJECT_SOURCE_DIR}/test/run.sh coverage ${PROJECT_BINARY_DIR}
    COMMENT "Running the tests and counting: about a minute"
    USES_TERMINAL
    VERBATIM)
endif()
