# SPDX-License-Identifier: MIT
# Sanitizers on all targets of this project: UVDIO_SANITIZE is "address,undefined" or "thread".

set(UVDIO_SANITIZE "" CACHE STRING
  "Value for -fsanitize=: address,undefined or thread; empty for none")
set_property(CACHE UVDIO_SANITIZE PROPERTY STRINGS "" "address,undefined" "thread")

if(UVDIO_SANITIZE)
  include(CMakePushCheckState)
  include(CheckCSourceCompiles)
  cmake_push_check_state(RESET)
  set(CMAKE_REQUIRED_FLAGS "-fsanitize=${UVDIO_SANITIZE}")
  # The result is cached under a name of its own per value, so that another value is tried anew.
  string(MAKE_C_IDENTIFIER "UVDIO_CAN_SANITIZE_${UVDIO_SANITIZE}" can_sanitize)
  check_c_source_compiles("int main(void) { return 0; }" ${can_sanitize})
  cmake_pop_check_state()
  if(NOT ${can_sanitize})
    message(FATAL_ERROR
      "${CMAKE_C_COMPILER} can't link with -fsanitize=${UVDIO_SANITIZE} "
      "(is its runtime installed?)")
  endif()
endif()

# PUBLIC within the build: whatever links an instrumented library needs the sanitizer's runtime as
# well. Not in what is installed: flags of this build are nobody else's.
function(uvdio_enable_sanitizers target)
  if(NOT UVDIO_SANITIZE)
    return()
  endif()
  target_compile_options(${target} PUBLIC $<BUILD_INTERFACE:-fsanitize=${UVDIO_SANITIZE}>)
  target_link_options(${target} PUBLIC $<BUILD_INTERFACE:-fsanitize=${UVDIO_SANITIZE}>)
  target_compile_options(${target} PRIVATE -fno-omit-frame-pointer -fno-sanitize-recover=all)
  if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
    # GCC finds uninitialised variables in instrumented code that are none, and warns about each
    # fence that the thread sanitizer does not model (liburing's headers have some).
    target_compile_options(${target} PRIVATE -Wno-error=maybe-uninitialized)
    if(UVDIO_SANITIZE STREQUAL "thread")
      target_compile_options(${target} PRIVATE -Wno-tsan)
    endif()
  endif()
endfunction()
