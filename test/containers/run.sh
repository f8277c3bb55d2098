#!/bin/sh
# SPDX-License-Identifier: MIT
# src/docs/containers.md, tried: what `uvdio probe` and `uvdio bench` print under filters that
# libseccomp makes (confine.c), under limits, and in a user namespace, is compared with the page's
# code blocks, and the rule that the page offers is the one that is applied.
#
#   test/containers/run.sh PATH/TO/uvdio SCRATCH PATH/TO/confine
#
# A block "```text NAME" has lines of the output of the case NAME, in their order; the kernel's
# release and the words about it are masked. SCRATCH and what is printed: see tap.sh. Exits with 77
# where there is no libseccomp (an empty third argument), no ring in the build, or no filter may be
# set.
set -u
here=$(cd "$(dirname "$0")" && pwd)
page=$here/../../src/docs/containers.md
confine=${3-}
if [ -z "$confine" ]; then
  echo "SKIP: no libseccomp was found (libseccomp-dev, libseccomp-devel)"
  exit 77
fi
confine=$(cd "$(dirname "$confine")" && pwd)/$(basename "$confine")
set -- "$1" "$2"
# shellcheck source=test/cli/tap.sh
. "$here/../cli/tap.sh"
uvdio=$program

if "$uvdio" --version | grep '^liburing  *none' >/dev/null; then
  echo "SKIP: this build has no io_uring, and the page is about one that has"
  exit 77
fi

# A user that nothing else runs as, where that can be: locked memory is counted by user.
user=
if [ "$(id -u)" -eq 0 ]; then
  number=$((100000 + $$ % 100000))
  user="--user $number"
  chmod 755 "$work"
  chmod 777 "$work/d"
fi
# shellcheck disable=SC2086 # two words, or none
if ! "$confine" $user "$uvdio" --version >"$out" 2>"$err"; then
  echo "SKIP: no program runs under a filter here: $(head -n 1 "$err")"
  exit 77
fi

# The lines of a block of the page.
block() { awk -v fence="\`\`\`$1" '/^```/ { is_in = $0 == fence; next } is_in' "$page"; }

mask() {
  sed -E "s|\(Linux [^)]*\)|(Linux)|g; s|Linux [0-9][^ ]* (is too old\|was built)|Linux \1|g
    s| in $work/d:| in DIRECTORY:|; s/  +/ /g"
}

# as_written NAME: the output has the block's lines, in their order.
as_written() {
  block "text $1" | mask >wanted
  cat "$err" "$out" | mask >given
  [ -s wanted ] && awk '
    NR == FNR { wanted[++count] = $0; next }
    $0 == wanted[at + 1] { at++ }
    END {
      if (at < count) { print "# not there, or not in this order: " wanted[at + 1] }
      exit at < count
    }' wanted given
}

# confined OPTIONS... -- ARGUMENTS...: the program's output is in $out and $err.
confined() {
  options=
  while [ "$1" != -- ]; do
    options="$options $1"
    shift
  done
  shift
  # shellcheck disable=SC2086
  $limit "$confine" $user $options "$uvdio" "$@" >"$out" 2>"$err" </dev/null
}

block "json fragment" >fragment.json
check "the page has a rule" test -s fragment.json
bench="bench --size 1M --seconds 0.05 --depth 4 --operation random-read $work/d"
has_row() { grep -q "^$1  *random-read " "$out"; }
lacks_row() { ! has_row "$1"; }

confined -- probe "$work/d"
check "the default profile" as_written default
# shellcheck disable=SC2086
confined -- $bench
check "... a benchmark" as_written bench-default
check "... measures kernel AIO" has_row aio
check "... and no ring" lacks_row ring

UVDIO_BACKEND=ring && export UVDIO_BACKEND
confined -- probe "$work/d"
unset UVDIO_BACKEND
check "a backend of the environment that is denied" \
  grep -q 'UVDIO_BACKEND=ring, is not available here: .*io_uring' "$err"

confined --errno 38 -- probe "$work/d"
check "the same with ENOSYS" as_written enosys

confined --deny io_setup -- probe "$work/d"
check "a profile without kernel AIO" as_written nothing
# shellcheck disable=SC2086
confined --deny io_setup -- $bench
check "... a benchmark measures the pool" has_row pool
check "... and neither a ring" lacks_row ring
check "... nor kernel AIO" lacks_row aio

# What takes a ring.
"$uvdio" probe "$work/d" >"$out" 2>"$err"
if grep -q '^  ring  *available' "$out"; then
  # shellcheck disable=SC3045 # every shell has it
  locked=$(ulimit -Hl)
  if [ "$locked" = unlimited ] || [ "$locked" -ge 4096 ]; then
    confined --add "$work/fragment.json" -- probe "$work/d"
    check "the page's rule" as_written ring
  else
    skip "the page's rule" "the limit on locked memory, $locked KiB, is too low for it"
  fi
  # shellcheck disable=SC2086
  confined --add "$work/fragment.json" -- $bench
  check "... a benchmark measures the ring" has_row ring

  if [ -z "$user" ] && [ "$(id -u)" -eq 0 ]; then
    skip "limits on locked memory" "there is no other user"
  else
    # At the edge: the ring, or what is told of a limit of 0.
    confined --add "$work/fragment.json" --memlock 65536 -- probe "$work/d"
    if grep -q '^  An engine takes ring' "$out"; then
      check "64 KiB of locked memory" as_written memlock-64k
    else
      check "64 KiB of locked memory, without a ring" grep -q 'ulimit -l, now 64 KiB' "$out"
    fi
    confined --add "$work/fragment.json" --memlock 0 -- probe "$work/d"
    if grep -q '^  ring  *not available' "$out"; then
      check "no locked memory" as_written memlock-0
    else # a kernel that does not count rings
      check "no locked memory" grep -q '(ulimit -l) does not allow to pin more' "$out"
    fi
  fi
else
  skip "what takes a ring" "$(sed -n 's/^  ring  *not available  *//p' "$out")"
fi

# A control group with one task.
group=
for root in /sys/fs/cgroup/pids /sys/fs/cgroup; do
  if mkdir "$root/uvdio-test-$$" 2>/dev/null; then
    group=$root/uvdio-test-$$
    trap 'rmdir "$group"; rm -rf "$work"' EXIT
    [ ! -e "$group/pids.max" ] || break
    rmdir "$group"
    group=
    trap 'rm -rf "$work"' EXIT
  fi
done
if [ -n "$group" ] && echo 1 >"$group/pids.max"; then
  confined --group "$group" -- probe "$work/d"
  check "one task" as_written tasks
else
  skip "one task" "no control group that counts tasks can be made here"
fi

if unshare -Ur true 2>/dev/null; then
  unshare -Ur "$uvdio" probe "$work/d" >"$out" 2>"$err" </dev/null
  check "a user namespace" as_written userns
else
  skip "a user namespace" "none can be made here"
fi
echo 2 >setting
# shellcheck disable=SC2016 # $1 is the other shell's
if unshare -m true 2>/dev/null && [ -e /proc/sys/kernel/io_uring_disabled ]; then
  unshare -m --propagation private sh -c \
    'mount --bind setting /proc/sys/kernel/io_uring_disabled && exec "$1" probe d' sh "$uvdio" \
    >"$out" 2>"$err" </dev/null
  check "the sysctl" as_written sysctl
else
  skip "the sysctl" "there is none, or mounting needs root"
fi

# Each block of output is compared somewhere.
for name in $(sed -n 's/^```text //p' "$page"); do
  check "the block $name is compared" grep -q "as_written $name\$" "$here/run.sh"
done

echo "1..$count"
[ $failures -eq 0 ]
