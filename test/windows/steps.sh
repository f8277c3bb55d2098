# SPDX-License-Identifier: MIT
# The tests for Windows, cross-compiled by mingw-w64, under wine.
#   sh test/run.sh windows
#
# Builds the library, the tests, and the libuv and cmocka that they stand on (test/windows/build.sh)
# in build/windows, where wine has its folder as well. What needs POSIX calls is left out
# (test/windows/tests.cmake). Wine does not show
#
#   - that requests of one file run at once: it performs transfers of files within the call, and
#     keeps nothing waiting on a synchronous handle. The tests look at the flags of handles;
#   - reserved space, holes, zeroed ranges: it has none, and tests of them skip;
#   - alignment: it has no direct I/O, whatever the flag;
#   - durability, and names of open files that are free at once.
#
# Without fork(2) tests with a part in a child skip; without signals and --wrap there are no fault
# tests.

# shellcheck shell=sh disable=SC2034,SC2154 # variables that test/run.sh sets or reads

faults="those of rules and worlds"

# The first program starts wine's services, which keep its output open for as long as they live.
begin_wine() {
  wineserver --persistent
  wine wineboot --init >"$folder/wine.log" 2>&1 </dev/null
}

# The carriage returns are those of Windows' text.
run_tests() {
  begin_wine
  ctest --test-dir "$folder/dev" -V -j "$(job_count)" 2>&1 | tr -d '\r' >"$folder/tests.log"
  wineserver --kill
  count_log windows "$folder/tests.log"
  print_reasons
}

run_steps() {
  if ! command -v wine >/dev/null || ! command -v wineserver >/dev/null; then
    leave_out windows "wine is not installed"
    return
  fi
  sh test/windows/build.sh >"$folder/build.log" 2>&1
  case $? in
    0) ;;
    77) leave_out windows "$(sed -n 's/^SKIP: //p' "$folder/build.log")"; return ;;
    *)
      echo "Building for Windows failed. The end of $folder/build.log:"
      tail -n 40 "$folder/build.log"
      failed=$((failed + 1))
      return
      ;;
  esac
  export WINEPREFIX="$root/$folder/wine" WINEDEBUG=-all
  run_tests
}
