# Fuzz targets. With UVDIO_FUZZ (clang; preset fuzz) libFuzzer drives them, or AFL++ where CMAKE_C_COMPILER is
# afl-clang-fast; without, replay.c gives them what is in corpus/, as a test.

option(UVDIO_FUZZ "Link the fuzz targets with a fuzzer (clang, or afl-clang-fast)" OFF)

set(uvdio_fuzz_flags "")
if(UVDIO_FUZZ)
  set(uvdio_fuzz_flags -fsanitize=fuzzer)
  # The library itself is to tell the fuzzer where it has been.
  target_compile_options(uvdio_static PRIVATE -fsanitize=fuzzer-no-link)
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

uvdio_fuzz_target(operations fuzz/fuzz_operations.c fuzz/shadow.c)

if(TARGET uvdio_cli)
  # The command's own sources, but for its main() and for peer.c, which the target includes.
  get_target_property(sources uvdio_cli SOURCES)
  list(REMOVE_ITEM sources src/cli/main.c src/cli/peer.c)
  list(TRANSFORM sources PREPEND ${PROJECT_SOURCE_DIR}/)
  uvdio_fuzz_target(cli fuzz/fuzz_cli.c ${sources})
  target_include_directories(fuzz_cli PRIVATE ${PROJECT_SOURCE_DIR}/src/cli)
  target_link_libraries(fuzz_cli PRIVATE PkgConfig::UVDIO_JANSSON m)
  if(UVDIO_HAVE_RING)
    target_compile_definitions(fuzz_cli PRIVATE UVDIO_HAVE_RING=1)
    target_link_libraries(fuzz_cli PRIVATE PkgConfig::UVDIO_LIBURING)
  endif()
endif()
