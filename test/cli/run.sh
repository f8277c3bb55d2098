#!/bin/sh
# SPDX-License-Identifier: MIT
# The command `uvdio` as a person meets it: exit codes, words, and files that arrive whole.
#
#   test/cli/run.sh PATH/TO/uvdio SCRATCH [simple]
#
# `simple` ends with the first that is not ok. SCRATCH is a directory on a filesystem with direct
# I/O; what is made in it is removed. Prints TAP: "ok N - what", "not ok N - what" with what the
# command said, "ok N # SKIP what: why", and the plan at the end. Exits with 1 when something was
# not ok.
set -u
# shellcheck source=test/cli/tap.sh
. "$(dirname "$0")/tap.sh"
uvdio=$program

# ----------------------------------------------------------------------------------------------
# general

run 2 "no arguments are wrong usage"
warns "... which shows the usage" '^usage: uvdio'
run 0 "--help" --help
says "... tells the subcommands" 'copy SRC DST'
run 0 "--version" --version
says "... with both versions" '^uvdio [0-9]*\.[0-9]*\.[0-9]* (libuv [0-9]'
says "... with that of libuv at the build" '^libuv  *[0-9][0-9.]*, built with [0-9]'
says "... with that of liburing" '^liburing  *\([0-9]\.[0-9]\|none$\)'
for backend in ring aio; do
  says "... with $backend, and why it is there or not" "^$backend  *\(not \)*available: ."
done
says "... with the pool" '^pool  *available: '
says "... with memory" '^memory  *available: '
"$uvdio" --version 2>"$err" | head -n 1 >"$out"
check "... whose first line can be taken alone" test ! -s "$err"
run 0 "-h" -h
says "... tells the subcommands" 'copy SRC DST'
run 0 "-V" -V
says "... tells the version" '^uvdio [0-9]*\.'
run 2 "an unknown subcommand" frobnicate
warns "... is named" "^uvdio: there is no subcommand 'frobnicate': use "
for sub in probe copy bench; do
  run 0 "$sub --help" $sub --help
  says "... begins with the usage" "^usage: uvdio $sub"
  run 2 "$sub with an unknown option" $sub --frobnicate
  warns "... names it" "^uvdio $sub: the option --frobnicate is unknown"
  warns "... and the help" "^Try .uvdio $sub --help"
  check "... and nothing else" lines_with "$err" . 2
done
if [ -w /dev/full ]; then
  $limit "$uvdio" --help >/dev/full 2>"$err"
  code=$?
  check "output that can't be written is a failure" test $code -eq 1
else
  skip "output that can't be written is a failure" "no /dev/full"
fi

# ----------------------------------------------------------------------------------------------
# probe

make_file file 10000
cp file file.before
run 0 "probe of a directory" probe d
for words in '^uvdio .*libuv .*liburing \([0-9]\.[0-9]\|none\), ' '^Machine' 'kernel  *[^ ]' \
  'processors  *[1-9][0-9]* of [1-9]' 'memory  *[0-9.]* [KMGT]iB' 'container  *[^ ]' \
  '^Backends' 'ring ' 'pool  *available' 'memory  *available' \
  'An engine takes ' 'It registers the memory of arenas: \(yes$\|no, .\)' \
  '^Path d (by a temporary file)' 'filesystem  *[a-z]' 'direct I/O  *[yn]' \
  'executed by ' 'polled completions, if asked for  *[yn]' 'alignment enforced ' \
  'alignment learnt from ' \
  'a page written and read back  *4096 bytes' 'RLIMIT_NOFILE' 'RLIMIT_MEMLOCK' 'RLIMIT_FSIZE' \
  'queue depth  *256 by default, 32768 at most' 'kernel.io_uring_disabled' 'UV_THREADPOOL_SIZE'; do
  says "... says: $words" "$words"
done
check "... leaves nothing behind" directory_empty d
run 0 "probe of a file" probe file
says "... reads its first page" 'first page read  *4096 bytes'
check "... and leaves it as it was" identical file file.before
run 0 "probe --json" probe --json d
for key in uvdio libuv libuv_built liburing system kernel machine host distribution \
  kernel_version processors processors_online memory container cgroup user_namespace seccomp \
  ipc_lock registers registers_reason mount_point \
  device device_number mount_options nproc cgroup_tasks aio_nr aio_max_nr \
  backends name available reason engine backend path \
  file filesystem direct memory_align offset_align system_memory_align system_offset_align \
  system_read_align recommended_align align_source optimal_size atomic_min atomic_max \
  physical_block request_max polled polled_reason limits \
  nofile memlock fsize soft hard \
  depth_default depth_max io_uring_disabled uv_threadpool_size; do
  says "... has the key $key" "\"$key\":"
done
number() { sed -n "s/^ *\"$1\": \([0-9]*\),\{0,1\}\$/\1/p" "$out"; }
required=$(number system_offset_align)
of_reads=$(number system_read_align)
recommended=$(number recommended_align)
run 0 "probe of a directory, once more" probe d
check "... tells what reads alone require where that is less" \
  lines_with "$out" "\.\.\. of reads alone  *offset and length $of_reads bytes" \
  $((of_reads < required))
check "... and what is recommended where that is more" \
  lines_with "$out" "alignment recommended  *offset and length of writes $recommended bytes" \
  $((recommended > required))
run 1 "probe of a path that is not there" probe missing
warns "... says what, why and what to do" \
  '^uvdio probe: cannot open missing: .*(ENOENT)\. Check the path\.$'
says "... and still tells about the machine" '^Backends'
run 2 "probe without a path" probe
warns "... says what it takes" '^uvdio probe: it takes one PATH, a file or a directory\.$'
mkfifo pipe
run 1 "probe of a pipe does not wait for it" probe pipe
warns "... and is refused" '^uvdio probe: cannot probe pipe: it is neither a file nor a directory'
run 2 "probe --measure without a file" probe --measure
run 2 "probe --measure and a path" probe --measure d/model d
warns "... is one too many" '^uvdio probe: --measure takes a FILE and no more\.$'
run 2 "probe --measure --json" probe --measure d/model --json
run 1 "probe --measure in a folder that is not there" probe --measure missing/model
warns "... names it" '^uvdio probe: cannot create missing/'
UVDIO_BACKEND=memory && export UVDIO_BACKEND
run 1 "probe --measure with UVDIO_BACKEND=memory" probe --measure d/model
unset UVDIO_BACKEND
warns "... says why" '^uvdio probe: files in memory are on no device'
check "... and writes none" directory_empty d
UVDIO_BACKEND=pool && export UVDIO_BACKEND
run 0 "probe with UVDIO_BACKEND=pool" probe d
unset UVDIO_BACKEND
says "... takes the pool" 'An engine takes pool'
UVDIO_BACKEND=frobnicate && export UVDIO_BACKEND
run 1 "probe with a wrong UVDIO_BACKEND" probe d
unset UVDIO_BACKEND
warns "... names it" '^uvdio probe: the backend of the environment, UVDIO_BACKEND=frobnicate, is'
check "... and tells of no engine and no file" lines_with "$out" 'An engine takes\|^Path' 0
UVDIO_BACKEND=memory && export UVDIO_BACKEND
run 0 "probe with UVDIO_BACKEND=memory" probe d
unset UVDIO_BACKEND

"$uvdio" probe d >"$out" 2>"$err"
ring_absent=$(sed -n 's/^  ring  *not available  *//p' "$out")
filesystem=$(sed -n 's/^  filesystem  *//p' "$out")
check "probe tells the filesystem" test -n "$filesystem"
[ -n "$ring_absent" ] && echo "SKIP: ring: $ring_absent"
# What the command says of itself decides what is skipped, so the kernel is asked as well.
capability=$(dirname "$uvdio")/test/capability
if [ -n "$ring_absent" ] && [ -x "$capability" ]; then
  "$capability" ring
  check "a ring that the command has not is not the kernel's either" test $? -eq 1
fi

setting=$(cat /proc/sys/kernel/io_uring_disabled 2>/dev/null)
run 0 "probe tells the kernel's setting" probe d
says "... as text" "^  kernel\.io_uring_disabled  *${setting:-not there}"
run 0 "probe --json tells the kernel's setting" probe --json d
says "... as a number" "^ *\"io_uring_disabled\": ${setting:-null},"
if [ -n "$setting" ] && [ "$(id -u)" -eq 0 ] && unshare -m true 2>/dev/null; then
  # shellcheck disable=SC2016 # $1 is the other shell's
  probe_setting='mount --bind setting /proc/sys/kernel/io_uring_disabled &&
    "$1" probe d && "$1" probe --json d'
  for each in '0 (everybody may use io_uring)' \
    '1 (only privileged programs, or kernel.io_uring_group)' '2 (nobody may use io_uring)' 3; do
    echo "${each%% *}" >setting
    unshare -m --propagation private sh -c "$probe_setting" sh "$uvdio" >"$out" 2>"$err" </dev/null
    check "probe where kernel.io_uring_disabled is ${each%% *}" test $? -eq 0
    says "... says what that means" "^  kernel\.io_uring_disabled  *$each\$"
    says "... and the number as JSON" "^ *\"io_uring_disabled\": ${each%% *},"
  done
else
  skip "probe where kernel.io_uring_disabled is another" \
    "the kernel has no such setting, or mounting needs root"
fi

if [ "$(uname -s)" = Linux ]; then
  run 0 "probe tells what Linux knows of itself" probe d
  says "... of a filter" "^  seccomp  *\(no filter\|strict\|a filter decides on system calls\)\$"
  says "... of the user namespace" '^  user namespace  *\(not the \)*initial'
  says "... of locked memory" '^  CAP_IPC_LOCK  *\(yes\|no\|in this\)'
  says "... of the mount" '^  mount point  */'
  says "... of the device" '^  device  *[^ ].* ([0-9]*:[0-9]*)$'
fi
if [ -e /etc/os-release ] && [ -e /proc/sys/fs/aio-nr ] && [ "$(id -u)" -eq 0 ] &&
  unshare -m true 2>/dev/null; then
  # shellcheck disable=SC2016 # $1 is the other shell's
  probe_elsewhere='mount --bind release /etc/os-release && mount --bind taken /proc/sys/fs/aio-nr &&
    mount --bind most /proc/sys/fs/aio-max-nr &&
    mount -t tmpfs -o noatime,size=1m uvdio-source m && "$1" probe m && "$1" probe --json m &&
    mount -t tmpfs -o size=1m none "m n\o" && "$1" probe "m n\o"'
  mkdir m 'm n\o'
  echo 17 >taken
  echo 4711 >most
  number=0
  for line in "PRETTY_NAME=\"Bob's Linux 1\"" 'PRETTY_NAME=Plain' "PRETTY_NAME='Other 2'"; do
    number=$((number + 1))
    printf 'PRETTY_NAMES=no\n%s\nNAME=no\n' "$line" >release
    unshare -m --propagation private sh -c "$probe_elsewhere" sh "$uvdio" \
      >"$out" 2>"$err" </dev/null
    check "probe on distribution $number" test $? -eq 0
    name=$(echo "$line" | sed "s/^PRETTY_NAME=//; s/^[\"']//; s/[\"']\$//")
    says "... names it" "^  distribution  *$name\$"
    says "... names it as JSON" "^ *\"distribution\": \"$name\","
  done
  says "... tells the requests of kernel AIO" \
    '^  fs.aio-nr, fs.aio-max-nr  *17 of 4711 requests of kernel AIO are taken$'
  says "... as JSON" '^ *"aio_max_nr": 4711,'
  says "... tells the mount point" "^  mount point  *$(pwd -P)/m\$"
  says "... one with a blank and a backslash" "^  mount point  *$(pwd -P)/m n\\\\o\$"
  says "... its device" '^  device  *uvdio-source ([0-9]*:[0-9]*)$'
  says "... and its options" '^  mount options  *rw,noatime; rw,size=1024k'
else
  skip "probe on another distribution" \
    "/etc/os-release or kernel AIO is missing, or mounting needs root"
fi

# shellcheck disable=SC3045 # every shell has them
limited() {
  (
    ulimit -Sn 100 && ulimit -Hn 200 || exit 1
    ulimit -Sl 64 && ulimit -Hl 128 || exit 1
    ulimit -Sf 2048 && ulimit -Hf "$1" || exit 1
    shift
    "$uvdio" "$@" >"$out" 2>"$err" </dev/null
  )
}
# Blocks of 512 bytes in some shells, of 1024 in others.
limited 4096 probe d
check "probe under limits of which each is below another one" test $? -eq 0
says "... tells both of open files" '^  open files (RLIMIT_NOFILE)  *100 (can be raised to 200)$'
says "... and both of locked memory" \
  '^  locked memory (RLIMIT_MEMLOCK)  *64 KiB (can be raised to 128 KiB)$'
size='\(1 MiB (can be raised to 2 MiB)\|2 MiB (can be raised to 4 MiB)\)'
says "... and both of the file size" "^  file size (RLIMIT_FSIZE)  *$size\$"
limited 4096 probe --json d
tr -d ' \n' <"$out" >probed
check "... as JSON the open files" grep -q '"nofile":{"soft":100,"hard":200}' probed
check "... the locked memory in bytes" grep -q '"memlock":{"soft":65536,"hard":131072}' probed
check "... and the file size in bytes" \
  grep -q '"fsize":{"soft":1048576,"hard":2097152}\|"fsize":{"soft":2097152,"hard":4194304}' probed
limited 2048 probe d
check "probe under a limit that can't be raised" test $? -eq 0
says "... tells it alone" '^  file size (RLIMIT_FSIZE)  *[12] MiB$'
# shellcheck disable=SC3045
if [ "$(ulimit -Hf)" = unlimited ]; then
  limited unlimited probe d
  check "probe under a limit that can be raised at will" test $? -eq 0
  says "... says so" '^  file size (RLIMIT_FSIZE)  *[12] MiB (can be raised to unlimited)$'
  limited unlimited probe --json d
  tr -d ' \n' <"$out" >probed
  check "... and tells no number as JSON" grep -q '"fsize":{"soft":[0-9]*,"hard":null}' probed
else
  skip "probe under a limit that can be raised at will" "there is a limit on file size here"
fi

# ----------------------------------------------------------------------------------------------
# copy

for size in 0 1 511 512 4095 4096 4097 1048575 5243003; do
  make_file "source.$size" $size
done
for backend in ring aio pool auto; do
  for size in 0 1 511 512 4095 4096 4097 1048575 5243003; do
    if [ $backend = ring ] && [ -n "$ring_absent" ]; then
      skip "copy of $size bytes by ring" "$ring_absent"
      continue
    fi
    rm -f target
    run 0 "copy of $size bytes by $backend" copy --backend $backend --verify "source.$size" target
    check "... is identical" identical "source.$size" target
    says "... and the last line tells about it" "^copied $size bytes .*verified in"
    rm -f target
    run 0 "copy of $size bytes by $backend in blocks of 4K" \
      copy --backend $backend --block 4K --depth 5 "source.$size" target
    check "... is identical" identical "source.$size" target
  done
done

run 0 "copy without --verify" copy source.4097 target
says "... says so" 'not verified$'
check "... is identical" identical source.4097 target
run 0 "copy over a longer file" copy source.511 target
check "... is identical" identical source.511 target
run 0 "copy with more depth than blocks, and options last" \
  copy source.5243003 target --depth 32768 --block 64K
check "... is identical" identical source.5243003 target
run 0 "copy into a directory" copy source.4097 d
check "... takes the source's name" identical source.4097 d/source.4097
run 0 "copy into a directory with a slash, from elsewhere" copy ./source.512 d/
check "... takes the source's last name" identical source.512 d/source.512
rm -f d/*
make_file "name with  spaces" 5000
run 0 "copy of a name with spaces" copy -- "name with  spaces" "d/-x y"
check "... is identical" identical "name with  spaces" "d/-x y"
rm -f d/*
chmod 640 source.4097
run 0 "copy takes the permissions" copy source.4097 d/new
check "... which were rw-r-----" sh -c 'ls -l d/new | grep -q "^-rw-r-----"'
rm -f d/*
same_time() { [ -z "$(find "$1" -newer "$2")$(find "$2" -newer "$1")" ]; }
cp source.512 moded
touch -t 200102030405 moded
for each in 604:-rw----r-- 666:-rw-r--r-- 757:-rwxr-xr-x; do
  chmod ${each%%:*} moded
  run 0 "copy of a file of mode ${each%%:*}" copy moded d/new
  check "... makes one of that mode, less the umask" sh -c "ls -l d/new | grep -q '^${each#*:}'"
  rm -f d/*
done
chmod 666 moded
run 0 "copy -p" copy -p moded d/new
check "... keeps the mode, whatever the umask" sh -c "ls -l d/new | grep -q '^-rw-rw-rw-'"
check "... and the time" same_time d/new moded
check "... and is identical" identical moded d/new
rm -f d/* moded
make_file sized 103000
run 0 "copy of 100.6 KiB" copy sized d/new
says "... rounds from 100 on" '^copied 103000 bytes (101 KiB) in '
run 0 "copy of 4097 bytes" copy source.4097 d/new
says "... rounds to a tenth below" '^copied 4097 bytes (4\.0 KiB) in '
dd if=/dev/zero of=sized bs=4096 count=256 2>/dev/null
cat source.4096 >>sized
run 0 "copy --sparse=always of zeros" copy --sparse=always sized d/new
check "... is identical" identical sized d/new
figures='1052672 bytes (1\.0 MiB): data 4096 bytes (4 KiB), holes 1048576 bytes (1 MiB)'
says "... tells the bytes and the holes" "^copied $figures, in "
# Holes are the source's and nobody else's: here, none is asked for, and standard input is one hole.
dd if=/dev/zero of=hole bs=1 count=0 seek=1052672 2>/dev/null
"$uvdio" copy --sparse=never sized d/new >"$out" 2>"$err" <hole
check "copy --sparse=never from beside a file with holes" test $? -eq 0
check "... is identical" identical sized d/new
rm -f d/* sized hole
chmod 444 source.512
run 0 "copy of a file without permission to write" copy source.512 d/new
check "... is identical" identical source.512 d/new
rm -f d/*
dd if=/dev/zero of=sparse bs=1 count=0 seek=33554433 2>/dev/null
run 0 "copy of a file that is one hole" copy --verify sparse target
check "... is identical" identical sparse target
run 0 "copy --metrics" copy --metrics source.4097 target
says "... says where the time went" '^write, class 0: [1-9][0-9]* requests$'
says "... by stage" '^    wait  *[0-9.]*  '
check "... and copies" identical source.4097 target
rm -f target
for at in 0 1000 300000 33550000; do # data at the begin, within blocks, and at the end
  dd if=source.4097 of=sparse bs=1 seek=$at conv=notrunc 2>/dev/null
done
for block in 4K 64K 1M; do
  run 0 "copy of a file with holes in blocks of $block" copy --verify --block $block sparse target
  check "... is identical" identical sparse target
done
if strace -f -o reads -e trace=pread64 "$uvdio" copy --backend pool --block 4K sparse target \
  >"$out" 2>"$err"; then
  check "... and its holes are not read" test "$(grep -c pread64 reads)" -lt 400
else
  skip "... and its holes are not read" "strace is not installed, or not allowed"
fi
# The sync of the target's directory is interrupted: a few times, and always.
mkdir -p named
interrupting="strace -f -P $PWD/named -e trace=fsync -o syncs -e inject=fsync:error=EINTR"
if $interrupting:when=1..3 "$uvdio" copy source.4097 named/target >"$out" 2>"$err" &&
  [ "$(grep -c EINTR syncs)" -eq 3 ]; then
  ok "copy into a directory whose sync is interrupted"
  timeout 60 $interrupting "$uvdio" copy source.4097 named/target >"$out" 2>"$err"
  check "copy into a directory whose sync is always interrupted ends" test $? -eq 1
  warns "... and says so" '^uvdio copy: named/target is complete, but after a power cut '
elif strace -o syncs true 2>/dev/null; then
  not_ok "copy into a directory whose sync is interrupted" "$(cat "$err")"
else
  skip "copy into a directory whose sync is interrupted" "strace is not installed, or not allowed"
fi
make_file full 33554433
cp full target
run 0 "copy of a file with holes over one without" copy sparse target
check "... is identical" identical sparse target

cp source.4097 same
ln same hard
ln -s same soft
mkdir e && ln same e/same
for other in same ./same hard soft e; do
  run 1 "copy of a file to itself, as $other" copy same $other
  warns "... is refused" "^uvdio copy: same and $other\(/same\)\{0,1\} are the same file"
  check "... and nothing is lost" identical same source.4097
done

run 1 "copy of a missing file" copy missing d/target
warns "... says what, why and what to do" \
  '^uvdio copy: cannot open missing: .*(ENOENT)\. Check the path\.$'
check "... makes no target" absent d/target
run 1 "copy of a directory" copy d target2
warns "... says what, why and what to do" '^uvdio copy: cannot open d: .*(EISDIR)\. Name a file'
run 1 "copy into a missing directory" copy source.1 missing/target
warns "... says what, why and what to do" \
  '^uvdio copy: cannot create missing/target: .*(ENOENT)\. Check the path\.$'
check "... and nothing of a target, as there is none" lines_with "$err" . 1
run 1 "copy of a pipe does not wait for it" copy pipe d/target
warns "... is refused" '^uvdio copy: cannot copy pipe: it is not a regular file'
run 1 "copy of a device" copy /dev/null d/target
warns "... is refused" '^uvdio copy: cannot copy /dev/null: it is not a regular file'
run 1 "copy onto a pipe" copy source.1 pipe
warns "... is refused" '^uvdio copy: cannot overwrite pipe: it is not a regular file'
ln -s nothing dangling
run 1 "copy through a symbolic link to nothing" copy source.1 dangling
warns "... is refused" '^uvdio copy: cannot write dangling: it is a symbolic link to nothing'
mkdir d/source.1
for directory in d d/; do
  run 1 "copy into $directory that has a directory of that name" copy ./source.1 $directory
  warns "... is refused" '^uvdio copy: cannot overwrite d/source.1: .*(EISDIR)'
done
rmdir d/source.1
if [ -r /proc/cpuinfo ]; then
  run 1 "copy of a file of /proc, whose size is a lie" copy /proc/cpuinfo d/target
  check "... leaves no target" absent d/target
else
  skip "copy of a file of /proc, whose size is a lie" "no /proc/cpuinfo"
fi
if [ "$(id -u)" -eq 0 ]; then
  skip "copy of a file without permission to read" "root may read everything"
  skip "copy into a directory without permission to write" "root may write everywhere"
else
  make_file unreadable 100
  chmod 0 unreadable
  run 1 "copy of a file without permission to read" copy unreadable d/target
  warns "... says what, why and what to do" \
    '^uvdio copy: cannot open unreadable: .*(EACCES)\. Check the permissions'
  mkdir locked
  chmod 555 locked
  run 1 "copy into a directory without permission to write" copy source.1 locked/target
  warns "... says what, why and what to do" \
    '^uvdio copy: cannot create locked/target: .*(EACCES)\. Check the permissions'
fi

run 2 "copy with one path" copy source.1
warns "... says what it takes" '^uvdio copy: it takes two paths, SRC and DST\.$'
run 2 "copy with three paths" copy source.1 target target
warns "... says what it takes" '^uvdio copy: it takes two paths, SRC and DST\.$'
for wrong in "--depth 0" "--depth 32769" "--depth x" "--depth -1" "--block 1000" "--block 0" \
  "--block 4X" "--block 2G" \
  "--backend memory" "--backend frobnicate" "--sparse x"; do
  # shellcheck disable=SC2086 # two words
  run 2 "copy $wrong" copy $wrong source.1 d/target
  warns "... is named" "^uvdio copy: ${wrong%% *} "
done
check "... and no target was made" absent d/target
run 2 "copy with an option that lacks its value" copy source.1 d/target --depth
warns "... is named" '^uvdio copy: the option --depth needs a value'
run 0 "copy --block with a plain number of bytes" copy --block 8192 source.4097 d/target
check "... is identical" identical source.4097 d/target
rm -f d/target
UVDIO_BACKEND=frobnicate && export UVDIO_BACKEND
run 1 "copy with a wrong UVDIO_BACKEND" copy source.1 d/target
warns "... names it" '^uvdio copy: the backend of the environment, UVDIO_BACKEND=frobnicate, is'
run 0 "bench of a named backend with a wrong UVDIO_BACKEND" \
  bench --size 64K --seconds 0.01 --backend pool d
check "... does not tell what an engine takes" lines_with "$out" 'An engine takes' 0
unset UVDIO_BACKEND
check "... and nothing is left behind" directory_empty d
UVDIO_BACKEND=memory && export UVDIO_BACKEND
run 1 "copy with UVDIO_BACKEND=memory" copy source.1 d/target
unset UVDIO_BACKEND
warns "... is refused" '^uvdio copy: the backend memory keeps files in RAM'
check "... and no target was made" absent d/target

run 0 "copy --progress" copy --progress source.5243003 target

"$uvdio" copy source.5243003 target >&- 2>"$err" </dev/null
check "copy without a standard output fails" test $? -eq 1
warns "... and says why" '^uvdio: cannot write to standard output: '
check "... but is complete" identical source.5243003 target
rm -f target
"$uvdio" copy source.5243003 target >"$out" 2>&- </dev/null
check "copy without a standard error works" test $? -eq 0
check "... and is identical" identical source.5243003 target
"$uvdio" copy missing target <&- >&- 2>&-
check "copy without any of them fails as it should" test $? -eq 1
check "... and has changed nothing" identical source.5243003 target

# A limit on file size stands for a full disk.
run_limited() {
  (
    ulimit -f 64
    $limit "$uvdio" copy "$@" >"$out" 2>"$err" </dev/null
  )
}
run_limited source.5243003 d/target
check "copy past the limit on file size fails" test $? -eq 1
warns "... and says what to do" \
  '^uvdio copy: cannot [a-z ]* d/target: .*(EFBIG)\. Raise the limit on file size'
warns "... and what became of the target" '^uvdio copy: d/target was not created\.$'
check "... and nothing is left" directory_empty d
run_limited --in-place source.5243003 d/target
check "copy --in-place past the limit fails" test $? -eq 1
warns "... and says what became of the target" \
  '^uvdio copy: d/target was incomplete and has been removed'
check "... and nothing is left" directory_empty d
cp source.4097 d/target
run_limited source.5243003 d/target
check "copy over a file, past the limit, fails" test $? -eq 1
warns "... and says what became of the target" '^uvdio copy: d/target was not changed\.$'
check "... which is as it was" identical source.4097 d/target
check "... and nothing else is left" alone d/target
run_limited --in-place source.5243003 d/target
check "copy --in-place over a file, past the limit, fails" test $? -eq 1
warns "... and says what became of the target" '^uvdio copy: d/target is incomplete'
check "... which stays" test -e d/target
dd if=/dev/zero of=scattered bs=1 count=0 seek=1000000 2>/dev/null
cat source.4096 >>scattered
run_limited scattered d/new
check "copy of data behind a hole, past the limit, fails" test $? -eq 1
warns "... before anything is written" '^uvdio copy: cannot reserve space for d/new: .*(EFBIG)'
check "... and leaves no target" absent d/new
if [ -w /dev/full ]; then
  cp source.4096 d/target
  (
    ulimit -f 64
    $limit "$uvdio" copy --in-place --sparse=always --depth 1 --block 4K source.5243003 d/target \
      >"$out" 2>/dev/full </dev/null
  )
  check "copy --in-place over a file, past the limit, that can't say so fails" test $? -eq 1
  check "... and has emptied the target, to make room" is_size d/target 0
else
  skip "copy --in-place over a file, past the limit, that can't say so" "no /dev/full"
fi
rm -f scattered
rm -f d/*

temporary=d/.target.uvdio-copy
# What has the name of a temporary file, and is none, is left alone.
mkdir $temporary
run 1 "copy where a directory has the temporary file's name" copy source.512 d/target
warns "... says so" '^uvdio copy: cannot create d/\.target\.uvdio-copy: '
rmdir $temporary
cp source.512 $temporary
run 1 "copy of a file that has the temporary file's name" copy $temporary d/target
warns "... is refused" '^uvdio copy: d/\.target\.uvdio-copy has the name of the temporary file'
check "... and leaves it" identical source.512 $temporary
ln $temporary d/other
run 1 "copy where the temporary file has another link" copy source.512 d/target
check "... leaves it" identical source.512 $temporary
rm -f d/other
rm $temporary
ln -s other $temporary
run 1 "copy where the temporary file is a symbolic link" copy source.512 d/target
check "... does not follow it" test ! -e d/other
rm $temporary
check "... and nothing is left" directory_empty d

# Links to the target.
cp source.4097 d/file
ln d/file d/hard
ln -s file d/soft
run 0 "copy to a symbolic link" copy source.512 d/soft
check "... leaves the link" test -h d/soft
check "... and replaces what it leads to" identical source.512 d/file
check "... but not its other hard links" identical source.4097 d/hard
mkdir e/e
ln -s ../../d/hard e/e/far
run 0 "copy to a symbolic link to another directory" copy source.1 e/e/far
check "... leaves the link" test -h e/e/far
check "... and replaces the file there" identical source.1 d/hard
rm -f d/hard
ln d/file d/hard
run 0 "copy --in-place to a symbolic link" copy --in-place source.511 d/soft
check "... leaves the link" test -h d/soft
check "... and writes to the file with both its links" identical source.511 d/hard
check "... as it does by its name" identical source.511 d/file
rm -rf e/e
rm -f d/*
long=$(printf '%0255d' 0)
run 0 "copy to a name of 255 bytes" copy source.512 "d/$long"
check "... is identical" identical source.512 "d/$long"
run 1 "copy to a new name that ends with a slash" copy source.512 d/new/
warns "... is refused" '^uvdio copy: cannot create d/new/: .*(EISDIR)'
rm -f d/*

# A filesystem that refuses direct I/O, at either end, in a mount namespace of its own.
if [ "$(id -u)" -eq 0 ] && unshare -m true 2>/dev/null; then
  mkdir ram
  make_file refused 1000001
  # shellcheck disable=SC2016 # $1 is the other shell's
  run_on_ramfs='mount -t ramfs ramfs ram && "$1" copy --verify refused ram/there &&
    "$1" copy --verify ram/there back && cmp refused back'
  unshare -m --propagation private sh -c "$run_on_ramfs" sh "$uvdio" >"$out" 2>"$err" </dev/null
  check "copy to and from a filesystem without direct I/O" test $? -eq 0
  says "... says so of the target" 'SRC direct, DST buffered: ramfs refuses direct I/O'
  says "... and of the source" 'DST direct, SRC buffered: ramfs refuses direct I/O'
  # shellcheck disable=SC2016
  bench_on_ramfs='mount -t ramfs ramfs ram && "$1" probe ram && "$1" probe --json ram &&
    "$1" bench --size 64K --seconds 0.01 ram'
  unshare -m --propagation private sh -c "$bench_on_ramfs" sh "$uvdio" >"$out" 2>"$err" </dev/null
  check "probe and bench of a filesystem without direct I/O" test $? -eq 0
  executed=$(sed -n '/^  "file": {/,/}/s/^ *"backend": "\(.*\)",$/\1/p' "$out")
  reason=$(sed -n '/^  "file": {/,/}/s/^ *"reason": "\(.*\)",$/\1/p' "$out")
  says "... probe tells who executes it, and why" "^  executed by  *$executed${reason:+: $reason}\$"
  says "... and that it is buffered" '^  direct I/O  *no: the filesystem refuses it'
  if [ -n "$ring_absent" ] || [ "$executed" = ring ]; then
    skip "... bench tells that it is not the ring, and why" "${ring_absent:-it is the ring}"
  else
    says "... bench tells that it is not the ring, and why" \
      "^ring: this file's reads and writes are executed by $executed: $reason\$"
    check "... and does not compare it with itself" lines_with "$out" '^Random reads at depth' 0
  fi
  says "... and that it is buffered" ' on ramfs, buffered: it refuses direct I/O, 64 KiB, '
  rm -f refused back
  rmdir ram
else
  skip "copy to and from a filesystem without direct I/O" "mounting needs root"
fi

# ----------------------------------------------------------------------------------------------
# bench

backends=4
[ -n "$ring_absent" ] && backends=3
run 0 "bench --json" bench --json --size 1M --seconds 0.05 d
check "... has three rows for each backend" lines_with "$out" '"backend":' $((3 * backends))
check "... and no metrics" lines_with "$out" '"metrics"' 0
for key in backend operation block_size depth iops bytes_per_s p50_us p99_us cpu_us_per_op; do
  check "... each with the key $key" lines_with "$out" "^ *\"$key\": " $((3 * backends))
done
check "... and no others" lines_with "$out" '": ' $((9 * 3 * backends))
check "... and nothing of progress where nobody watches" test ! -s "$err"
check "... and plain numbers" \
  lines_with "$out" '_us[a-z_]*": [0-9]*\.[0-9]*,\{0,1\}$' $((3 * 2 * backends + 3 * backends))
check "... none of which is zero operations per second" lines_with "$out" '"iops": 0\.0' 0
for operation in write verify random-read; do
  check "... and a row of $operation for each" \
    lines_with "$out" "\"operation\": \"$operation\"" $backends
done
says "... at depth 32" '"depth": 32,'
says "... with blocks of 4096" '"block_size": 4096,'
sane_rows() {
  awk -F '[:,]' '
    /"block_size"/ { block = $2 }
    /"iops"/ { iops = $2 }
    /"bytes_per_s"/ { bytes = $2 }
    /"p50_us"/ { p50 = $2 }
    /"p99_us"/ {
      rows++
      if (p50 <= 0 || p50 > $2 || bytes < 0.99 * iops * block || bytes > 1.01 * iops * block)
        wrong++
    }
    END { exit rows == 0 || wrong > 0 }' "$out"
}
check "... and numbers that fit each other" sane_rows
check "... and nothing is left behind" directory_empty d
run 0 "bench as a table" bench --size 1M --seconds 0.05 d
check "... and nothing of progress where nobody watches" test ! -s "$err"
says "... says where" "d/.uvdio-bench-.* on $filesystem, .*, 1 MiB, "
says "... and on which system" ", 1 MiB, $(uname -s) $(uname -r)\$"
says "... has headings" \
  '^backend  *operation  *block  *depth  *ops/s  *throughput  *p50  *p99  *CPU/op$'
for operation in write verify random-read; do
  check "... and a row of $operation for each backend" \
    lines_with "$out" "^\(ring\|aio\|pool\|memory\)  *$operation  *4 KiB  *32  " $backends
done
number='[0-9][0-9.]*'
seconds="$number [nmµ]*s" # "µ" is two bytes here
rates="$number [kM]\{0,1\}  *$number [kMG]B/s"
says "... and a cell for each, with units" \
  "^pool  *random-read  *4 KiB  *32  *$rates  *$seconds  *$seconds  *$seconds\$"
says "... and says what an engine takes" '^An engine takes .* here: '
if [ -n "$ring_absent" ]; then
  says "... and that ring is not available" '^ring is not available: '
  skip "... and compares ring with pool" "$ring_absent"
else
  says "... and compares ring with pool" '^Random reads at depth 32: ring does '
  says "... and aio" '^Random reads at depth 32: aio does '
  # shellcheck disable=SC2016 # fields of awk
  check "... by the figures of the table" awk '
    function near(told, of, by) { return told - of / by < 0.006 + 0.03 * of / by &&
                                         of / by - told < 0.006 + 0.03 * of / by }
    $2 == "random-read" {
      operations[$1] = $6 * ($7 == "k" ? 1000 : $7 == "M" ? 1000000 : 1)
      cpu[$1] = $(NF - 1) * ($NF == "ms" ? 1000 : 1)
    }
    /^Random reads at depth 32: / {
      right += near($8, operations[$6], operations["pool"]) && near($15, cpu[$6], cpu["pool"])
      compared++
    }
    END { exit compared != 2 || right != 2 }' "$out"
fi
run 0 "bench --metrics" bench --size 64K --seconds 0.01 --backend pool --metrics d
for operation in write verify random-read; do
  says "... of each row, $operation" "^pool, $operation, depth 32\$"
done
says "... by stage" '^    backend  *[0-9.]*  *[0-9.]*  *[0-9.]*  *[0-9.]*  *[0-9.]*  *[0-9.]*$'
says "... with as many requests as there were" '^write, class 0: 16 requests$'
run 0 "bench --metrics --json" \
  bench --size 64K --operation write --backend pool --metrics --json d
says "... has them in the row" '"requests": 16,'
says "... and the stages" '"callback": {'
run 0 "bench of one operation of one backend" \
  bench --size 1M --seconds 0.05 --operation random-read --backend pool --json d
check "... has one row" lines_with "$out" '"backend": "pool"' 1
run 0 "bench of reads only verifies what was there" \
  bench --size 1M --operation verify --backend pool --json d
for operation in write verify random-read; do
  run 0 "bench of $operation alone" \
    bench --size 64K --seconds 0.01 --operation $operation --backend pool --json d
  check "... has one row" lines_with "$out" '"operation":' 1
  says "... which is that" "\"operation\": \"$operation\","
done
run 0 "bench with several depths" bench --size 1M --seconds 0.05 --operation random-read,write \
  --backend pool,memory --depth 1,4 --json d
check "... has a row for each" lines_with "$out" '"backend":' 8
check "... half of them at depth 4" lines_with "$out" '"depth": 4,' 4
run 0 "bench with blocks that don't divide the size" \
  bench --size 100K --block 64K --seconds 0.05 --seed 7 --json d
run 0 "bench --polled" bench --size 64K --seconds 0.01 --polled --backend pool d
says "... says where completions are not" '^pool: completions are not polled: '
run 0 "bench on a new path" bench --size 64K --seconds 0.01 d/new
check "... which is gone afterwards" directory_empty d
cp source.4097 d/mine
run 1 "bench on a file that exists" bench --size 64K --seconds 0.01 d/mine
warns "... is refused" '^uvdio bench: d/mine exists'
check "... and leaves it alone" identical source.4097 d/mine
rm -f d/*
(cd d && $limit "$uvdio" bench --size 64K --seconds 0.01 --backend pool --json) >"$out" 2>"$err"
check "bench in the current directory" test $? -eq 0
check "... leaves nothing behind" directory_empty d
run 1 "bench in a directory that is not there" bench --size 64K missing/d
warns "... says what, why and what to do" \
  '^uvdio bench: cannot create missing/d: .*(ENOENT)\. Check the path\.$'
(
  ulimit -f 64
  $limit "$uvdio" bench --size 1M --backend pool d
) >"$out" 2>"$err"
check "bench past the limit on file size fails" test $? -eq 1
warns "... and says what, why and what to do" \
  '^uvdio bench: cannot write d/\.uvdio-bench-.*: .*(EFBIG)\. Raise the limit'
check "... and leaves nothing behind" directory_empty d
run 2 "bench with two paths" bench d e
warns "... says what it takes" '^uvdio bench: it takes one PATH at most\.$'
run 2 "bench with an option of uvdio-bench" bench --compare d
for wrong in "--size 0" "--size 1000" "--block 1" "--depth 0" "--depth 1,x" "--depth 1," \
  "--seconds 0" "--seconds x" "--backend auto" "--backend frobnicate" "--operation frobnicate" \
  "--seed x" "--block 128M"; do
  # shellcheck disable=SC2086 # two words
  run 2 "bench $wrong" bench $wrong d
  warns "... is named" "^uvdio bench: ${wrong%% *} "
done
if [ -n "$ring_absent" ]; then
  run 1 "bench of a ring that is not available" bench --backend ring d
  warns "... says why" '^uvdio bench: the backend ring is not available here: '
fi
run_until $interrupt 'find d -type f -size +1023k | grep -q .' \
  bench --size 4M --seconds 60 --backend pool d
check "bench at SIG$interrupt ends with $ended" test $got -eq $ended
warns "... says so" '^uvdio bench: interrupted by signal'
check "... and leaves nothing behind" directory_empty d

# ----------------------------------------------------------------------------------------------
# what takes long: a defect that the rest shows is found without it

run 1 "probe --measure where there is a folder" probe --measure d
warns "... names it" '^uvdio probe: cannot write d: '
run 0 "probe --measure" probe --measure d/model
for key in depth bytes_in_flight read_operations write_operations read_bytes write_bytes; do
  check "... the model has $key" grep -q "^$key [1-9][0-9]*\$" d/model
done
rm -f d/model
check "... and nothing else is left" directory_empty d
run 0 "copy --progress of something larger" copy --progress --block 4K --depth 1 full target
warns "... shows how far it is" 'copying \[[#-]*\]  *[0-9]*%  .* of .*B/s  .* s left'
run 0 "copy where stderr is no terminal" copy --block 4K --depth 1 full target
check "... shows no progress" lines_with "$err" . 0

# Small blocks: long enough under way to be halted in the middle.
make_file large 67108864
hangup=HUP:129
[ -z "$(sh -c 'kill -s HUP $$; echo ignored')" ] || hangup=
for each in $interrupt:$ended TERM:143 $hangup; do
  run_until ${each%:*} "test -s $temporary" copy --depth 4 --block 4K large d/target
  check "copy at SIG${each%:*} ends with ${each#*:}" test $got -eq ${each#*:}
  warns "... says so" '^uvdio copy: interrupted by signal'
  check "... and nothing is left" directory_empty d
  run_until ${each%:*} 'test -s d/target' copy --in-place --depth 4 --block 4K large d/target
  check "copy --in-place at SIG${each%:*} ends with ${each#*:}" test $got -eq ${each#*:}
  warns "... says so" '^uvdio copy: interrupted by signal'
  check "... and the target is gone" directory_empty d
done
cp source.4097 d/target
run_until $interrupt "test -s $temporary" copy --depth 4 --block 4K large d/target
check "copy over a file, at SIG$interrupt, ends with $ended" test $got -eq $ended
warns "... and says that it was not changed" '^uvdio copy: d/target was not changed\.$'
check "... and it is as it was" identical source.4097 d/target
check "... and nothing else is left" alone d/target
cp source.1 d/target
run_until $interrupt '[ "$(wc -c <d/target)" -gt 1 ]' \
  copy --in-place --depth 4 --block 4K large d/target
check "copy --in-place over a file, at SIG$interrupt, ends with $ended" test $got -eq $ended
warns "... and says that it is incomplete" '^uvdio copy: d/target is incomplete'
check "... but leaves it" test -e d/target
rm -f d/*
# Killed, it leaves the old file, and its own, which the next copy removes.
cp source.4097 d/target
run_until KILL "test -s $temporary" copy --depth 4 --block 4K large d/target
check "copy over a file, at SIGKILL, ends with 137" test $got -eq 137
check "... and leaves the file as it was" identical source.4097 d/target
check "... and its own" test -s $temporary
run 0 "copy after that" copy source.512 d/target
check "... is identical" identical source.512 d/target
check "... and nothing else is left" alone d/target
rm -f d/*
# While one is under way, another one to the same target does not disturb it.
start_halted "test -s $temporary" copy --depth 1 --block 4K large d/target
run 1 "copy to the target of a copy that is under way" copy source.512 d/target
warns "... says so" '^uvdio copy: cannot create d/\.target\.uvdio-copy: another copy to d/target is'
resume
check "... which goes on" test $? -eq 0
check "... and is identical" identical large d/target
check "... and nothing else is left" alone d/target
rm -f d/*
# As nohup starts it, and as shells start what is in the background.
for each in HUP INT; do
  (
    trap '' $each
    run_until $each "test -s $temporary" copy --depth 4 --block 4K large d/target
    exit $got
  )
  check "copy that was started with SIG$each ignored goes on" test $? -eq 0
  check "... and is identical" identical large d/target
  rm -f d/*
done

# Someone else writes to the target all the time, so that it can't be what was copied: past the page
# cache, which would make the kernel fail a sync now and then. Byte 5 was random, and is another one
# for sure.
printf Y | dd of=full bs=1 seek=5 conv=notrunc 2>/dev/null
head -c 4096 full >block
printf X | dd of=block bs=1 seek=5 conv=notrunc 2>/dev/null
make_file aligned 4096
printf X >byte
if dd if=block of=aligned bs=4096 oflag=direct conv=notrunc,nocreat 2>/dev/null; then
  start_halted "test -s $temporary" copy --verify --depth 1 --block 4K full d/target
  kill -s CONT $process
  while kill -0 $process 2>/dev/null; do
    dd if=block of=$temporary bs=4096 oflag=direct conv=notrunc,nocreat 2>/dev/null || break
  done
  wait $process
  check "copy --verify of a target that someone writes to fails" test $? -eq 1
  warns "... and names the first byte that differs" \
    '^uvdio copy: full and d/target differ, first at byte 5\.'
  check "... and nothing is left" directory_empty d
else
  skip "copy --verify of a target that someone writes to" \
    "dd can not write to existing files only, or not past the page cache"
fi
rm -f d/*

# Someone else shortens the source.
cp full shrinking
start_halted "test -s $temporary" copy --depth 1 --block 4K shrinking d/target
dd if=byte of=shrinking bs=1 count=1 2>/dev/null
resume
check "copy of a file that someone shortens fails" test $? -eq 1
warns "... and says so" \
  '^uvdio copy: shrinking ended at byte [0-9]*, though its size was 33554433: it was shortened'
check "... and the target is gone" absent d/target
cp full growing
start_halted "test -s $temporary" copy --depth 1 --block 4K growing d/target
cat byte >>growing
resume
check "copy of a file that someone appends to fails" test $? -eq 1
grown='^uvdio copy: growing had [0-9]* bytes at first and has [0-9]* now'
warns "... and says so" "$grown\|^uvdio copy: growing gives more bytes than the [0-9]* of its size"
check "... and the target is gone" absent d/target
rm -f large growing shrinking sparse full target

echo "1..$count"
[ $failures -eq 0 ]
