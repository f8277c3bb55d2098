# SPDX-License-Identifier: MIT
# The program `uvdio-bench`, which is not installed, and targets that run it on the disk of the
# build directory (test/bench/README.md): `bench` compares, `bench-server` measures a busy server's
# loop, and `bench-all` measures everything that can be measured.

set(uvdio_bench_sources
  main.c
  classes/classes.c
  classes/run.c
  appends/appends.c
  appends/run.c
  compare/command.c
  compare/compare.c
  compare/count.c
  compare/external.c
  compare/model.c
  compare/plot.c
  compare/report.c
  compare/sample.c
  copy/copy.c
  copy/model.c
  copy/report.c
  echo_server/alarm.c
  echo_server/clients.c
  echo_server/echo.c
  echo_server/io.c
  echo_server/io_uv.c
  echo_server/io_uvdio.c
  echo_server/params.c
  echo_server/pool_load.c
  echo_server/process.c
  echo_server/state.c
  harness/child.c
  harness/counter.c
  harness/environment.c
  harness/json.c
  harness/notes.c
  harness/plot.c
  harness/scratch_dir.c
  harness/summary.c
  harness/turns.c
  harness/work.c
  log/by_device.c
  log/by_threads.c
  log/by_uvdio.c
  log/commits.c
  log/group.c
  log/methods.c
  log/report.c
  log/run.c
  scaling/model.c
  scaling/report.c
  scaling/run.c
  scaling/scaling.c
  server/model.c
  server/plot.c
  server/report.c
  server/sample.c
  server/server.c
  streams/run.c
  streams/streams.c
  target/params.c
  target/process.c
  target/run.c
  target/uv.c
  target/uvdio.c)
# The bare io_uring loop, which the tables call the limit, is the only user of liburing here.
if(UVDIO_HAVE_RING)
  list(APPEND uvdio_bench_sources target/uring.c)
endif()
if(UVDIO_HAVE_AIO)
  list(APPEND uvdio_bench_sources log/by_segments.c)
endif()
# One of those that the log is compared with.
pkg_check_modules(UVDIO_SQLITE QUIET IMPORTED_TARGET sqlite3)
if(UVDIO_SQLITE_FOUND)
  list(APPEND uvdio_bench_sources log/by_sqlite.c)
endif()
find_package(Threads REQUIRED)
list(TRANSFORM uvdio_bench_sources PREPEND ${PROJECT_SOURCE_DIR}/test/bench/)

# uvdio_bench_target(target): what a target that has these sources in it needs besides.
function(uvdio_bench_target target)
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/test/bench)
  target_link_libraries(${target} PRIVATE uvdio_cli_common Threads::Threads)
  if(UVDIO_HAVE_RING)
    target_compile_definitions(${target} PRIVATE UVDIO_HAVE_RING=1)
    target_link_libraries(${target} PRIVATE PkgConfig::UVDIO_LIBURING)
  endif()
  if(UVDIO_HAVE_AIO)
    target_compile_definitions(${target} PRIVATE UVDIO_HAVE_AIO=1)
  endif()
  if(UVDIO_SQLITE_FOUND)
    target_compile_definitions(${target} PRIVATE UVDIO_HAVE_SQLITE=1)
    target_link_libraries(${target} PRIVATE PkgConfig::UVDIO_SQLITE)
  endif()
endfunction()

add_executable(uvdio_bench ${uvdio_bench_sources})
uvdio_own_target(uvdio_bench)
uvdio_bench_target(uvdio_bench)
set_target_properties(uvdio_bench PROPERTIES OUTPUT_NAME uvdio-bench)
# It measures `uvdio copy`, too.
add_dependencies(uvdio_bench uvdio_cli)
# A file server by uv_fs_read(), which test/bench/httpd.sh measures beside uvdio-httpd.
add_executable(uvdio_bench_plain test/bench/httpd/plain.c)
uvdio_own_target(uvdio_bench_plain)
set_target_properties(uvdio_bench_plain PROPERTIES OUTPUT_NAME uvdio-bench-plain)
target_link_libraries(uvdio_bench_plain PRIVATE uvdio::libuv)
# Who builds no tests gets them with the targets below, or by their names.
if(NOT UVDIO_BUILD_TESTS)
  set_target_properties(uvdio_bench uvdio_bench_plain PROPERTIES EXCLUDE_FROM_ALL TRUE)
endif()

set(UVDIO_BENCH_OPTIONS "" CACHE STRING
  "More options of `uvdio-bench compare` for the target bench (a list)")

set(bench_directory ${PROJECT_BINARY_DIR}/bench)
add_custom_target(bench
  COMMAND ${CMAKE_COMMAND} -E make_directory ${bench_directory}
  COMMAND uvdio_bench compare --plot ${bench_directory} ${UVDIO_BENCH_OPTIONS} ${bench_directory}
  COMMAND ${CMAKE_COMMAND} -E echo "Pictures, their data and results.json are in ${bench_directory}"
  COMMENT "Measuring side by side: about a minute and a half"
  USES_TERMINAL
  VERBATIM
  COMMAND_EXPAND_LISTS)

set(server_directory ${PROJECT_BINARY_DIR}/bench-server)
add_custom_target(bench-server
  COMMAND ${CMAKE_COMMAND} -E make_directory ${server_directory}
  COMMAND uvdio_bench server --plot ${server_directory} ${server_directory}
  COMMAND ${CMAKE_COMMAND} -E echo
    "Pictures, their data and results.json are in ${server_directory}"
  COMMENT "Measuring a busy server's loop: about a minute"
  USES_TERMINAL
  VERBATIM)

add_custom_target(bench-all
  COMMAND sh ${PROJECT_SOURCE_DIR}/test/bench/all.sh $<TARGET_FILE:uvdio_bench>
    ${PROJECT_BINARY_DIR}/bench-all
  DEPENDS uvdio_bench
  COMMENT "Measuring everything: about half an hour"
  USES_TERMINAL
  VERBATIM)
