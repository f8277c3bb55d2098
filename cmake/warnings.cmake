# SPDX-License-Identifier: MIT
# Warnings, per target, so that a project that embeds uvdio keeps its own.

option(UVDIO_WERROR "Treat warnings as errors" ${PROJECT_IS_TOP_LEVEL})

function(uvdio_enable_warnings target)
  if(MSVC)
    target_compile_options(${target} PRIVATE /W4 $<$<BOOL:${UVDIO_WERROR}>:/WX>)
    return()
  endif()
  target_compile_options(${target} PRIVATE
    -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wundef
    $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes>
    $<$<COMPILE_LANGUAGE:C>:-Wmissing-prototypes>
    $<$<BOOL:${MINGW}>:-Wno-format> # which has Microsoft's old printf() in mind
    $<$<BOOL:${UVDIO_WERROR}>:-Werror>)
endfunction()
