# The benchmarks of test/bench/README.md, on the disk of the build directory: the targets `bench`, which compares,
# `bench-server`, a busy server's loop, and `bench-all`, everything that can be measured.

set(UVDIO_BENCH_OPTIONS "" CACHE STRING "More options of `uvdio bench --compare` for the target bench (a list)")

set(bench_directory ${PROJECT_BINARY_DIR}/bench)
add_custom_target(bench
  COMMAND ${CMAKE_COMMAND} -E make_directory ${bench_directory}
  COMMAND uvdio_cli bench --compare --plot ${bench_directory} ${UVDIO_BENCH_OPTIONS} ${bench_directory}
  COMMAND ${CMAKE_COMMAND} -E echo "Pictures, their data and results.json are in ${bench_directory}"
  COMMENT "Measuring side by side: about a minute and a half"
  USES_TERMINAL
  VERBATIM
  COMMAND_EXPAND_LISTS)

set(server_directory ${PROJECT_BINARY_DIR}/bench-server)
add_custom_target(bench-server
  COMMAND ${CMAKE_COMMAND} -E make_directory ${server_directory}
  COMMAND uvdio_cli bench --server --plot ${server_directory} ${server_directory}
  COMMAND ${CMAKE_COMMAND} -E echo "Pictures, their data and results.json are in ${server_directory}"
  COMMENT "Measuring a busy server's loop: about a minute"
  USES_TERMINAL
  VERBATIM)

add_custom_target(bench-all
  COMMAND sh ${PROJECT_SOURCE_DIR}/test/bench/all.sh $<TARGET_FILE:uvdio_cli> ${PROJECT_BINARY_DIR}/bench-all
  DEPENDS uvdio_cli
  COMMENT "Measuring everything: about half an hour"
  USES_TERMINAL
  VERBATIM)
