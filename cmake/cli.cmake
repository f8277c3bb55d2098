# The `uvdio` command. It carries the library in itself, so that it runs from the build directory and
# wherever it is copied to.

pkg_check_modules(UVDIO_JANSSON REQUIRED IMPORTED_TARGET jansson)

add_executable(uvdio_cli
  src/cli/main.c
  src/cli/alarm.c
  src/cli/probe.c
  src/cli/copy.c
  src/cli/extents.c
  src/cli/bench.c
  src/cli/bench_copy.c
  src/cli/bench_copy_report.c
  src/cli/bench_run.c
  src/cli/bench_scaling.c
  src/cli/child.c
  src/cli/clients.c
  src/cli/compare.c
  src/cli/compare_count.c
  src/cli/compare_plot.c
  src/cli/compare_report.c
  src/cli/compare_run.c
  src/cli/compare_witness.c
  src/cli/meter.c
  src/cli/options.c
  src/cli/peer.c
  src/cli/peer_uv.c
  src/cli/peer_uvdio.c
  src/cli/place.c
  src/cli/plot.c
  src/cli/progress.c
  src/cli/report.c
  src/cli/serve.c
  src/cli/serve_echo.c
  src/cli/serve_io.c
  src/cli/serve_uv.c
  src/cli/serve_uvdio.c
  src/cli/serve_works.c
  src/cli/server.c
  src/cli/server_plot.c
  src/cli/server_report.c
  src/cli/server_run.c
  src/cli/session.c
  src/cli/spread.c
  src/cli/target.c
  src/cli/transfer.c)
uvdio_own_target(uvdio_cli)
set_target_properties(uvdio_cli PROPERTIES OUTPUT_NAME uvdio)
target_include_directories(uvdio_cli PRIVATE src/cli)
target_link_libraries(uvdio_cli PRIVATE uvdio_static PkgConfig::UVDIO_JANSSON m)

# The bare io_uring loop that `uvdio bench --compare` calls the limit is the only user of liburing here.
if(UVDIO_HAVE_RING)
  target_sources(uvdio_cli PRIVATE src/cli/peer_uring.c)
  target_compile_definitions(uvdio_cli PRIVATE UVDIO_HAVE_RING=1)
  target_link_libraries(uvdio_cli PRIVATE PkgConfig::UVDIO_LIBURING)
endif()
