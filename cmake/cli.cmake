# SPDX-License-Identifier: MIT
# The `uvdio` command. It carries the library in itself, so that it runs from the build directory
# and wherever it is copied to.

find_package(PkgConfig REQUIRED)
pkg_check_modules(UVDIO_JANSSON REQUIRED IMPORTED_TARGET jansson)

# What the command shares with uvdio-bench (bench.cmake).
add_library(uvdio_cli_common STATIC
  src/cli/bench_run.c
  src/cli/format.c
  src/cli/measure.c
  src/cli/meter.c
  src/cli/options.c
  src/cli/path.c
  src/cli/pattern.c
  src/cli/program.c
  src/cli/report.c
  src/cli/session.c
  src/cli/table.c)
uvdio_own_target(uvdio_cli_common)
target_include_directories(uvdio_cli_common INTERFACE src) # "cli/report.h", for others
target_link_libraries(uvdio_cli_common PUBLIC uvdio_static PkgConfig::UVDIO_JANSSON m)

add_executable(uvdio_cli
  src/cli/main.c
  src/cli/bench.c
  src/cli/bench_report.c
  src/cli/copy.c
  src/cli/page.c
  src/cli/probe.c
  src/cli/probe_machine.c
  src/cli/probe_path.c
  src/cli/procfs.c
  src/cli/progress.c
  src/cli/target.c
  src/cli/transfer.c)
uvdio_own_target(uvdio_cli)
set_target_properties(uvdio_cli PROPERTIES OUTPUT_NAME uvdio)
target_link_libraries(uvdio_cli PRIVATE uvdio_cli_common)
