#!/bin/sh
# SPDX-License-Identifier: MIT
# Packs what qemu boots: a Debian kernel, and an initial RAM disk of the static tests, busybox, the
# tools that tests call and the modules that they need.
#   sh test/kernels/pack.sh FOLDER VERSION
# FOLDER is what build.sh built in. Makes FOLDER/VERSION/linux and FOLDER/VERSION/initrd.
# Exit status: 0 packed, 1 failed, 77 something can't be had here (it says what).
set -u

cd "$(dirname "$0")/../.." || exit 1
. test/lib/debian.sh
. test/lib/run_test.sh
PATH=$PATH:/usr/sbin:/sbin

folder=$(cd "$1" && pwd) || exit 1
version=$2
target=$folder/$version
tests=$folder/static/test

# Debian's release that has the kernel.
case $version in
  5.10) suite=bullseye ;;
  6.1) suite=bookworm ;;
  6.12) suite=bookworm-backports ;;
  *) echo "pack.sh: no Debian release is known for Linux $version" >&2; exit 1 ;;
esac

tools="mount umount losetup mkfs.ext4 mkfs.xfs mkfs.btrfs dmsetup fuse2fs"
modules="virtio_pci virtio_blk nvme ext4 xfs btrfs loop dm-mod dm-flakey dm-delay fuse scsi_debug"

skip() {
  echo "SKIP: $*"
  exit 77
}

for tool in busybox cpio depmod modprobe xz; do
  command -v "$tool" >/dev/null || skip "$tool is not installed"
done

# Unpacks kernel and modules, of which only the folders with those that we load.
unpack_kernel() {
  debian_begin "$folder/cache" "$suite" amd64 || skip "$debian_why"
  package=$(debian_dependency linux-image-amd64 '^linux-image-')
  [ -n "$package" ] || skip "$suite has no package linux-image-amd64"
  debian_fetch "$package" || skip "$debian_why"
  rm -rf "$target"
  mkdir -p "$target/unpacked"
  dpkg-deb --fsys-tarfile "$(debian_file "$package")" |
    tar -x -C "$target/unpacked" --wildcards './boot/vmlinuz-*' '*/lib/modules/*/modules.*' \
      '*/kernel/fs/*' '*/kernel/lib/*' '*/kernel/crypto/*' '*/kernel/arch/*' \
      '*/kernel/drivers/block/*' '*/kernel/drivers/md/*' '*/kernel/drivers/scsi/*' \
      '*/kernel/drivers/virtio/*' '*/kernel/drivers/nvme/*' '*/kernel/block/*' || return 1
  # From Debian 13 on /lib is a link, and packages know.
  [ -d "$target/unpacked/lib" ] || ln -s usr/lib "$target/unpacked/lib"
  mv "$target"/unpacked/boot/vmlinuz-* "$target/linux"
  release=$(basename "$target"/unpacked/lib/modules/*)
  depmod -b "$target/unpacked" "$release"
}

# In the order in which they are to be loaded.
list_modules() {
  for module in $modules; do
    modprobe -d "$target/unpacked" -S "$release" --show-depends "$module" ||
      echo "SKIP: $module of $release" >&2
  done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | awk '!seen[$0]++'
}

copy_modules() {
  mkdir -p "$target/tree/modules"
  number=100
  for file in $(list_modules); do
    number=$((number + 1))
    name=$target/tree/modules/$number-$(basename "$file" .xz)
    case $file in
      *.xz) xz -dc "$file" >"$name" ;;
      *) cp "$file" "$name" ;;
    esac || return 1
  done
}

# copy_program PATH: with the libraries that it is linked with.
copy_program() {
  for file in "$1" $(ldd "$1" | grep -o '/[^ ]*'); do
    mkdir -p "$target/tree$(dirname "$file")"
    cp -L "$file" "$target/tree$file"
  done
}

copy_tools() {
  mkdir -p "$target/tree/bin" "$target/tree/tests"
  for tool in $tools; do
    path=$(command -v "$tool") || { echo "SKIP: $tool is not installed" >&2; continue; }
    copy_program "$path"
  done
  cp "$(command -v busybox)" "$target/tree/bin/busybox"
  cp test/kernels/init "$target/tree/init"
  mkdir -p "$target/tree/tests/cli" "$target/tree/tests/bench"
  cp test/cli/run.sh test/cli/tap.sh "$target/tree/tests/cli"
  cp test/bench/run.sh "$target/tree/tests/bench"
  cp test/lib/run_test.sh "$target/tree/tests"
  find "$tests" -maxdepth 1 -type f -perm -u+x -exec cp -t "$target/tree/tests" {} +
  cp "$folder/static/uvdio" "$folder/static/uvdio-bench" "$target/tree/tests"
  chmod +x "$target/tree/init"
}

unpack_kernel && copy_modules && copy_tools || exit 1
# Packages need a compiler, and counting needs valgrind.
list_tests "$folder/static" '^(unit|contract|kernels)$' >"$target/tree/tests/list"
echo "cli sh /tests/cli/run.sh /tests/uvdio cli" >>"$target/tree/tests/list"
echo "bench sh /tests/bench/run.sh /tests/uvdio-bench bench" >>"$target/tree/tests/list"
(cd "$target/tree" && find . | cpio -o -H newc --quiet) >"$target/initrd" || exit 1
rm -rf "$target/unpacked" "$target/tree"
echo "Linux $release, $(du -h "$target/initrd" | cut -f1) with $(echo $modules | wc -w) modules"
