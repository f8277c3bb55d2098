# shellcheck shell=sh
# SPDX-License-Identifier: MIT
# Packages: built by CPack of the preset dist, examined, installed, used and removed.
#   sh test/run.sh package [deb] [rpm] [tgz]
#
#   deb    lintian, whose tags are allowed by lintian.txt only; then in a bare tree of this release
#          that debootstrap makes: the packages with what they ask for, programs that are built by
#          pkg-config and by CMake, shared and static, and the removal (installed.sh)
#   rpm    what is in them and what they ask for, and an installation without dependencies into an
#          empty folder. There is no distribution here whose packages these are.
#   tgz    unpacked over each other they are a prefix in which a program is built and runs

. test/lib/chroot.sh

default="deb rpm tgz"
faults="none"

# check NAME COMMAND...: a test that is a command; its output is shown, the last line counts.
check() {
  name=$1
  shift
  echo "-- $name"
  "$@" >"$folder/$name.log" 2>&1
  code=$?
  case $code in
    0) echo "passed: $(tail -n 1 "$folder/$name.log")" ;;
    77) sed -n "s/^SKIP: /$name: left out: /p" "$folder/$name.log" ;;
    *) echo "$name failed. The end of $folder/$name.log:"; tail -n 30 "$folder/$name.log" ;;
  esac
  count_status $code
  ran="$ran${ran:+, }$name"
  return $code
}

# pack GENERATOR [OPTION...]: packages of build/package/GENERATOR, built with OPTIONS.
pack() {
  generator=$1
  shift
  rm -rf "$folder/$generator"
  cmake --preset dist "$@" &&
    cmake --build --preset dist -j "$(job_count)" &&
    cpack --preset dist -G "$generator" -B "$root/$folder/$generator"
}

lint_debs() {
  command -v lintian >/dev/null || { echo "SKIP: lintian is not installed"; return 77; }
  lintian --allow-root --fail-on error,warning \
    --suppress-tags-from-file test/package/lintian.txt "$folder"/DEB/*.deb &&
    echo "lintian has nothing to say beside lintian.txt"
}

# The bare tree stays for the next time; what is installed goes into a copy.
install_debs() {
  suite=$(chroot_suite "$(chroot_own_alias)") ||
    { echo "SKIP: the mirror of this release can't be reached"; return 77; }
  chroot_begin "$suite" "bare-$suite" || { echo "SKIP: $chroot_why"; return 77; }
  rm -rf --one-file-system "$folder/root"
  cp -a "$chroot_root" "$folder/root"
  chroot_root=$root/$folder/root
  inside=build/in-chroot-$chroot_name/debs
  rm -rf "$inside"
  mkdir -p "$inside"
  cp "$folder"/DEB/*.deb "$inside"
  chroot_run sh test/package/installed.sh build/debs
  code=$?
  rm -rf --one-file-system "$folder/root"
  return $code
}

test_deb() {
  command -v dpkg-shlibdeps >/dev/null || { leave_out deb "this is no Debian system"; return; }
  check deb-pack pack DEB || return
  check deb-lintian lint_debs
  check deb-installed install_debs
}

# has_line FILE PATTERN
has_line() { grep -q -e "$2" "$1" || { cat "$1"; echo "$1: no line '$2'"; return 1; }; }

# rpm, with its database in an empty folder.
rpm_here() { rpm --root "$root/$folder/rpm-root" "$@"; }

examine_rpms() {
  for part in libs devel tools; do
    rpm -qpl "$folder"/RPM/uvdio-$part-*.rpm >"$folder/$part.files" &&
      rpm -qp --requires "$folder"/RPM/uvdio-$part-*.rpm >"$folder/$part.requires" || return
  done
  has_line "$folder/libs.files" '^/usr/lib64/libuvdio\.so\.[0-9.]*$' &&
    has_line "$folder/libs.requires" '^libuv\.so\.1' &&
    has_line "$folder/devel.files" '^/usr/lib64/pkgconfig/uvdio\.pc$' &&
    has_line "$folder/devel.requires" '^uvdio-libs = ' &&
    has_line "$folder/devel.requires" '^libuv-devel >= ' &&
    has_line "$folder/tools.files" '^/usr/bin/uvdio$' || return
  rm -rf "$folder/rpm-root"
  mkdir -p "$folder/rpm-root"
  rpm_here --initdb && rpm_here -i --nodeps --noscripts "$folder"/RPM/*.rpm || return
  [ -x "$folder/rpm-root/usr/bin/uvdio" ] || { echo "no uvdio was installed"; return 1; }
  rpm_here -e --nodeps --noscripts uvdio-libs uvdio-devel uvdio-tools || return
  left=$(find "$folder/rpm-root" -name '*uvdio*')
  rm -rf "$folder/rpm-root"
  [ -z "$left" ] || { echo "what stays: $left"; return 1; }
  echo "three parts, and nothing stays"
}

# rpm's own folders: a build for Debian has others.
test_rpm() {
  command -v rpmbuild >/dev/null || { leave_out rpm "rpmbuild is not installed"; return; }
  check rpm-pack pack RPM -DCMAKE_INSTALL_LIBDIR=lib64 && check rpm-examined examine_rpms
  cmake --preset dist -U CMAKE_INSTALL_LIBDIR >/dev/null
}

use_archives() {
  rm -rf "$folder/prefix"
  mkdir -p "$folder/prefix"
  for part in runtime dev tools; do
    tar -xzf "$folder"/TGZ/uvdio-*-$part.tar.gz -C "$folder/prefix" --strip-components 1 || return
    [ -s "$folder/prefix/share/licenses/uvdio-$part/LICENSE" ] ||
      { echo "the part $part has no licence"; return 1; }
  done
  pc=$(find "$folder/prefix" -name uvdio.pc)
  PKG_CONFIG_PATH=$(dirname "$pc")
  export PKG_CONFIG_PATH
  # shellcheck disable=SC2046
  cc $(pkg-config --cflags uvdio) test/package/consumer.c -o "$folder/consumer" \
    $(pkg-config --libs uvdio) "-Wl,-rpath,$(pkg-config --variable=libdir uvdio)" &&
    "$folder/consumer" && "$folder/prefix/bin/uvdio" --version
}

test_tgz() {
  check tgz-pack pack TGZ && check tgz-used use_archives
}

run_steps() { each run_step; }
run_step() { "test_$1"; }
