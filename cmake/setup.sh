#!/bin/sh
# SPDX-License-Identifier: MIT
# Installs what building and testing needs and this machine lacks, through the system's package
# manager: apt-get, dnf, pacman, apk or brew. Where nothing is missing, no package manager is
# touched, and neither a network nor root is needed.
#   sh cmake/setup.sh [--no-tests | --long]
#     --no-tests   only what building needs
#     --long       also what the long layers of tests need (cmake/check.sh --long), as far as it can
#                  be had
# Exit status: 0 all there, 2 something is missing and could not be installed (it says what and
# how).
set -u

cd "$(dirname "$0")/.." || exit 2
. cmake/common.sh

with_tests=yes with_long=no
case ${1:-} in
  --no-tests) with_tests=no ;;
  --long) with_long=yes ;;
  "") ;;
  *) echo "usage: sh cmake/setup.sh [--no-tests | --long]" >&2; exit 2 ;;
esac

system=$(uname -s)
# Where the tools for filesystems are, and which a plain user's PATH may lack.
PATH=$PATH:/usr/sbin:/sbin

has() { command -v "$1" >/dev/null 2>&1; }
has_module() { pkg-config --exists "$1" 2>/dev/null; }

cmake_version() { cmake --version 2>/dev/null | sed -n 's/^cmake version \([0-9.]*\).*/\1/p'; }

# CMake 3.25 is the first to read version 6 of the presets.
has_cmake() {
  version=$(cmake_version)
  major=${version%%.*}
  minor=${version#*.}
  minor=${minor%%.*}
  [ -n "$version" ] && { [ "$major" -gt 3 ] || { [ "$major" -eq 3 ] && [ "$minor" -ge 25 ]; }; }
}

# A header that may come from several packages.
has_probes() { echo '#include <sys/sdt.h>' | ${CC:-cc} -E - >/dev/null 2>&1; }

# The example uvdio-httpd takes either.
has_http_parser() {
  has_module "libllhttp >= 9" || echo '#include <http_parser.h>' | ${CC:-cc} -E - >/dev/null 2>&1
}

# Prints the names, ours, of what is missing.
list_missing() {
  can_link || echo compiler
  has_cmake || echo cmake
  has ninja || echo ninja
  has pkg-config || echo pkg-config
  has_module "libuv >= 1.44" || echo libuv
  has_module jansson || echo jansson
  if [ "$system" = Linux ]; then
    has_module "liburing >= 2.3" || echo liburing
  fi
  if [ "$with_tests" = yes ]; then
    has_module cmocka || echo cmocka
  fi
}

# Tests skip what needs these, and say so. They make filesystems in loop devices, a disk in FUSE,
# and a tree of another release, and trace programs: for root, on Linux. The header of the probes
# and ISA-L are for a build that has them, SQLite for a benchmark, hiredis for the example kv, an
# HTTP parser for uvdio-httpd, which curl tests beside others, Lua for its module. libseccomp makes
# the filters of containers; bash, zsh and fish have completions; libabigail compares the ABI with
# that of the last release. clang is for its fuzzer, and what reads man pages for the test of these.
# The others are for check.sh's pass lint.
list_missing_optional() {
  [ "$with_tests" = yes ] && [ "$system" = Linux ] || return 0
  can_link -fsanitize=address,undefined || echo sanitizers
  has_module "fuse3 >= 3.5" || echo fuse3
  has_probes || echo probes
  has_module "libisal >= 2.30" || echo isal
  has_module sqlite3 || echo sqlite
  has_module hiredis || echo hiredis
  has_http_parser || echo http-parser
  has curl || echo curl
  has_module libseccomp || echo seccomp
  has abidiff || echo libabigail
  for tool in clang clang-format clang-tidy doxygen python3 mandoc man bash zsh fish; do
    has "$tool" || echo "$tool"
  done
  [ "$(id -u)" -eq 0 ] || return 0
  has mkfs.xfs || echo xfs
  has mkfs.btrfs || echo btrfs
  has mkfs.ext4 || echo ext4
  has losetup || echo losetup
  has bpftrace || echo bpftrace
  has apt-get || return 0
  has lua5.4 && has_module lua5.4-luv || echo lua
  has musl-gcc || echo musl
  has debootstrap || echo debootstrap
}

# For other kernels, processors and systems, which come from Debian, for a FUSE filesystem, for what
# measures the tests, for packages, and for what the example kv is measured beside. A layer that
# lacks something says so and is left out.
list_missing_long() {
  [ "$with_long" = yes ] && [ "$system" = Linux ] && has apt-get || return 0
  has qemu-system-x86_64 || echo qemu-system
  has qemu-s390x-static || has qemu-s390x || echo qemu-user
  has s390x-linux-gnu-gcc || echo gcc-s390x
  has aarch64-linux-gnu-gcc || echo gcc-aarch64
  has x86_64-w64-mingw32-gcc || echo mingw
  has wine || echo wine
  has afl-fuzz || echo afl++
  has redis-server || echo redis
  has lintian || echo lintian
  has rpmbuild || echo rpm
  for tool in busybox cpio dmsetup modprobe xz fuse2fs gcovr python3 valgrind clang; do
    has "$tool" || echo "$tool"
  done
  [ -n "$(clang_of_mcdc)" ] || echo mcdc
}

# The packages of the newest clang that apt-get knows and that measures MC/DC.
packages_of_mcdc() {
  for version in 22 21 20 19 18; do
    if apt-cache show "clang-$version" >/dev/null 2>&1; then
      echo "clang-$version llvm-$version libclang-rt-$version-dev"
      return
    fi
  done
}

find_manager() {
  candidates="apt-get dnf pacman apk brew"
  [ "$system" != Darwin ] || candidates=brew
  for manager in $candidates; do
    has "$manager" && { echo "$manager"; return; }
  done
}

# Prints the packages of manager $1 for our name $2.
packages() {
  case $1:$2 in
    apt-get:compiler) echo gcc libc6-dev ;;
    apt-get:ninja) echo ninja-build ;;
    apt-get:libuv) echo libuv1-dev ;;
    apt-get:liburing | apt-get:cmocka | apt-get:jansson) echo "lib${2#lib}-dev" ;;
    apt-get:sanitizers) ;; # part of gcc
    apt-get:clang) echo clang libclang-rt-dev ;;
    apt-get:fuse3) echo libfuse3-dev ;;
    dnf:fuse3 | apk:fuse3) echo "fuse3-$([ "$1" = dnf ] && echo devel || echo dev)" ;;
    apt-get:isal) echo libisal-dev ;;
    dnf:isal) echo isa-l-devel ;;
    pacman:isal | apk:isal) echo isa-l ;;
    apt-get:sqlite) echo libsqlite3-dev ;;
    dnf:sqlite | apk:sqlite) echo "sqlite-$([ "$1" = dnf ] && echo devel || echo dev)" ;;
    apt-get:hiredis) echo libhiredis-dev ;;
    dnf:hiredis | apk:hiredis) echo "hiredis-$([ "$1" = dnf ] && echo devel || echo dev)" ;;
    apt-get:seccomp) echo libseccomp-dev ;;
    dnf:seccomp) echo libseccomp-devel ;;
    pacman:seccomp) echo libseccomp ;;
    apk:seccomp) echo libseccomp-dev ;;
    apt-get:redis) echo redis-server redis-tools ;;
    apt-get:http-parser)
      apt-cache show libllhttp-dev >/dev/null 2>&1 && echo libllhttp-dev || echo libhttp-parser-dev
      ;;
    dnf:http-parser) echo llhttp-devel ;;
    apk:http-parser) echo llhttp-dev ;;
    pacman:http-parser) echo llhttp ;;
    apt-get:lua) echo lua5.4 liblua5.4-dev lua-luv lua-luv-dev ;;
    apt-get:probes) echo systemtap-sdt-dev ;;
    dnf:probes) echo systemtap-sdt-devel ;;
    apt-get:losetup) echo mount util-linux ;;
    apt-get:musl) echo musl-tools make ;;
    apt-get:qemu-system) echo qemu-system-x86 ;;
    apt-get:qemu-user) echo qemu-user-static ;;
    apt-get:mcdc) packages_of_mcdc ;;
    apt-get:gcc-s390x) echo gcc-s390x-linux-gnu libc6-dev-s390x-cross ;;
    apt-get:gcc-aarch64) echo gcc-aarch64-linux-gnu libc6-dev-arm64-cross ;;
    apt-get:libabigail) echo abigail-tools ;;
    apt-get:mingw) echo mingw-w64 ;;
    apt-get:wine) echo wine wine64 ;;
    apt-get:busybox) echo busybox-static ;;
    apt-get:modprobe) echo kmod ;;
    apt-get:xz) echo xz-utils ;;
    dnf:clang-format | dnf:clang-tidy) echo clang-tools-extra ;;
    pacman:clang-format | pacman:clang-tidy) echo clang ;;
    pacman:python3) echo python ;;
    apk:man) echo mandoc ;;
    *:man) echo man-db ;;
    apk:clang-format | apk:clang-tidy) echo clang-extra-tools ;;
    dnf:compiler) echo gcc glibc-devel ;;
    dnf:ninja) echo ninja-build ;;
    dnf:pkg-config) echo pkgconf-pkg-config ;;
    dnf:cmocka) echo libcmocka-devel ;;
    dnf:libuv | dnf:liburing | dnf:jansson) echo "$2-devel" ;;
    dnf:fuse3) echo fuse3-devel ;;
    dnf:sanitizers) echo libasan libubsan ;;
    pacman:compiler) echo gcc glibc linux-api-headers ;;
    pacman:sanitizers) ;; # part of gcc
    apk:compiler) echo gcc musl-dev linux-headers ;;
    apk:ninja) echo samurai ;;
    apk:liburing) echo liburing-dev linux-headers ;;
    apk:libuv | apk:cmocka | apk:jansson) echo "$2-dev" ;;
    apk:fuse3) echo fuse3-dev ;;
    apk:sanitizers) ;; # musl has none
    apk:losetup) echo losetup ;;
    brew:compiler) ;; # Xcode's, see below
    *:pkg-config) [ "$1" = apt-get ] && echo pkg-config || echo pkgconf ;;
    *:probes) echo systemtap ;;
    *:xfs) echo xfsprogs ;;
    *:btrfs) echo btrfs-progs ;;
    *:ext4) echo e2fsprogs ;;
    *:losetup) echo util-linux ;;
    *) echo "$2" ;;
  esac
}

# Joins the lines that it reads.
on_one_line() {
  # shellcheck disable=SC2046
  set -- $(cat)
  echo "$*"
}

# Prints the packages of manager $1 for all of our names in $2.
all_packages() {
  for name in $2; do
    packages "$1" "$name"
  done | on_one_line
}

# Prints the command, without packages, by which manager $1 installs.
install_command() {
  case $1 in
    apt-get) echo "env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends" ;;
    dnf) echo "dnf install -y" ;;
    pacman) echo "pacman -S --needed --noconfirm" ;;
    apk) echo "apk add" ;;
    brew) echo "brew install" ;;
  esac
}

# A fresh image has no package lists, or stale ones.
refresh_command() {
  case $1 in
    apt-get) echo "env DEBIAN_FRONTEND=noninteractive apt-get update" ;;
    pacman) echo "pacman -Sy --noconfirm" ;;
    apk) echo "apk update" ;;
    *) echo true ;;
  esac
}

# install_packages "SUDO" MANAGER PACKAGES...: without a refresh first, which most machines don't
# need.
# shellcheck disable=SC2086
install_packages() {
  as_root=$1 chosen=$2
  install=$(install_command "$chosen")
  refresh=$(refresh_command "$chosen")
  shift 2
  $as_root $install "$@" && return 0
  $as_root $refresh && $as_root $install "$@"
}

missing=$(list_missing | on_one_line)
optional=$(list_missing_optional | on_one_line)
long=$(list_missing_long | on_one_line)

if [ -z "$missing" ] && [ -z "$long" ]; then
  echo "Everything that is needed is here."
  [ -z "$optional" ] || echo "Not here, and not needed (some tests will be skipped): $optional"
  exit 0
fi

echo "Missing: $missing${missing:+ }$long"
manager=$(find_manager)
if [ -z "$manager" ]; then
  echo "No package manager that this script knows (apt-get, dnf, pacman, apk, brew) is here." >&2
  echo "Install by hand: $missing (cmake >= 3.25, libuv >= 1.44, liburing >= 2.3)" >&2
  exit 2
fi

if [ "$manager" = brew ] && [ "$missing" != "${missing#compiler}" ]; then
  echo "No C compiler is here. Install Apple's by: xcode-select --install" >&2
  exit 2
fi

needed=$(all_packages "$manager" "$missing")
as_root=
if [ "$manager" != brew ] && [ "$(id -u)" -ne 0 ]; then
  if has sudo && sudo -n true 2>/dev/null; then
    as_root="sudo -n"
  elif [ -z "$missing" ]; then
    echo "Installing needs root. Going on without: $long"
    exit 0
  else
    echo "Installing needs root. Run this as root, then start again:" >&2
    echo "  $(refresh_command "$manager") && $(install_command "$manager") $needed" |
      sed 's/^  true && /  /' >&2
    exit 2
  fi
fi

if [ -n "$needed" ]; then
  echo "Installing with $manager: $needed"
  # shellcheck disable=SC2086
  install_packages "$as_root" "$manager" $needed
fi
# One by one: some systems lack some of them, and none of them is worth a failure.
for package in $(all_packages "$manager" "$optional"); do
  # shellcheck disable=SC2046
  $as_root $(install_command "$manager") "$package" ||
    echo "Not available here, going on without: $package"
done
for package in $(all_packages "$manager" "$long"); do
  install_packages "$as_root" "$manager" "$package" ||
    echo "Not available here, going on without: $package"
done

# What counts is not what the manager says but what is there now.
missing=$(list_missing | on_one_line)
if [ -n "$missing" ]; then
  echo "Still missing after the installation: $missing" >&2
  if has cmake && ! has_cmake; then
    printf 'cmake is too old: this is %s, 3.25 is needed, and %s has no newer one.\n' \
      "$(cmake_version)" "$manager" >&2
  fi
  for wanted in "libuv 1.44" "liburing 2.3"; do
    module=${wanted% *}
    if has_module "$module" && ! has_module "$module >= ${wanted#* }"; then
      version=$(pkg-config --modversion "$module")
      echo "$module is too old: this is $version, ${wanted#* } is needed." >&2
    fi
  done
  exit 2
fi
echo "Everything that is needed is here."
