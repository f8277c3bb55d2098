# SPDX-License-Identifier: MIT
# uvdio_own_target(target): what every target of this project has in common: the language (C11 with
# GNU extensions, which libuv's header needs), warnings, sanitizers. Libraries, command, tests and
# examples.

function(uvdio_own_target target)
  set_target_properties(${target} PROPERTIES
    C_STANDARD 11
    C_STANDARD_REQUIRED ON
    C_EXTENSIONS ON
    C_VISIBILITY_PRESET hidden)
  # _GNU_SOURCE: O_DIRECT, fallocate, preadv2. Empty, so that a source that defines it by itself
  # agrees.
  target_compile_definitions(${target} PRIVATE
    $<$<AND:$<PLATFORM_ID:Linux>,$<COMPILE_LANGUAGE:C>>:_GNU_SOURCE=>
    $<$<PLATFORM_ID:Linux>:_FILE_OFFSET_BITS=64>
    $<$<PLATFORM_ID:Windows>:_CRT_SECURE_NO_WARNINGS>
    $<$<BOOL:${MINGW}>:__USE_MINGW_ANSI_STDIO=1>) # a printf() that knows %zu
  uvdio_enable_warnings(${target})
  uvdio_enable_sanitizers(${target})
endfunction()
