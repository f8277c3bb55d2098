# SPDX-License-Identifier: MIT
# Fuzz targets. With UVDIO_FUZZ (clang; preset fuzz) libFuzzer drives them, or AFL++ where
# CMAKE_C_COMPILER is afl-clang-fast; without, replay.c gives them what is in corpus/, as a test.

option(UVDIO_FUZZ "Link the fuzz targets with a fuzzer (clang, or afl-clang-fast)" OFF)

set(uvdio_fuzz_flags "")
if(UVDIO_FUZZ)
  set(uvdio_fuzz_flags -fsanitize=fuzzer)
  # The library itself is to tell the fuzzer where it has been.
  target_compile_options(uvdio_static PRIVATE -fsanitize=fuzzer-no-link)
  if(TARGET uvdio_cli)
    target_compile_options(uvdio_cli_common PRIVATE -fsanitize=fuzzer-no-link)
  endif()
endif()

function(uvdio_fuzz_target name)
  add_executable(fuzz_${name} ${ARGN})
  uvdio_own_target(fuzz_${name})
  target_link_libraries(fuzz_${name} PRIVATE uvdio_static)
  if(UVDIO_FUZZ)
    target_compile_options(fuzz_${name} PRIVATE -fsanitize=fuzzer-no-link)
    target_link_options(fuzz_${name} PRIVATE ${uvdio_fuzz_flags})
    return()
  endif()
  target_sources(fuzz_${name} PRIVATE fuzz/replay.c)
  uvdio_add_test(fuzz_${name} fuzz_${name} fuzz ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/corpus/${name})
endfunction()

uvdio_fuzz_target(operations fuzz/fuzz_operations.c)
target_link_libraries(fuzz_operations PRIVATE uvdio_testlib)

# Blocks with good checksums are the library's to make.
uvdio_fuzz_target(log fuzz/fuzz_log.c fuzz/scribe.c)
target_link_libraries(fuzz_log PRIVATE uvdio_testlib)
target_include_directories(fuzz_log PRIVATE ${PROJECT_SOURCE_DIR}/src)

if(TARGET uvdio_bench)
  # The sources of both programs, but for their main().
  get_target_property(cli_sources uvdio_cli SOURCES)
  list(REMOVE_ITEM cli_sources src/cli/main.c)
  list(TRANSFORM cli_sources PREPEND ${PROJECT_SOURCE_DIR}/)
  get_target_property(bench_sources uvdio_bench SOURCES)
  list(REMOVE_ITEM bench_sources ${PROJECT_SOURCE_DIR}/test/bench/main.c)
  uvdio_fuzz_target(cli fuzz/fuzz_cli.c ${cli_sources} ${bench_sources})
  uvdio_bench_target(fuzz_cli)
endif()
