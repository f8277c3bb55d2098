#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs in a bare chroot of Debian, in the project's root: installs the packages with nothing but
# what they ask for, uses them, and removes them. steps.sh calls it.
#   installed.sh FOLDER    with the three .deb files
set -eu

packages=$1
here=test/package
subject=installed
. $here/common.sh
export DEBIAN_FRONTEND=noninteractive
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

install() { apt-get install -y --no-install-recommends "$@" >"$work/log" 2>&1 ||
  { cat "$work/log"; die "apt-get install $*"; }; }

# A pattern of the shell has one match here: a path that apt takes for a file has a slash.
package() { for file in "./$packages/$1"_*.deb; do echo "$file"; done; }

# Every path that a package of ours has, but for folders that others have, too.
paths_of_ours() {
  for name in $names; do dpkg -L "$name"; done | sort -u | while read -r path; do
    [ ! -d "$path" ] || [ -L "$path" ] || case $path in *uvdio*) ;; *) continue ;; esac
    echo "$path"
  done
}

for file in "$packages"/*.deb; do dpkg-deb -f "$file" Package; done >"$work/names"
names=$(cat "$work/names")
library=$(grep '^libuvdio[0-9.]*$' "$work/names")
version=$(dpkg-deb -f "$(package uvdio-tools)" Version)
version=${version%-*}

apt-get update >"$work/log" 2>&1 || { cat "$work/log"; echo "SKIP: no package lists"; exit 77; }
find / -xdev -name '*uvdio*' ! -path '/uvdio*' ! -path '/proc/*' ! -path "$work*" | sort >"$work/0"

# The parts that programs need to run.
install "$(package "$library")" "$(package uvdio-tools)"
ldconfig -p | grep -q "libuvdio.so.${library#libuvdio} " ||
  die "the loader does not know libuvdio.so.${library#libuvdio}"
[ ! -e /usr/include/uv.h ] || die "a part that is for running brings headers"
uvdio --version | grep -q -F "$version" || die "uvdio --version says: $(uvdio --version)"
dd if=/dev/urandom of="$work/source" bs=4096 count=64 2>/dev/null
uvdio copy --verify "$work/source" "$work/target" >"$work/log" 2>&1 ||
  { cat "$work/log"; die "uvdio copy"; }
cmp "$work/source" "$work/target" || die "uvdio copy made another file"
echo "the command: works"

# The part for building. It brings libuv's headers, and nothing of liburing and ISA-L.
install "$(package libuvdio-dev)" gcc libc6-dev make cmake pkg-config
! pkg-config --exists liburing || die "libuvdio-dev brings liburing-dev"
# shellcheck disable=SC2046
cc $(pkg-config --cflags uvdio) $here/consumer.c -o "$work/shared" $(pkg-config --libs uvdio)
readelf -d "$work/shared" | grep -q "NEEDED.*libuvdio.so.${library#libuvdio}" ||
  die "a program does not ask for the SONAME"
expect_version "pkg-config, shared" "$work/shared"

# by_cmake SHARED
by_cmake() {
  { cmake -S $here -B "$work/cmake-$1" -DBUILD_SHARED_LIBS="$1" -DEXPECT_VERSION="$version" &&
    cmake --build "$work/cmake-$1"; } >"$work/log" 2>&1 ||
    { cat "$work/log"; die "CMake, BUILD_SHARED_LIBS=$1"; }
  expect_version "CMake, BUILD_SHARED_LIBS=$1" "$work/cmake-$1/consumer"
}
by_cmake ON
! cmake -S $here -B "$work/refused" -DEXPECT_VERSION="$version" >"$work/log" 2>&1 ||
  die "CMake finds a static library whose liburing is not there"
tr -s ' \n' '  ' <"$work/log" | grep -q 'the static library needs liburing' ||
  { cat "$work/log"; die "CMake does not say what the static library lacks"; }
echo "CMake, static, without liburing: is refused"

# What the package only suggests.
suggested=$(dpkg-query -W -f '${Suggests}' libuvdio-dev | sed 's/([^)]*)//g; s/,//g')
# shellcheck disable=SC2086
install $suggested
libdir=$(pkg-config --variable=libdir uvdio)
# shellcheck disable=SC2046
cc $(pkg-config --cflags uvdio) $here/consumer.c -o "$work/static" \
  $(pkg-config --static --libs uvdio | sed "s|-luvdio|$libdir/libuvdio.a|")
! readelf -d "$work/static" | grep 'NEEDED.*libuvdio' || die "the static program is none"
expect_version "pkg-config, static" "$work/static"
by_cmake OFF

# Nothing stays.
paths_of_ours >"$work/paths"
# shellcheck disable=SC2086
apt-get purge -y $names >"$work/log" 2>&1 || { cat "$work/log"; die "apt-get purge"; }
while read -r path; do
  [ ! -e "$path" ] && [ ! -L "$path" ] || die "$path stays when the packages are removed"
done <"$work/paths"
find / -xdev -name '*uvdio*' ! -path '/uvdio*' ! -path '/proc/*' ! -path "$work*" | sort >"$work/1"
cmp -s "$work/0" "$work/1" || { diff "$work/0" "$work/1" || true; die "something stays"; }
! ldconfig -p | grep uvdio || die "the loader still knows the library"
echo "removing: nothing stays of $(wc -l <"$work/paths") paths"
