#!/bin/sh
# SPDX-License-Identifier: MIT
# Installs the build and uses it from there: find_package and pkg-config, static and shared. Called
# by CTest (cmake/package_test.cmake), which sets CC, CMAKE, CMAKE_GENERATOR (there may be no make),
# PKG_CONFIG, UVDIO_VERSION and UVDIO_HAVE_TRACING.
#   run.sh BUILD_DIR [CONFIG]
set -eu

here=$(cd "$(dirname "$0")" && pwd)
build=$1
config=${2:-}
subject=package
version=$UVDIO_VERSION
. "$here/common.sh"
work=$(mktemp -d "$build/package.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

"$CMAKE" --install "$build" --prefix "$work/here" ${config:+--config "$config"} \
  >"$work/install.log" 2>&1 \
  || { cat "$work/install.log"; die "installing failed"; }

# Moved after installing: nothing in it may remember where it was.
prefix=$work/prefix
mv "$work/here" "$prefix"
pc=$(find "$prefix" -name uvdio.pc)
[ -n "$pc" ] || die "no uvdio.pc was installed"
PKG_CONFIG_PATH=$(dirname "$pc")${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}
export PKG_CONFIG_PATH

for shared in OFF ON; do
  name="find_package, BUILD_SHARED_LIBS=$shared"
  dir=$work/cmake-$shared
  { "$CMAKE" -S "$here" -B "$dir" -DCMAKE_PREFIX_PATH="$prefix" -DBUILD_SHARED_LIBS=$shared \
      -DEXPECT_VERSION="$UVDIO_VERSION" && "$CMAKE" --build "$dir"; } >"$dir.log" 2>&1 \
    || { cat "$dir.log"; die "$name: the build failed"; }
  expect_version "$name" "$dir/consumer"
done

# Package managers leave out one of the forms: the other one is what is left, whatever is asked for.
for form in STATIC SHARED; do
  name="find_package, $form alone"
  gone=shared asked=ON
  [ "$form" = STATIC ] || { gone=static asked=OFF; }
  dir=$work/alone-$form
  cp -R "$prefix" "$dir-prefix"
  find "$dir-prefix" -name "uvdio-$gone*.cmake" -exec rm {} +
  { "$CMAKE" -S "$here" -B "$dir" -DCMAKE_PREFIX_PATH="$dir-prefix" -DBUILD_SHARED_LIBS=$asked \
      -DEXPECT_FORM=$form -DEXPECT_VERSION="$UVDIO_VERSION" && "$CMAKE" --build "$dir"; } \
    >"$dir.log" 2>&1 || { cat "$dir.log"; die "$name: the build failed"; }
  expect_version "$name" "$dir/consumer"
done

# A program that takes the shared library needs nothing of liburing and ISA-L. Here pkg-config knows
# libuv, uvdio and no more.
mkdir "$work/few"
cp "$pc" "$work/few"
cp "$("$PKG_CONFIG" --variable=pcfiledir libuv)/libuv.pc" "$work/few"
for question in --exists --cflags --libs; do
  PKG_CONFIG_PATH='' PKG_CONFIG_LIBDIR=$work/few "$PKG_CONFIG" $question uvdio \
    >"$work/few.log" 2>&1 ||
    { cat "$work/few.log"; die "pkg-config $question asks for more than libuv.pc"; }
done
echo "package: pkg-config, with no liburing.pc: works"

# Word splitting of pkg-config's answers is what its users do, too.
libdir=$("$PKG_CONFIG" --variable=libdir uvdio)
cflags=$("$PKG_CONFIG" --cflags uvdio)
# shellcheck disable=SC2046,SC2086
"$CC" $cflags "$here/consumer.c" -o "$work/shared" $("$PKG_CONFIG" --libs uvdio) \
  "-Wl,-rpath,$libdir"
expect_version "pkg-config, shared" "$work/shared"

# Where both forms lie side by side a linker takes the shared one; the archive is asked for by its
# name.
static_libs=$("$PKG_CONFIG" --static --libs uvdio | sed "s|-luvdio|$libdir/libuvdio.a|")
# shellcheck disable=SC2086
"$CC" $cflags "$here/consumer.c" -o "$work/static" $static_libs
expect_version "pkg-config, static" "$work/static"

# The version stands once more in the port for vcpkg, which can't read a header.
grep -q -F "\"version\": \"$UVDIO_VERSION\"" "$here/../../cmake/packaging/vcpkg/vcpkg.json" ||
  die "cmake/packaging/vcpkg/vcpkg.json is of another version than $UVDIO_VERSION"

# The command is there as well, with its completions, if it was built.
[ ! -e "$build/uvdio" ] || [ -x "$prefix/bin/uvdio" ] || die "the uvdio command was not installed"
for completion in bash-completion/completions/uvdio zsh/site-functions/_uvdio \
  fish/vendor_completions.d/uvdio.fish; do
  [ ! -e "$build/uvdio" ] || [ -f "$prefix/share/$completion" ] ||
    die "share/$completion was not installed"
done

# Scripts for the probes, if there are any.
for script in uvdio-latency.bt uvdio-stalls.bt; do
  [ "$UVDIO_HAVE_TRACING" != ON ] || [ -x "$prefix/share/uvdio/$script" ] ||
    die "$script was not installed"
done

# The examples of one file compile as they lie there, if examples were built.
examples=$(find "$prefix" -type d -path '*/examples/store')
if [ -n "$examples" ]; then
  [ -e "$examples/../pager.c" ] || die "the short examples were not installed"
  for example in "$examples"/../*.c; do
    # shellcheck disable=SC2046,SC2086
    "$CC" $cflags "$example" -o "$work/example" $("$PKG_CONFIG" --libs uvdio) \
      "-Wl,-rpath,$libdir" || die "$example does not compile"
  done
fi

# So are the man pages and the reference, or a word about their absence.
if [ -e "$build/docs/made" ] && [ -d "$build/docs/man" ]; then
  man=$(find "$prefix" -name uvdio_write.3)
  [ -n "$man" ] || die "uvdio_write(3) was built and not installed"
  [ -n "$(find "$prefix" -path '*/html/index.html')" ] || die "the reference was not installed"
  ! grep -rlF "$build" "$(dirname "$(dirname "$man")")" || die "a man page has the build's path"
else
  grep -q 'no man pages are installed: ' "$work/install.log" || die "no word about man pages"
fi
