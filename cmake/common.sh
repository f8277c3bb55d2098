# SPDX-License-Identifier: MIT
# Read by setup.sh, demo.sh, check.sh and the scripts of tests, in the project's root: what they
# have in common.
# shellcheck shell=sh

say() { printf '\n== %s\n' "$*"; }

job_count() { nproc 2>/dev/null || sysctl -n hw.ncpu 2>/dev/null || echo 2; }

# Of tests at a time: twice as many, because most of them wait for disks.
test_count() { echo $(($(job_count) * 2)); }

# can_link [FLAG...]: whether the compiler makes a program. That it is there proves little: the C
# library's headers, or a sanitizer's runtime, may be missing. The compiler is the one that CMake
# would take.
can_link() {
  for compiler in "${CC:-cc}" gcc clang; do
    command -v "${compiler%% *}" >/dev/null 2>&1 || continue
    probe=$(mktemp -d) || return 1
    printf '#include <stdio.h>\nint main(void) { return puts("") < 0; }\n' >"$probe/probe.c"
    # CC may carry flags, hence no quotes.
    $compiler "$@" "$probe/probe.c" -o "$probe/probe" >/dev/null 2>&1
    status=$?
    rm -rf "$probe"
    return $status
  done
  return 1
}

# build_preset PRESET LOG [CMAKE_OPTION...]: configures and builds. The output goes to LOG, and is
# shown only where it fails.
build_preset() {
  preset=$1 log=$2
  shift 2
  mkdir -p "$(dirname "$log")"
  if cmake --preset "$preset" "$@" >"$log" 2>&1 &&
    cmake --build --preset "$preset" -j "$(job_count)" >>"$log" 2>&1; then
    return 0
  fi
  echo "Building the preset $preset failed. The end of $log:"
  tail -n 60 "$log"
  return 1
}

# Kernels with much address space randomisation break the sanitizers of older compilers at start-up
# ("unexpected memory mapping"). Containers may forbid switching it off: then it stays.
without_aslr() {
  if setarch "$(uname -m)" -R true 2>/dev/null; then
    setarch "$(uname -m)" -R "$@"
  else
    "$@"
  fi
}

# obstacle PRESET: says what this machine lacks for it; nothing where it can run.
obstacle() {
  case $1 in
    asan)
      can_link -fsanitize=address,undefined ||
        echo "the compiler has no address and undefined behaviour sanitizers"
      ;;
    tsan) can_link -fsanitize=thread || echo "the compiler has no thread sanitizer" ;;
    valgrind) command -v valgrind >/dev/null || echo "valgrind is not installed" ;;
  esac
}

# Prints the name of a clang that measures MC/DC (18 or later), with the tools that read what it
# measured; or nothing.
clang_of_mcdc() {
  for suffix in "" -22 -21 -20 -19 -18; do
    major=$("clang$suffix" -dumpversion 2>/dev/null | sed 's/\..*//')
    if [ "${major:-0}" -ge 18 ] && command -v "llvm-cov$suffix" >/dev/null; then
      echo "clang$suffix"
      return
    fi
  done
}

# head_comment SCRIPT: prints the comment at its head, which is its help.
head_comment() {
  sed -n '/^#!/d;/SPDX-License-Identifier/d;/^#/!q;s/^# \{0,1\}//p' "$1"
}

# sources EXTENSION...: prints the names of the project's files with one of these endings.
# CMakeLists.txt counts as cmake, a script without an ending as sh.
sources() {
  find CMakeLists.txt ./*.md .ci cmake include src test -type f ! -path 'test/fuzz/corpus/*' |
    LC_ALL=C sort | while read -r source; do
      case $source in
        */CMakeLists.txt | CMakeLists.txt | *.cmake.in) extension=cmake ;;
        .ci/run | test/kernels/init) extension="sh" ;;
        *) extension=${source##*.} ;;
      esac
      case " $* " in *" $extension "*) echo "$source" ;; esac
    done
}
