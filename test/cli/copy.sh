#!/bin/sh
# SPDX-License-Identifier: MIT
# `uvdio copy` beyond plain files: holes, block devices, -p, full disks, syncs, and what --verify
# finds.
#
#   test/cli/copy.sh PATH/TO/uvdio SCRATCH [simple]
#
# SCRATCH, the output and `simple` are as tap.sh says. With root and loop devices also on images of
# ext4, xfs, btrfs and tmpfs.
set -u
# shellcheck source=test/cli/tap.sh
. "$(dirname "$0")/tap.sh"
uvdio=$program

mounted=
devices=
clean() {
  cd / || exit 2
  for each in $mounted; do umount "$each"; done
  for each in $devices; do losetup -d "$each"; done
  rm -rf "$work"
}
trap clean EXIT

ring_absent=$("$uvdio" probe "$work" 2>&1 | sed -n 's/^  ring  *not available  *//p')
backends="ring aio pool"
[ -z "$ring_absent" ] || backends=pool
[ -z "$ring_absent" ] || echo "SKIP: ring: $ring_absent"
why_not=
[ "$(id -u)" -eq 0 ] || why_not="needs root"
[ -n "$why_not" ] || [ -e /dev/loop-control ] || why_not="no loop devices"

# Sets $device to a loop device on the file.
attach() {
  device=$(losetup -f --show "$1" 2>"$err") || return 1
  devices="$devices $device"
}

detach() {
  losetup -d "$1"
  devices=$(echo "$devices" | sed "s| $1\$||; s| $1 | |")
}

# make_filesystem FILESYSTEM SIZE: mounts one of its own at $work/FILESYSTEM, or says in $reason
# why not.
make_filesystem() {
  reason=$why_not
  [ -z "$reason" ] || return 1
  mkdir -p "$work/$1"
  case $1 in
    tmpfs)
      if ! mount -t tmpfs -o "size=$2" none "$work/$1" 2>"$err"; then
        reason="no tmpfs: $(cat "$err")"
        return 1
      fi
      ;;
    *)
      command -v "mkfs.$1" >/dev/null || { reason="mkfs.$1 is not installed"; return 1; }
      rm -f "$work/$1.img"
      truncate -s "$2" "$work/$1.img"
      features=
      [ "$1" = ext4 ] && features="-m 0 -E lazy_itable_init=0"
      # shellcheck disable=SC2086 # several options
      if ! "mkfs.$1" -q $features "$work/$1.img" >"$err" 2>&1 ||
        ! mount -o loop "$work/$1.img" "$work/$1" 2>"$err"; then
        reason="no $1: $(tail -n 1 "$err")"
        return 1
      fi
      ;;
  esac
  mounted="$work/$1 $mounted"
}

drop_filesystem() {
  umount "$work/$1" && mounted=$(echo "$mounted" | sed "s|$work/$1 ||")
  rm -f "$work/$1.img"
}

# put FILE BYTE LENGTH: random bytes in the middle of it.
put() {
  head -c "$3" /dev/urandom |
    dd of="$1" bs=65536 seek="$2" oflag=seek_bytes conv=notrunc iflag=fullblock 2>/dev/null
}

# sparse FILE SIZE OFFSET:LENGTH...: a file with data there and nowhere else.
sparse() {
  file=$1
  rm -f "$file"
  truncate -s "$2" "$file"
  shift 2
  for each in "$@"; do put "$file" "${each%:*}" "${each#*:}"; done
  sync "$file"
}

blocks_of() { du -k "$1" | cut -f1; }
map_of() { xfs_io -r -c 'seek -a 0' "$1"; }
same_map() { [ "$(map_of "$1")" = "$(map_of "$2")" ]; }
content_of() { sha256sum <"$1"; }
no_larger() { [ -e "$1" ] && [ "$(blocks_of "$1")" -le $(($(blocks_of "$2") + 16)) ]; }
takes_at_most() { [ -e "$1" ] && [ "$(blocks_of "$1")" -le "$2" ]; }
takes_all() { [ -e "$1" ] && [ "$(blocks_of "$1")" -ge $(($(size_of "$1") / 1024)) ]; }

# ----------------------------------------------------------------------------------------------
# holes

# copy_sparse NAME SIZE DATA OFFSET:LENGTH...: where DATA are the bytes of blocks of 4096 with data
# in them.
copy_sparse() {
  name="$1 on $filesystem"
  size=$2
  data=$3
  shift 3
  sparse s "$size" "$@"
  for backend in $backends; do
    rm -f t
    run 0 "copy of a file with $name by $backend" copy --backend "$backend" --verify s t
    check "... is identical" identical s t
    check "... takes no more space" no_larger t s
    says "... tells data and holes apart" \
      "^copied $size bytes (.*): data $data bytes (.*), holes $((size - data)) bytes ("
    if command -v xfs_io >/dev/null; then
      check "... and has its holes where they were" same_map s t
    else
      skip "... and has its holes where they were" "xfs_io is not installed"
    fi
  done
}

holes_in() {
  filesystem=$1
  mib=1048576
  copy_sparse "a hole at the end" $((9 * mib)) 65536 0:65536
  copy_sparse "a hole at the start" $((9 * mib)) 65536 $((9 * mib - 65536)):65536
  copy_sparse "a hole and an odd tail" $((5 * mib + 1)) 8193 12288:4096 $((5 * mib - 4096)):4097
  copy_sparse "an odd tail that is a hole" $((5 * mib + 1)) 4096 8192:4096
  copy_sparse "holes within blocks" $((2 * mib)) 24576 0:4096 65536:8192 $((mib - 4096)):8192 \
    $((2 * mib - 4096)):4096
  copy_sparse "nothing but a hole" $((3 * mib + 5)) 0
  says "... and no rate, as nothing was written" 'in [0-9.]* s, nothing to write; '
  copy_sparse "1 GiB, nearly all of it a hole" 1073741824 4096 536870912:4096
  says "... and no rate of bytes that did not move" 'in [0-9.]* s, [0-9.]* \(\|k\|M\)B/s; '

  sparse s $((4 * mib)) 0:4096 $((3 * mib)):100
  rm -f t
  run 0 "copy --sparse=never on $filesystem" copy --sparse=never s t
  check "... is identical" identical s t
  check "... and has space for all of it" takes_all t
  says "... and no holes" "^copied 4194304 bytes (4 MiB) in "
  put s 0 $((4 * mib))
  run 0 "copy over that, without holes, on $filesystem" copy s t
  check "... is identical" identical s t
  sparse s $((4 * mib)) 8192:4096
  run 0 "copy of holes over data on $filesystem" copy s t
  check "... is identical" identical s t
  check "... and takes no more space" no_larger t s

  # Zeros that are data: 1 MiB, a run that begins and ends within blocks of 4096, a tail.
  head -c $((3 * mib + 777)) /dev/urandom >z
  for each in 0:$mib $((mib + 5000)):20000 $((3 * mib)):777; do
    dd if=/dev/zero of=z bs=65536 seek="${each%:*}" oflag=seek_bytes conv=notrunc \
      iflag=count_bytes count="${each#*:}" 2>/dev/null
  done
  sync z
  rm -f t
  run 0 "copy of zeros on $filesystem" copy z t
  check "... writes them" takes_all t
  says "... and says so" "^copied $((3 * mib + 777)) bytes (3.0 MiB) in "
  for backend in $backends; do
    for block in 4K 64K 1M; do
      rm -f t
      run 0 "copy --sparse=always on $filesystem by $backend in blocks of $block" \
        copy --sparse=always --backend "$backend" \
        --block "$block" --verify z t
      check "... is identical" identical z t
      # 16384: the whole blocks of 4096 in the run of 20000 zeros from 5000 on.
      says "... and writes no zeros" \
        ": data $((2 * mib - 16384)) bytes (.*), holes $((mib + 16384 + 777)) bytes ("
      check "... nor takes space for them" takes_at_most t 2048
    done
  done
  run 2 "copy --sparse=frobnicate" copy --sparse=frobnicate z t
  warns "... is named" "^uvdio copy: --sparse takes auto, always or never"
  rm -f s t z
}

for filesystem in ext4 xfs btrfs tmpfs; do
  if make_filesystem $filesystem 400M; then
    cd "$work/$filesystem" || exit 2
    holes_in $filesystem
    "$uvdio" probe . >"$out" 2>"$err"
    says "probe names $filesystem" "^  filesystem  *$filesystem\$"
    cd "$work" || exit 2
    drop_filesystem $filesystem
  else
    skip "holes on $filesystem" "$reason"
  fi
done
if [ -n "$why_not" ]; then holes_in here; fi

# ---------------------------------------------------------------------------------------- full
# disks

nothing_written() { absent t && absent .t.uvdio-copy; }

# full_disk FILESYSTEM SIZE: standard error is a file on the disk that the copy fills.
full_disk() {
  head -c 50000000 /dev/urandom >"$work/large"
  cd "$work/$1" || exit 2
  free=$(($(stat -f -c '%a * %S' .)))
  : >e
  while [ $((free - 20000000)) -gt 0 ] &&
    fallocate -l $((free - 20000000)) filler."$free" 2>/dev/null; do
    sync .
    free=$(($(stat -f -c '%a * %S' .)))
  done
  run 1 "copy of more than there is room for on $1" copy "$work/large" t
  warns "... says what, why and what to do" \
    '^uvdio copy: cannot reserve space for t: .*(ENOSPC)\. Free some space'
  warns "... and what became of the target" '^uvdio copy: t was not created\.$'
  check "... and nothing is left" nothing_written
  sparse s 200000000 0:4096 100000000:4096
  run 0 "copy of a hole that is larger than the disk on $1" copy s t
  check "... is identical" identical s t
  rm -f s t
  "$uvdio" copy --sparse=always "$work/large" t >"$out" 2>e </dev/null
  code=$?
  cp e "$err"
  check "copy that fills the disk that standard error is on, $1, fails" test $code -eq 1
  warns "... and says why" '^uvdio copy: cannot write t: .*(ENOSPC)\. Free some space'
  warns "... and what became of the target" '^uvdio copy: t was not created\.$'
  check "... and nothing is left" nothing_written
  echo old >t
  : >e
  "$uvdio" copy --sparse=always "$work/large" t >"$out" 2>e </dev/null
  code=$?
  cp e "$err"
  check "the same over a file that was there fails" test $code -eq 1
  warns "... and says why" '^uvdio copy: cannot write t: .*(ENOSPC)\. Free some space'
  warns "... and what became of the target" '^uvdio copy: t was not changed\.$'
  check "... which is as it was" test "$(cat t)" = old
  : >t
  : >e
  "$uvdio" copy --in-place --sparse=always "$work/large" t >"$out" 2>e </dev/null
  code=$?
  cp e "$err"
  check "the same in place fails" test $code -eq 1
  warns "... and says why" '^uvdio copy: cannot write t: .*(ENOSPC)\. Free some space'
  if [ -s t ]; then
    warns "... and what became of the target" '^uvdio copy: t is incomplete\. Don.t use it; copy'
  else
    warns "... and what became of the target" \
      '^uvdio copy: t was incomplete and has been emptied, to make room for this message\.$'
  fi
  check "... which is there" test -e t
  cd "$work" || exit 2
  rm -f large
}

for filesystem in ext4 xfs btrfs tmpfs; do
  if make_filesystem $filesystem 320M; then
    full_disk $filesystem
    drop_filesystem $filesystem
  else
    skip "a full disk of $filesystem" "$reason"
  fi
done
make_file source 5000000
if strace -f -o calls true 2>/dev/null; then
  for each in error=EINTR retval=0; do
    strace -f -o calls -P "$err" -e trace=write -e "inject=write:$each:when=1..5" \
      "$uvdio" copy missing t >"$out" 2>"$err"
    check "copy that fails and has to say so six times ($each) fails" test $? -eq 1
    warns "... and has said why" '^uvdio copy: cannot open missing: .*(ENOENT)\. Check the path\.$'
    check "... once" lines_with "$err" . 1
  done
else
  skip "copy that fails and has to say so six times" "strace is not installed, or not allowed"
fi
if [ -w /dev/full ]; then
  (
    ulimit -f 64
    "$uvdio" copy source t >"$out" 2>/dev/full </dev/null
  )
  check "copy that fails and can't say why fails" test $? -eq 1
  check "... and leaves no target" absent t
  "$uvdio" copy --sparse=x source t >"$out" 2>/dev/full
  check "wrong usage that can't be told is wrong usage" test $? -eq 2
else
  skip "copy that fails and can't say why" "no /dev/full"
fi

# ------------------------------------------------------------------------------------- block
# devices

if [ -n "$why_not" ]; then
  skip "block devices" "$why_not"
else
  head -c 8388608 /dev/urandom >disk.img
  head -c 8388608 /dev/urandom >other.img
  attach "$work/disk.img" || exit 2
  disk=$device
  attach "$work/other.img" || exit 2
  other=$device
  make_file odd 3000001
  sparse holes 8388608 4096:4096 8000000:512
  sizes() { [ "$(blockdev --getsize64 "$disk")" -eq "$(size_of "$1")" ]; }
  for backend in $backends; do
    rm -f t
    run 0 "copy of a block device by $backend" copy --backend "$backend" --verify "$disk" t
    check "... is identical" identical disk.img t
    says "... with all of its bytes" '^copied 8388608 bytes (8 MiB) in '
    run 0 "copy of a block device to another by $backend" \
      copy --backend "$backend" --verify "$disk" "$other"
    check "... is identical" identical disk.img "$other"
    head -c 8388608 /dev/urandom >t
    run 0 "copy onto a block device by $backend" copy --backend "$backend" --verify t "$disk"
    check "... is identical" identical t "$disk"
    check "... which is still a block device" test -b "$disk"
    head -c 8388608 /dev/urandom >t
    "$uvdio" copy t "$disk" >"$out" 2>"$err"
    run 0 "copy of an odd number of bytes onto a block device by $backend" \
      copy --backend "$backend" --verify odd "$disk"
    check "... has them" cmp -s -n 3000001 odd "$disk"
    check "... zeros to the sector's end" cmp -s -n 255 -i 3000001:0 "$disk" /dev/zero
    check "... and what was there behind it" cmp -s -i 3000320 t "$disk"
    : >none
    run 0 "copy of an empty file onto a block device by $backend" \
      copy --backend "$backend" --verify none "$disk"
    check "... leaves what was there" cmp -s -i 3000320 t "$disk"
    run 0 "copy of holes onto a block device by $backend" \
      copy --backend "$backend" --verify holes "$disk"
    check "... writes zeros" identical holes "$disk"
    says "... which are no holes there" '^copied 8388608 bytes (8 MiB) in '
    head -c 8388608 /dev/urandom >t
    "$uvdio" copy t "$disk" >"$out" 2>"$err"
    run 0 "copy --sparse=always onto a block device by $backend" \
      copy --backend "$backend" --sparse=always holes "$disk"
    check "... writes zeros as well" identical holes "$disk"
  done
  # What is read from tmpfs ends with the last byte: what follows in memory is of another block.
  if make_filesystem tmpfs 16M; then
    cp odd tmpfs/odd
    run 0 "copy of an odd number of bytes from tmpfs" copy --depth 1 --block 64K tmpfs/odd "$other"
    check "... has them" cmp -s -n 3000001 odd "$other"
    check "... and zeros to the sector's end" cmp -s -n 255 -i 3000001:0 "$other" /dev/zero
    # Its last block would end where no offset can be.
    truncate -s 9223372036854675807 tmpfs/s
    head -c 100000 /dev/urandom >>tmpfs/s
    run 1 "copy of the largest file that there can be" copy --sparse=always tmpfs/s tmpfs/t
    warns "... says what it can't read" '^uvdio copy: cannot read tmpfs/s: .*(EOFFSET)'
    check "... and leaves no target" absent tmpfs/t
    drop_filesystem tmpfs
  else
    skip "copy of an odd number of bytes from tmpfs" "$reason"
  fi
  run 0 "copy --sparse=always of a block device" copy --sparse=always --verify "$disk" t
  check "... is identical" identical holes t
  check "... and has holes" takes_at_most t 64

  content_of "$disk" >before
  head -c 8388609 /dev/zero >t
  run 1 "copy onto a block device that is too small" copy t "$disk"
  warns "... is refused" \
    "^uvdio copy: $disk has 8388608 bytes, which is too small for the 8388609 of t"
  for name in "$disk" link; do
    ln -sf "$disk" link
    run 1 "copy of a block device to itself, as ${name#/}" copy "$disk" "$name"
    warns "... is refused" "^uvdio copy: $disk and $name are the same file"
  done
  mknod node b "$(stat -L -c '0x%t' "$disk")" "$(stat -L -c '0x%T' "$disk")"
  run 1 "copy of a block device to itself, as another node" copy "$disk" node
  warns "... is refused" "^uvdio copy: $disk and node are the same file"
  content_of "$disk" >after
  check "... and nothing was changed by any of these" identical before after
  stat -c '%a %u %g %Y' node >before
  chmod 755 odd
  run 0 "copy -p onto a block device" copy -p odd node
  stat -c '%a %u %g %Y' node | cut -d' ' -f1-3 >after
  cut -d' ' -f1-3 before >before.mode
  check "... does not give the node the file's mode and owner" identical before.mode after

  run_limited_device() {
    (
      ulimit -f 64
      "$uvdio" copy odd "$disk" >"$out" 2>"$err"
    )
  }
  run_limited_device
  check "copy onto a block device minds no limit on file size" test $? -eq 0
  mkfs.ext4 -q -F -E lazy_itable_init=0,lazy_journal_init=0 "$disk" 2>"$err"
  mkdir -p on
  if mount "$disk" on 2>"$err"; then
    mounted="$work/on $mounted"
    sync
    content_of "$disk" >before
    run 1 "copy onto a mounted block device" copy odd "$disk"
    warns "... is refused" "^uvdio copy: cannot open $disk: it is in use (EBUSY)"
    content_of "$disk" >after
    check "... and nothing was changed" identical before after
    umount on && mounted=${mounted#* }
  else
    not_ok "a block device is mounted" "mount failed"
  fi

  run 0 "probe of a block device" probe "$disk"
  says "... tells its sectors" \
    '^  alignment the system requires  *memory [0-9]* bytes, offset and length 512 bytes$'

  memory=$(sed -n 's/^  alignment the system requires  *memory \([0-9]*\) .*/\1/p' "$out")
  run 0 "probe --json of a block device" probe --json "$disk"
  says "... tells the same of memory" "\"system_memory_align\": $memory,"
  says "... and of sectors" '"system_offset_align": 512,'

  # A number of sectors that is no number of pages.
  head -c 1049088 /dev/urandom >sectors.img
  attach "$work/sectors.img" || exit 2
  if [ "$(blockdev --getsize64 "$device")" -eq 1049088 ]; then
    head -c 1049088 /dev/urandom >t
    for backend in $backends; do
      run 0 "copy onto the last sector of a device by $backend" \
        copy --backend "$backend" --verify t "$device"
      check "... is identical" identical t "$device"
      run 0 "... and back" copy --backend "$backend" --verify "$device" u
      check "... is identical" identical t u
    done
  else
    skip "copy onto the last sector of a device" "this kernel rounds its size"
  fi
  detach "$device"
  detach "$other"
  detach "$disk"
  rm -f ./*.img t u link node holes
fi

# Sectors that are larger than the blocks that were asked for: a copy takes larger ones, a benchmark
# says so.
sectors_of_16384() {
  reason=$why_not
  [ -z "$reason" ] || return 1
  command -v mkfs.xfs >/dev/null || { reason="mkfs.xfs is not installed"; return 1; }
  truncate -s 400M xfs.img && mkdir -p on
  device=$(losetup -f --show --sector-size 16384 xfs.img 2>"$err") ||
    { reason="this kernel has no such sectors"; return 1; }
  devices="$devices $device"
  if ! mkfs.xfs -q -b size=16384 -s size=16384 "$device" >"$err" 2>&1 ||
    ! mount "$device" on 2>"$err"; then
    reason="no XFS with such sectors: $(tail -n 1 "$err")"
    detach "$device"
    return 1
  fi
  mounted="$work/on $mounted"
}
if sectors_of_16384; then
  make_file odd 3000001
  run 0 "probe of sectors of 16384 bytes" probe on
  says "... tells them" \
    '^  alignment enforced  *memory [0-9]* bytes, offset and length 16384 bytes$'
  advice='(EALIGN)\. Ask for a --block that is a multiple'
  for backend in $backends; do
    run 0 "copy --block 4K to sectors of 16384 bytes by $backend" \
      copy --backend "$backend" --block 4K --verify odd on/t
    check "... is identical" identical odd on/t
    run 0 "... and back" copy --backend "$backend" --block 4K --verify on/t back
    check "... is identical" identical odd back
    rm -f on/t back
    run 1 "bench --block 4K of sectors of 16384 bytes by $backend" \
      bench --backend "$backend" --size 1M --operation write on
    warns "... says what, why and what to do" "^uvdio bench: cannot write on/.*: .*$advice"
    run 1 "... and so do its reads" bench --backend "$backend" --size 1M --operation verify on
    warns "... say it" "^uvdio bench: cannot read on/.*: .*$advice"
    run 1 "... at random, too" bench --backend "$backend" --size 1M --operation random-read on
    warns "... say it" "^uvdio bench: cannot read on/.*: .*$advice"
    check "... and nothing is left behind" directory_empty on
    run 0 "bench --block 16K there by $backend" \
      bench --backend "$backend" --size 1M --seconds 0.01 --block 16K on
  done
  umount on && mounted=${mounted#* }
  detach "$device"
else
  skip "sectors of 16384 bytes" "$reason"
fi
rm -f xfs.img odd

# Blocks that are larger than sectors: where two files share them, a kernel advises to write whole
# ones.
blocks_of_16384() {
  reason=$why_not
  [ -z "$reason" ] || return 1
  command -v mkfs.xfs >/dev/null || { reason="mkfs.xfs is not installed"; return 1; }
  truncate -s 400M xfs.img && mkdir -p on
  if ! mkfs.xfs -q -b size=16384 -m reflink=1 xfs.img >"$err" 2>&1 ||
    ! mount -o loop xfs.img on 2>"$err"; then
    reason="no XFS with such blocks: $(tail -n 1 "$err")"
    return 1
  fi
  mounted="$work/on $mounted"
}
if blocks_of_16384; then
  make_file on/own 65536
  make_file on/lent 65536
  cp --reflink=always on/lent on/shared
  "$uvdio" probe --json on/shared >"$out" 2>"$err"
  if grep -q '"recommended_align": 16384,' "$out"; then
    run 0 "probe of a file that shares its blocks" probe on/shared
    says "... tells what is recommended" \
      '^  alignment recommended  *offset and length of writes 16384 bytes$'
  else
    skip "probe of a file that shares its blocks" "this kernel recommends nothing for it"
  fi
  run 0 "probe of a file that shares none" probe on/own
  check "... tells of nothing else than is required" lines_with "$out" 'alignment recommended' 0
  umount on && mounted=${mounted#* }
else
  skip "blocks of 16384 bytes" "$reason"
fi
rm -f xfs.img

# ----------------------------------------------------------------------------------- -p, and
# without

attributes() { stat -c '%a %u:%g %.9X %.9Y' "$1"; }
kept() { [ "$(attributes "$1" | cut -d' ' -f2-)" = "$2" ]; }
make_file p 10000
for bits in 644 600 444 400 755 2755 4711; do
  rm -f t
  chmod $bits p
  [ -n "$why_not" ] || { chown 12345:54321 p && chmod $bits p; }
  touch -a -d '2001-02-03 04:05:06.789012345' p
  touch -m -d '2011-12-13 14:15:16.171819202' p
  attributes p >before
  run 0 "copy -p --verify of a file of mode $bits" copy -p --verify p t
  attributes t >after
  check "... keeps mode, owner and times" identical before after
  check "... and content" identical p t
  touch -a -d '2001-02-03 04:05:06.789012345' p
  run 0 "copy -p over a file that was there" copy --preserve source t
  run 0 "... and over that" copy -p p t
  attributes t >after
  check "... keeps mode, owner and times as well" identical before after
  rm -f t
  run 0 "copy of a file of mode $bits without -p" copy p t
  check "... keeps its permissions, less the umask" \
    test "$(stat -c %a t)" = "$(printf %o $((0$bits & 0755)))"
  check "... but not its owner" test "$(stat -c %u:%g t)" = "$(id -u):$(id -g)"
  check "... nor its times" test t -nt p
done
chmod 666 p
for bits in 600 444 4751; do
  [ -n "$why_not" ] || chown 12345:54321 t
  chmod $bits t
  [ "$bits" -ne 4751 ] || [ -z "$why_not" ] || bits=751 # as a write takes it away
  stat -c '%a %u:%g' t | sed "s/^[0-9]*/$bits/" >before
  run 0 "copy over a file of mode $bits without -p" copy p t
  stat -c '%a %u:%g' t >after
  check "... leaves mode and owner" identical before after
done
umask 077
rm -f t
run 0 "copy with a umask" copy p t
check "... minds it" test "$(stat -c %a t)" = 600
rm -f t
run 0 "copy -p with a umask" copy -p p t
check "... does not" test "$(stat -c %a t)" = 666
umask 022

# attribute set|get FILE NAME [VALUE in hex]
attribute() {
  python3 -c '
import os, sys
verb, path, name = sys.argv[1:4]
if verb == "set":
    os.setxattr(path, name, bytes.fromhex(sys.argv[4]))
else:
    print(os.getxattr(path, name).hex() if name in os.listxattr(path) else "none")' "$@" 2>"$err"
}
# One of acl(5), as linux/posix_acl_xattr.h has it: user 12345 may read, the mask is rw.
list=0200000001000600ffffffff020004003930000004000400ffffffff10000600ffffffff20000000ffffffff
attribute_is() { [ "$(attribute get "$1" "$2")" = "$3" ]; }
access=system.posix_acl_access
rm -f t d/*
cp source d/t
if attribute set d/t user.name 1234 && attribute set d/t $access $list &&
  attribute set d system.posix_acl_default $list; then
  for option in "" -p; do
    # shellcheck disable=SC2086 # none, or one
    run 0 "copy $option over a file with attributes" copy $option p d/t
    check "... is identical" identical p d/t
    check "... keeps them" attribute_is d/t user.name 1234
  done
  attribute set d/t $access $list
  run 0 "copy over a file with an access control list" copy p d/t
  check "... keeps it" attribute_is d/t $access $list
  rm -f d/t
  run 0 "copy to a new file in a directory with a default list" copy p d/t
  check "... which gives it one" test "$(attribute get d/t $access)" != none
  cp source t
  mv t d/t
  run 0 "copy over a file without a list there" copy p d/t
  check "... gives it none" attribute_is d/t $access none
  if strace -f -o calls true 2>/dev/null; then
    attribute set d/t user.name 1234
    strace -f -o calls -e trace=fsetxattr -e inject=fsetxattr:error=EPERM \
      "$uvdio" copy p d/t >"$out" 2>"$err"
    check "copy over a file whose attributes can't be kept fails" test $? -eq 1
    warns "... and names another way" \
      '^uvdio copy: cannot keep the extended attributes of d/t: .*(EPERM)\..* With --in-place'
    check "... and changes nothing" identical p d/t
    check "... and leaves nothing else" alone d/t
  else
    skip "copy over a file whose attributes can't be kept" "strace is not installed, or not allowed"
  fi
else
  skip "copies over a file with attributes" "no Python, or the filesystem has none: $(cat "$err")"
fi
rm -rf d
mkdir d

if [ -n "$why_not" ] || ! command -v setpriv >/dev/null; then
  skip "copies of somebody who is not root" "${why_not:-setpriv is not installed}"
else
  # Everything on the way down is open to everybody here.
  somebody=$(mktemp -d /tmp/uvdio-cli.XXXXXX)
  chmod 755 "$somebody"
  cp "$uvdio" "$somebody/uvdio"
  cp source "$somebody/readonly"
  chmod 444 "$somebody/readonly"
  cp source "$somebody/suid"
  chmod 4755 "$somebody/suid"
  cp source "$somebody/secret"
  chmod 600 "$somebody/secret"
  mkdir "$somebody/d" "$somebody/locked"
  chown 65534:65534 "$somebody/d"
  as_somebody() {
    code=$1
    shift
    setpriv --reuid 65534 --regid 65534 --clear-groups "$somebody/uvdio" copy "$@" \
      >"$out" 2>"$err" </dev/null
    [ $? -eq "$code" ]
  }
  for backend in $backends; do
    rm -f "$somebody"/d/*
    check "copy of a file of mode 444 by somebody, by $backend" \
      as_somebody 0 --backend "$backend" "$somebody/readonly" "$somebody/d/t"
    check "... is identical" identical source "$somebody/d/t"
    check "... and has the mode" test "$(stat -c '%a %u' "$somebody/d/t")" = "444 65534"
    rm -f "$somebody/d/t"
    check "copy -p of somebody else's program" as_somebody 0 -p "$somebody/suid" "$somebody/d/t"
    check "... does not run as whoever copied it" \
      test "$(stat -c '%a %u' "$somebody/d/t")" = "755 65534"
    check "... keeps its times" \
      test "$(stat -c %.9Y "$somebody/d/t")" = "$(stat -c %.9Y "$somebody/suid")"
    check "copy of a file without permission to read" \
      as_somebody 1 "$somebody/secret" "$somebody/d/new"
    warns "... says what, why and what to do" \
      '^uvdio copy: cannot open .*secret: .*(EACCES)\. Check the permissions'
    check "copy into a directory without permission to write" \
      as_somebody 1 "$somebody/readonly" "$somebody/locked/t"
    warns "... says what, why and what to do" \
      '^uvdio copy: cannot create .*locked/t: .*(EACCES)\. Check the permissions'
    cp source "$somebody/locked/open"
    chmod 666 "$somebody/locked/open"
    check "copy over a file in a directory without permission to write" \
      as_somebody 1 "$somebody/readonly" "$somebody/locked/open"
    warns "... names another way" '^uvdio copy: cannot create a file beside .*With --in-place'
    check "... which works" as_somebody 0 --in-place "$somebody/uvdio" "$somebody/locked/open"
    check "... and is identical" identical "$somebody/uvdio" "$somebody/locked/open"
    cp source "$somebody/d/foreign"
    chmod 666 "$somebody/d/foreign"
    check "copy over a file of somebody else" \
      as_somebody 1 "$somebody/readonly" "$somebody/d/foreign"
    warns "... names another way" '^uvdio copy: cannot keep the owner of .*With --in-place'
    check "... which works" as_somebody 0 --in-place "$somebody/uvdio" "$somebody/d/foreign"
    check "... and is identical" identical "$somebody/uvdio" "$somebody/d/foreign"
    check "... and keeps the owner" test "$(stat -c %u "$somebody/d/foreign")" -eq 0
    check "copy over a file without permission to write" \
      as_somebody 1 "$somebody/readonly" "$somebody/suid"
    warns "... says what, why and what to do" \
      '^uvdio copy: cannot open .*suid: .*(EACCES)\. Check the permissions'
    check "... and leaves it as it was" identical source "$somebody/suid"
  done
  rm -rf "$somebody"
fi

# -------------------------------------------------------------------------------------- system
# calls

# traced CODE WHAT STRACE-OPTION... -- ARGUMENT...: the calls are in the file `calls`, descriptors
# with their paths.
traced() {
  wanted=$1
  what=$2
  shift 2
  options=
  while [ "$1" != -- ]; do
    options="$options $1"
    shift
  done
  shift
  # shellcheck disable=SC2086 # several options
  strace -f -y -o calls $options "$uvdio" copy --backend pool "$@" >"$out" 2>"$err" </dev/null
  got=$?
  if [ $got -eq "$wanted" ]; then
    ok "$what"
  else
    not_ok "$what" "exit code $got instead of $wanted"
  fi
}

calls_with() { grep -c -e "$1" calls; }
last_line() { grep -n -e "$1" calls | tail -n 1 | cut -d: -f1; }
first_line() { grep -n -e "$1" calls | head -n 1 | cut -d: -f1; }

if strace -f -o calls true 2>/dev/null; then
  rm -f d/*
  chmod 644 source
  traced 0 "copy under strace" \
    -e trace=fsync,fdatasync,pwrite64,ftruncate,fallocate,rename,renameat,renameat2 -- source d/t
  temporary='/d/\.t\.uvdio-copy>'
  check "... syncs the file once, with its size" test "$(calls_with "fsync(.*$temporary")" -eq 1
  check "... after the last write" \
    test "$(last_line "fsync(.*$temporary")" -gt "$(last_line "pwrite64(.*$temporary")"
  check "... and after its size was set" \
    test "$(last_line "fsync(.*$temporary")" -gt "$(last_line "ftruncate(.*$temporary, 5000000)")"
  check "... gives it its name then" \
    test "$(first_line 'rename.*"d/\.t\.uvdio-copy".*"d/t"')" -gt \
    "$(last_line "fsync(.*$temporary")"
  check "... and then syncs the directory" \
    test "$(last_line 'fsync(.*/d>')" -gt "$(last_line 'rename')"
  check "... reserves the space first" \
    test "$(first_line "fallocate(.*$temporary")" -lt "$(first_line "pwrite64(.*$temporary")"
  traced 0 "copy -p under strace" -e trace=fsync,utimensat,fchmod,fchown -- -p source d/t
  check "... syncs the target after it has its times" \
    test "$(last_line "fsync(.*$temporary")" -gt "$(last_line 'utimensat(')"
  check "... and its mode" test "$(last_line 'utimensat(')" -gt "$(last_line 'fchmod(')"
  check "... and its owner" test "$(last_line 'fchmod(')" -gt "$(last_line 'fchown(')"
  traced 0 "copy --in-place under strace" \
    -e trace=fsync,pwrite64,ftruncate,rename,renameat,renameat2 -- --in-place source d/new
  check "... syncs the target once, with its size" test "$(calls_with 'fsync(.*/d/new>')" -eq 1
  check "... after the last write" \
    test "$(last_line 'fsync(.*/d/new>')" -gt "$(last_line 'pwrite64(.*/d/new>')"
  check "... and after its size was set" \
    test "$(last_line 'fsync(.*/d/new>')" -gt "$(last_line 'ftruncate(.*/d/new>, 5000000)')"
  check "... and then the directory" \
    test "$(last_line 'fsync(.*/d>')" -gt "$(last_line 'fsync(.*/d/new>')"
  check "... and renames nothing" test "$(calls_with rename)" -eq 0
  rm -f d/new
  chmod 444 source
  for option in "" --in-place; do
    rm -f d/t
    # shellcheck disable=SC2086 # none, or one
    traced 0 "copy $option of a file without permission to write, under strace" \
      -e trace=fsync,fchmod -- $option source d/t
    check "... syncs the target after it has its mode" \
      test "$(last_line 'fsync(.*t[^/]*>')" -gt "$(last_line 'fchmod(.*t[^/]*>, 0444)')"
  done
  chmod 644 source
  traced 0 "copy --depth 1 --block 64K under strace" \
    -e trace=pread64,pwrite64 -- --depth 1 --block 64K source d/t
  descriptor='[0-9]*<[^>]*\/\(source\|\.t\.uvdio-copy\)>'
  sed -n "s/.*\(pread64\|pwrite64\)($descriptor.*, \([0-9]*\), \([0-9]*\))* .*/\1 \3 \4/p" calls \
    >moved
  awk '
    NR % 2 == 1 && $1 != "pread64" || NR % 2 == 0 && $1 != "pwrite64" { exit 1 }
    NR % 2 == 1 && $2 != 65536 { exit 1 }' moved
  check "... reads and writes in turns, 65536 bytes each" test $? -eq 0
  check "... as often as needed" test "$(wc -l <moved)" -eq 154
  check "... and pads the last one" grep -q 'pwrite64 20480 4980736' moved

  rm -f d/*
  for each in fsync:EIO ftruncate:EIO fchown:EIO utimensat:EIO fchown:EPERM; do
    call=${each%:*}
    # Who is not root need not give files away.
    [ "$each" != fchown:EPERM ] || [ "$(id -u)" -eq 0 ] || continue
    traced 1 "copy -p where $call fails with ${each#*:}" -e trace="$call" \
      -e inject="$call:error=${each#*:}:when=1" -- -p source d/t
    warns "... says so" "^uvdio copy: cannot .* d/t: .*(${each#*:})"
    check "... and leaves nothing" directory_empty d
  done
  traced 1 "copy that fails and can't remove its target" -e trace=pwrite64,unlink,unlinkat \
    -e inject=pwrite64:error=EIO:when=2 -e inject=unlink,unlinkat:error=EACCES -- source d/t
  warns "... says so" \
    '^uvdio copy: d/\.t\.uvdio-copy is incomplete\. Remove it: .* (Permission denied)\.$'
  warns "... and what became of the target" '^uvdio copy: d/t was not created\.$'
  rm -f d/.t.uvdio-copy
  rm -f d/*
  traced 0 "copy --verify under strace" -e trace=?open,openat,close -- --verify source d/t
  check "... opens the source" test "$(calls_with 'open\(at\)\?(.*"source"')" -ge 1
  check "... for nothing but reading" \
    lines_with calls 'open\(at\)\?(.*"source".*O_\(CREAT\|RDWR\|WRONLY\|TRUNC\)' 0
  grep 'open\(at\)\?(.*"\(source\|d/\.t\.uvdio-copy\|d/\)"' calls >opens
  check "... opens nothing that another program would inherit" lines_with opens O_CLOEXEC \
    "$(wc -l <opens)"
  grep '"d/\.t\.uvdio-copy"' opens >new
  check "... takes nothing for a directory that is none" lines_with opens '"d/".*O_DIRECTORY' 1
  check "... and follows no link to a new target" lines_with new O_NOFOLLOW "$(wc -l <new)"
  for each in source 'd/\.t\.uvdio-copy' d; do
    opened=$(calls_with "open\(at\)\?(.* = [0-9]*<[^>]*/$each>\$")
    [ "$each" = source ] || [ "$each" = d ] || each='d/\(\.t\.uvdio-copy\|t\)'
    closed=$(calls_with "close([0-9]*<[^>]*/$each>")
    check "... opens $each" test "$opened" -ge 1
    check "... and closes it as often" test "$closed" -eq "$opened"
  done
  # As many frames as make 2 MiB, and less.
  for each in 64K:32:1 64K:31:0 1M:1:0 2M:1:1 4M:1:1; do
    options="--block ${each%%:*} --depth $(echo "$each" | cut -d: -f2)"
    # shellcheck disable=SC2086 # several options
    traced 0 "copy $options under strace" -e trace=mmap,madvise -- $options source d/t
    calls_with 'MADV_HUGEPAGE\|MAP_HUGETLB' >asked
    if [ "${each##*:}" -eq 1 ]; then
      check "... asks for huge pages" test "$(cat asked)" -ge 1
    else
      check "... asks for no huge pages" test "$(cat asked)" -eq 0
    fi
  done
  rm -f asked opens new d/*
  strace -f -o calls -P "$work/d/new" -e trace=pread64 -e inject=pread64:retval=0:when=1 \
    "$uvdio" bench --backend pool --size 64K --operation verify "$work/d/new" >"$out" 2>"$err"
  check "bench of a file that ends too early fails" test $? -eq 1
  warns "... says what, why and what to do" \
    '^uvdio bench: cannot read .*/d/new: .*(ESHORTREAD)\. Make sure that nobody shortens'
  strace -f -o calls -e trace=?open,openat \
    "$uvdio" bench --backend pool --size 64K --operation verify d/new >"$out" 2>"$err"
  check "bench opens no file that has come up since it looked" \
    lines_with calls 'open\(at\)\?(.*"d/new", .*O_CREAT|O_EXCL' 1
  strace -f -o calls -P "$work/d/new" -e trace=fsync -e inject=fsync:error=EIO \
    "$uvdio" bench --backend pool --size 64K --operation verify "$work/d/new" >"$out" 2>"$err"
  check "bench of a file that can't be synced fails" test $? -eq 1
  warns "... says what and why" '^uvdio bench: cannot sync .*/d/new: .*(EIO)'
  if [ -n "$ring_absent" ]; then
    skip "copy and bench by a ring that is denied" "$ring_absent"
  else
    for each in "copy --backend ring source d/t" "bench --backend ring --size 64K d"; do
      # shellcheck disable=SC2086 # several arguments
      strace -f -o calls -e trace=io_uring_setup -e inject=io_uring_setup:error=EPERM \
        "$uvdio" $each >"$out" 2>"$err"
      check "${each%% *} by a ring that is denied fails" test $? -eq 1
      warns "... and says so" "^uvdio ${each%% *}: the backend ring is not available here: "
      check "... and leaves nothing behind" directory_empty d
    done
  fi
  cp source d/t
  traced 1 "copy whose directory can't be synced" \
    -e trace=fsync -P "$work/d" -e inject=fsync:error=EIO -- source d/t
  warns "... fails" '^uvdio copy: cannot sync the directory d: .*(EIO)'
  warns "... and says what that means" \
    '^uvdio copy: d/t is complete, but after a power cut the old one may be there'
  check "... and leaves the target" identical source d/t
  check "... and nothing else" alone d/t
  rm -f d/t
  for option in "" --in-place; do
    # shellcheck disable=SC2086 # none, or one
    traced 1 "copy $option of a new file whose directory can't be synced" \
      -e trace=fsync -P "$work/d" -e inject=fsync:error=EIO -- $option source d/t
    warns "... says what that means" \
      '^uvdio copy: d/t is complete, but after a power cut it may be gone'
    check "... and leaves the target" identical source d/t
    rm -f d/t
  done
  traced 0 "copy whose directory's sync is interrupted" \
    -e trace=fsync -P "$work/d" -e inject=fsync:error=EINTR:when=1..4 -- source d/t
  check "... tries again" test "$(calls_with 'fsync(')" -eq 5
  traced 1 "copy whose directory's sync is interrupted for ever" \
    -e trace=fsync -P "$work/d" -e inject=fsync:error=EINTR -- source d/t
  warns "... ends" '^uvdio copy: cannot sync the directory d: .*(EINTR)'
  check "... after some thousands at most" test "$(calls_with 'fsync(')" -le 5000
  rm -f d/*
  temporary=$work/d/.t.uvdio-copy
  traced 1 "copy that can't read" \
    -e trace=pread64 -P "$work/source" -e inject=pread64:error=EIO:when=1 -- source d/t
  warns "... says so" '^uvdio copy: cannot read source: .*(EIO)'
  check "... and leaves nothing" directory_empty d
  traced 1 "copy that can't write" \
    -e trace=pwrite64 -e inject=pwrite64:error=EIO:when=2 -- source d/t
  warns "... says so" '^uvdio copy: cannot write d/t: .*(EIO)'
  check "... and leaves nothing" directory_empty d
  traced 1 "copy that can't read back" \
    -e trace=pread64 -P "$temporary" -e inject=pread64:error=EIO:when=1 -- --verify source d/t
  warns "... says so" '^uvdio copy: cannot read back d/t: .*(EIO)'
  check "... and leaves nothing" directory_empty d
  # 4096 bytes of data and of zeros in turns: eight writes of a block.
  rm -f s
  for each in 0 1 2 3 4 5 6 7; do
    { head -c 4096 source && head -c 4096 /dev/zero; } >>s
  done
  traced 1 "copy --sparse=always that can't write" -e trace=pwrite64 \
    -e inject=pwrite64:error=EIO:when=1 -- --sparse=always --depth 1 --block 64K s d/t
  warns "... says so" '^uvdio copy: cannot write d/t: .*(EIO)'
  check "... and writes no more" test "$(calls_with 'pwrite64(')" -eq 1
  traced 143 "copy with SIGTERM at its first read" \
    -E UV_THREADPOOL_SIZE=1 -P "$work/source" -e trace=pread64 \
    -e inject=pread64:signal=SIGTERM:when=1 -- --depth 1 --block 64K source d/t
  warns "... says so" '^uvdio copy: interrupted by signal'
  check "... and does not read on" test "$(calls_with 'pread64(')" -lt 70
  check "... and leaves nothing" directory_empty d
  traced 0 "copy where no space can be reserved" \
    -e trace=fallocate -e inject=fallocate:error=EOPNOTSUPP -- source d/t
  check "... is identical" identical source d/t
  for each in EBUSY EPERM EXDEV; do
    traced 1 "copy whose rename fails with $each" -e trace=rename,renameat,renameat2 \
      -e inject=rename,renameat,renameat2:error=$each -- "$uvdio" d/t
    warns "... names another way" \
      "^uvdio copy: cannot replace d/t: .*($each)\\. Nothing was changed\\. With --in-place "
    check "... and leaves the target as it was" identical source d/t
    check "... and nothing else" alone d/t
  done
  traced 0 "copy where nothing can be locked" -P "$temporary" -e trace=fcntl \
    -e inject=fcntl:error=ENOLCK:when=2 -E UV_THREADPOOL_SIZE=1 -- source d/t
  check "... is identical" identical source d/t
  : >"$temporary"
  traced 1 "copy where nothing can be locked and a temporary file is there" -P "$temporary" \
    -e trace=fcntl -e inject=fcntl:error=ENOLCK:when=2 -E UV_THREADPOOL_SIZE=1 -- "$uvdio" d/t
  warns "... says so" '^uvdio copy: cannot create d/\.t\.uvdio-copy: another copy to d/t is running'
  check "... and leaves it" test -e "$temporary"
  rm -f "$temporary"
  sparse s 1000000 0:4096 500000:4096
  traced 0 "copy of holes where no space can be reserved" \
    -e trace=fallocate -e inject=fallocate:error=EOPNOTSUPP -- s d/t
  check "... is identical" identical s d/t
  traced 0 "copy of holes whose reservation is interrupted" \
    -E UV_THREADPOOL_SIZE=1 -e trace=fallocate -e inject=fallocate:error=EINTR:when=1..4 -- s d/t
  check "... tries again" test "$(calls_with 'fallocate(')" -eq 6
  traced 1 "copy of holes whose reservation is interrupted for ever" \
    -e trace=fallocate -e inject=fallocate:error=EINTR -- s d/t
  warns "... ends" '^uvdio copy: cannot reserve space for d/t: .*(EINTR)'
  check "... after 64 more" test "$(calls_with 'fallocate(')" -eq 65
  traced 0 "copy of holes reserves space" -e trace=fallocate -- s d/t
  check "... for the data alone" \
    test "$(calls_with 'fallocate(.*, 0, \(0, 4096\|499712, 8192\))')" -eq 2
  check "... and nothing else" test "$(calls_with 'fallocate(')" -eq 2
  rm -f d/* s
else
  skip "system calls" "strace is not installed, or not allowed"
fi

# ------------------------------------------------------------------- numbers, and what --verify
# finds

head -c 6000001 /dev/urandom >large
rm -f t
run 0 "copy that takes its time" copy --depth 1 --block 4K large t
says "... tells how many bytes" '^copied 6000001 bytes (5\.7 MiB) in '
# shellcheck disable=SC2016 # fields of awk
check "... and the rate that comes of bytes and time" awk '
  {
    sub(/.* in /, "")
    seconds = $1
    rate = $3 * ($4 ~ /^k/ ? 1e3 : $4 ~ /^M/ ? 1e6 : $4 ~ /^G/ ? 1e9 : 1)
  }
  END { quotient = rate * seconds / 6000001; exit !(quotient > 0.97 && quotient < 1.03) }' "$out"

# stopped_at CALL COMMAND ARGUMENT...: the program with these arguments stops at its first such call
# until the command is done; d is empty at first.
stopped_at() {
  call=$1
  command=$2
  shift 2
  rm -f d/* d/.t.uvdio-copy calls process
  # shellcheck disable=SC2016 # $$ and $@ are the other shell's
  strace -f -o calls -e trace="$call" -e inject="$call:signal=SIGSTOP:when=1" \
    -E UVDIO_BACKEND=pool -E UV_THREADPOOL_SIZE=1 \
    sh -c 'echo $$ >process; exec "$@"' sh "$uvdio" "$@" >"$out" 2>"$err" &
  tracer=$!
  until grep -q 'stopped by SIGSTOP' calls 2>/dev/null || ! kill -0 $tracer 2>/dev/null; do
    sleep 0.05
  done
  sh -c "$command"
  kill -s CONT "$(cat process)" 2>/dev/null # it has ended where there was no such call
  wait $tracer
}

# disturbed WHAT BYTE: someone else writes there, so that it can't be what was copied: when all is
# written (a direct write beside a buffered one can fail), and before anything is verified.
printf X >byte
disturbed() {
  stopped_at fsync "dd if=byte of=d/.t.uvdio-copy bs=1 seek=$2 conv=notrunc,nocreat 2>/dev/null" \
    copy --verify --block 64K "$source" d/t
  check "copy --verify finds $1" test $? -eq 1
  warns "... and where" "^uvdio copy: $source and d/t differ, first at byte $2\\."
  check "... and leaves nothing" directory_empty d
}
if strace -f -o calls true 2>/dev/null; then
  source=large
  disturbed "what differs in the middle" 3000000
  disturbed "what differs in the last byte" 6000000
  disturbed "a byte too many" 6000001
  sparse s 6000000 0:4096
  source=s
  disturbed "what differs where a hole was" 3000000
  for each in 0 40000 65535; do
    stopped_at fsync "dd if=byte of=d/t bs=1 seek=$each conv=notrunc,nocreat 2>/dev/null" \
      bench --backend pool --size 64K --operation verify d/t
    check "bench finds what differs at byte $each" test $? -eq 1
    warns "... and says so" "^uvdio bench: d/t by pool: byte $each is 0x58 and should be 0x"
  done
else
  skip "what copy --verify finds" "strace is not installed, or not allowed"
fi

# changed WHAT COMMAND: someone changes the length of the source s while space is being reserved,
# after its size was asked.
changed() {
  stopped_at fallocate "$2" copy s d/t
  check "copy of a source that $1 meanwhile fails" test $? -eq 1
  warns "... and says so" '^uvdio copy: s .*meanwhile'
  check "... and leaves nothing" directory_empty d
}
if strace -f -o calls true 2>/dev/null; then
  make_file s 4194304 # whole blocks: reading them does not show what follows
  changed "grows" 'printf X >>s'
  make_file s 4194305
  changed "grows within a block" 'printf X >>s'
  make_file s 4194305
  changed "loses its last block" 'truncate -s 4194304 s'
  make_file s 4194304
  changed "loses a byte" 'truncate -s 4194303 s'
  sparse s 4194304 0:4096
  changed "loses a part of its last hole" 'truncate -s 4000000 s'
else
  skip "copy of a source that changes meanwhile" "strace is not installed, or not allowed"
fi

temporary=d/.t.uvdio-copy
# What is at the path when a copy fails need not be what the copy made.
for name in large other; do make_file $name 30000000; done
rm -f d/*
for each in "$temporary" d/t; do
  option=
  [ "$each" != d/t ] || option=--in-place
  # shellcheck disable=SC2086 # none, or one
  start_halted "test -s $each" copy $option --depth 1 --block 4K large d/t
  cp other d/u
  mv d/u "$each"
  kill -s TERM $process
  resume
  check "copy $option whose file is exchanged, at SIGTERM, ends with 143" test $? -eq 143
  check "... and leaves what is not its own" identical other "$each"
  warns "... and says so" "^uvdio copy: what is at $each now is another file, and was left as it is"
  rm -f "$each"
done
# What comes up at the target meanwhile is not replaced.
for each in new old; do
  [ $each = new ] || echo old >d/t
  start_halted "test -s $temporary" copy --depth 1 --block 4K large d/t
  cp other d/u
  mv d/u d/t
  resume
  check "copy whose $each target is exchanged fails" test $? -eq 1
  warns "... and says so" '^uvdio copy: d/t was exchanged meanwhile'
  check "... and leaves what is not its own" identical other d/t
  check "... and nothing else" alone d/t
  rm -f d/t
done
rm -f d/* large other

# ---------------------------------------------------------------------------------------------
# probe

for size in 0 10 4096 5000; do
  make_file probed $size
  run 0 "probe of a file of $size bytes" probe --json probed
  says "... tells what its first page has" \
    "\"page_result\": $((size < 4096 ? size : 4096))\(,\|\$\)"
  says "... and no temporary file" '"memory_align": 4096'
done
run 1 "probe --json of a path that is not there" probe --json missing
says "... tells of the machine all the same" '"file": null'
says "... and of the engine" '"engine": null\|"backend": "'
limited() {
  (
    # shellcheck disable=SC3045 # every shell has it
    ulimit -Sn 123
    # shellcheck disable=SC3045
    ulimit -Sf 64
    UV_THREADPOOL_SIZE=7 "$uvdio" "$@" >"$out" 2>"$err"
  )
}
# shellcheck disable=SC3045
hard=$(ulimit -Hn)
limited probe "$work/d"
check "probe under limits" test $? -eq 0
says "... tells the open files" "^  open files (RLIMIT_NOFILE)  *123 (can be raised to $hard)\$"
says "... the file size" '^  file size (RLIMIT_FSIZE)  *\(32\|64\) KiB'
says "... the threads" '^  UV_THREADPOOL_SIZE  *7$'
says "... and the alignment" \
  '^  alignment enforced  *memory 4096 bytes, offset and length 4096 bytes$'
limited probe --json "$work/d"
check "probe --json under limits" test $? -eq 0
tr '\n' ' ' <"$out" >probed
check "... tells the open files" grep -q "\"soft\": 123, *\"hard\": \(null\|$hard\)" probed
says "... and the threads" '"uv_threadpool_size": "7"'
if strace -f -o calls true 2>/dev/null; then
  make_file probed 5000
  strace -f -o calls -E UVDIO_BACKEND=pool -P "$work/probed" \
    -e trace=pread64 -e inject=pread64:error=EIO "$uvdio" probe probed >"$out" 2>"$err"
  says "probe of a file that can't be read says so" 'first page read  *.*(EIO)$'
  strace -f -o calls -e trace=uname -e inject=uname:error=EFAULT "$uvdio" probe --json probed \
    >"$out" 2>"$err"
  check "probe where the kernel does not tell its name" test $? -eq 0
  says "... says nothing of it" '^  "kernel": "",$'
fi

# -------------------------------------------------------------------------------------------
# options

# accepted OPTION VALUE COMMAND...: the next option is wrong, and that is what is told.
accepted() {
  run 2 "$3 $1 $2 and a wrong option" "$3" "$1" "$2" --depth 0 d d
  warns "... names the wrong one alone" "^uvdio $3: --depth takes"
}
refused() {
  run 2 "$3 $1 $2" "$3" "$1" "$2" --depth 0 d d
  warns "... is named" "^uvdio $3: $1 takes"
}
for value in 4096 4K 4k 4KiB 1M 1G 1073741824 1048576K 1024MiB; do
  accepted --block $value copy
done
for value in 4095 1073745920 1048580K 1025M 4KB 4iB 4Kib 4KiBx 4e3 0x1000 4.0K +4096 \
  18446744073709555712; do
  refused --block $value copy
done
for value in 0.001 1 1.5 86400; do accepted --seconds $value bench; done
for value in 0.0009 86401 -1 1s inf nan; do refused --seconds $value bench; done
run 2 "copy --depth 1 and a wrong option" copy --depth 1 --block 0 d d
warns "... names the wrong one alone" '^uvdio copy: --block takes'
run 2 "copy --depth 32768 and a wrong option" copy --depth 32768 --block 0 d d
warns "... names the wrong one alone" '^uvdio copy: --block takes'
began=$(date +%s%N)
run 0 "bench of a second" bench --size 64K --seconds 1 --operation random-read --backend pool d
check "... takes no less" test $(($(date +%s%N) - began)) -ge 1000000000

echo "1..$count"
[ "$failures" -eq 0 ]
