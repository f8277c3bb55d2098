# SPDX-License-Identifier: MIT
# UVDIO_VALGRIND: tests run under valgrind, and fail on its errors and on memory that is definitely
# lost. Holds for tests whose COMMAND is a target; scripts run as they are.

option(UVDIO_VALGRIND "Run the tests under valgrind" OFF)

if(UVDIO_VALGRIND)
  find_program(VALGRIND valgrind REQUIRED)
  set(valgrind_command "${VALGRIND};--quiet;--error-exitcode=99;--leak-check=full"
    "--show-leak-kinds=definite;--errors-for-leak-kinds=definite;--num-callers=24")
  if(CMAKE_VERSION VERSION_GREATER_EQUAL 3.29)
    set(CMAKE_TEST_LAUNCHER "${valgrind_command}")
  else() # older ones know the same thing under this name, also where nothing is cross-compiled
    set(CMAKE_CROSSCOMPILING_EMULATOR "${valgrind_command}")
  endif()
endif()
