#!/bin/sh
# SPDX-License-Identifier: MIT
# The probes for tracers (src/trace.h): their notes in the library, and what the scripts of
# src/tools/ make of them under bpftrace, where the kernel lets it.
#
#   test/trace/run.sh PATH/TO/uvdio SCRATCH LIBRARY FAULT_PROGRAMS HAS_PROBES
#
# LIBRARY is the shared one, FAULT_PROGRAMS the folder of fault_transfers and fault_ring_submission,
# HAS_PROBES ON or OFF: how the library was built. SCRATCH is a directory on a filesystem with
# direct I/O; what is made in it is removed. Prints TAP, as test/cli/run.sh does, and exits with 1
# when something was not ok.
set -u

if [ $# -ne 5 ]; then
  echo "usage: $0 PATH/TO/uvdio SCRATCH LIBRARY FAULT_PROGRAMS HAS_PROBES" >&2
  exit 2
fi
library=$(cd "$(dirname "$3")" && pwd)/$(basename "$3")
faults=$(cd "$4" && pwd)
has_probes=$5
root=$(cd "$(dirname "$0")/../.." && pwd)
header=$root/include/uvdio.h
latency=$root/src/tools/uvdio-latency.bt
stalls=$root/src/tools/uvdio-stalls.bt
set -- "$1" "$2"
# shellcheck source=test/cli/tap.sh
. "$root/test/cli/tap.sh"

finish() {
  echo "1..$count"
  [ $failures -eq 0 ]
  exit $?
}

# --------------------------------------------------------------------------------------------
# the scripts' names of operations are those of UVDIO_OP_MAP

{
  echo "0 none"
  sed -n 's/^ *X([A-Z_]*, "\([a-z_]*\)", UVDIO_OP_KIND_.*/\1/p' "$header" | awk '{ print NR, $1 }'
} >names
check "the header has operations" grep -q '^2 read$' names
for script in "$latency" "$stalls"; do
  sed -n 's/^  @name\[\([0-9]*\)\] = "\([a-z_]*\)";$/\1 \2/p' "$script" >out
  diff names out >"$out" 2>"$err"
  check "operations of $(basename "$script")" identical names out
done

# --------------------------------------------------------------------------------------------
# the notes: each probe, with its arguments, wherever it is

if [ "$has_probes" != ON ]; then
  skip "probes" "the library was built without probes (no sys/sdt.h, or UVDIO_WITH_TRACING)"
  finish
fi
if ! command -v readelf >/dev/null; then
  skip "probes" "readelf is not installed (binutils)"
  finish
fi

# Bytes of the arguments; w is those of an address, and of a size_t.
cat >expected <<'EOF'
complete w 4 w 8 8
deliver w 4 w 8 8
punt w 4 w w w
resume w 4 w w w
stall w w 4 4 4 4
start w 4 w w 8 w
submit w 4 w w 8 w
EOF
word=4
readelf -h "$library" | grep -q ELF64 && word=8
sed "s/w/$word/g" expected >wanted

# "8@%rdi 4@32(%rdi) -8@16(%rdi)": bytes, with a sign, and where they are.
readelf -n "$library" | awk '
  /Provider:/ { is_ours = $NF == "uvdio" }
  is_ours && $1 == "Name:" { name = $2 }
  is_ours && $1 == "Arguments:" {
    line = $0
    while (match(line, /-?[0-9]+f?@/)) {
      size = substr(line, RSTART, RLENGTH - 1)
      sub(/^-/, "", size)
      name = name " " size
      line = substr(line, RSTART + RLENGTH)
    }
    print name
  }' | LC_ALL=C sort -u >found
diff wanted found >"$out" 2>"$err"
check "notes of the shared library: all probes, and their arguments" identical wanted found

# --------------------------------------------------------------------------------------------
# bpftrace

if ! command -v bpftrace >/dev/null; then
  skip "bpftrace" "bpftrace is not installed"
  finish
fi
# Something that is no probe of ours.
if ! $limit bpftrace -e "uprobe:$program:main { printf(\"%s\\n\", \"reached\"); }" \
  -c "$program --version" >"$out" 2>"$err" || ! grep -q '^reached$' "$out"; then
  skip "bpftrace" "bpftrace can't watch a program here: $(grep . "$err" | tail -n 1)"
  finish
fi

# trace COMMAND SCRIPT...: runs bpftrace with the script while the command runs.
trace() {
  command=$1
  shift
  $limit bpftrace "$@" -c "$command" >"$out" 2>"$err" </dev/null
}

# sum_of MAP KEY: how many the histogram of the map counts, in all that was printed.
sum_of() {
  awk -v map="@$1[$2]:" '
    { sub(/ *$/, "") } # bpftrace 0.17 has a blank behind the colon, 0.23 has none
    /^@/ { is_it = $0 == map }
    is_it && /^\[/ { sub(/^\[[^)]*\)/, ""); sum += $1 }
    END { print sum + 0 }' "$out"
}
is_sum() { [ "$(sum_of "$1" "$2")" -eq "$3" ]; }

# The reads are 1024 of 4096 bytes each.
bench="$program bench --size 4M --operation verify --backend pool traced"

trace "$bench" "$latency" "$program"
check "uvdio-latency.bt" [ $? -eq 0 ]
for map in submit_to_deliver_us start_to_complete_us; do
  check "... $map has all reads" is_sum $map read 1024
  check "... $map has opens and closes" [ "$(sum_of $map open) $(sum_of $map close)" = "1 1" ]
done
check "... and keeps nothing" lines_with "$out" '^@\(name\|submitted\|started\)' 0

# The arguments, of reads. That the request and its file are the same from probe to probe is what
# the key of @read shows.
cat >arguments.bt <<'EOF'
usdt:$1:uvdio:submit /arg1 == 2/ {
  @[str(arg3)] = count();
  @read[arg0, arg2] = 1;
  @submit_offset = max(arg4);
  @submit_length = max(arg5);
}
usdt:$1:uvdio:start /arg1 == 2 && @read[arg0, arg2]/ {
  @[str(arg3)] = count();
  @start_offset = max(arg4);
  @start_length = max(arg5);
}
usdt:$1:uvdio:complete /arg1 == 2 && @read[arg0, arg2]/ { @complete_sum = sum(arg3); }
usdt:$1:uvdio:deliver /arg1 == 2 && @read[arg0, arg2]/ {
  @deliver_sum = sum(arg3);
  @age_ms = max(nsecs / 1000000 - arg4 + 1000);
}
END { clear(@read); }
EOF
trace "$bench" arguments.bt "$program"
check "submit tells the path" grep -q '^@\[traced\]: 1024$' "$out"
check "start tells the backend" grep -q '^@\[pool\]: 1024$' "$out"
check "submit tells the offset" grep -q '^@submit_offset: 4190208$' "$out"
check "submit tells the length" grep -q '^@submit_length: 4096$' "$out"
check "start tells the offset" grep -q '^@start_offset: 4190208$' "$out"
check "start tells the length" grep -q '^@start_length: 4096$' "$out"
check "complete tells the result" grep -q '^@complete_sum: 4194304$' "$out"
check "deliver tells the result" grep -q '^@deliver_sum: 4194304$' "$out"
# A second is added, since the loop's clock is not that of the tracer's moment; minutes are none of
# a request that has just been submitted.
check "deliver tells when it was submitted" \
  [ "$(sed -n 's/^@age_ms: //p' "$out")" -lt 121000 ]

# --------------------------------------------------------------------------------------------
# stalls, short transfers and punts, as the programs of faults make them

ring_absent=$("$program" probe d 2>"$err" | sed -n 's/^  ring  *not available  *//p')
if [ -n "$ring_absent" ]; then
  skip "uvdio-stalls.bt" "ring: $ring_absent"
  finish
fi

# trace_fault PROGRAM TEST
trace_fault() {
  trace "$faults/$1 --backend ring --filesystem here --test $2" "$stalls" "$faults/$1"
  check "uvdio-stalls.bt, $2" grep -q "\[       OK \] $2" "$out"
}

trace_fault fault_ring_submission kernel_that_takes_nothing_is_left_alone
# Time decides how often the library tries again before the fault is over.
stall_lines=$(grep -c ' fault_ring_subm  ring  *1  *1  *0  *[0-9][0-9]*$' "$out")
check "... tells the stall" [ "$stall_lines" -ge 1 ]
check "... and how long it was" is_sum stalled_us ring "$stall_lines"
check "... punts, by queue and operation" grep -q '^@punts\[ring, close\]: 1$' "$out"
check "... and keeps nothing" lines_with "$out" '^@\(name\|began\)' 0
trace_fault fault_transfers short_read_is_resumed
check "... tells short transfers" grep -q '^@resumes\[read\]: [1-9]' "$out"

finish
