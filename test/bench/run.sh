#!/bin/sh
# SPDX-License-Identifier: MIT
# The program `uvdio-bench` as a person meets it: exit codes, words, tables and pictures.
# Nothing that it makes stays behind.
#
#   test/bench/run.sh PATH/TO/uvdio-bench SCRATCH [simple]
#
# The command `uvdio` has to be beside it. `simple` ends with the first that is not ok. SCRATCH is a
# directory on a filesystem with direct I/O; what is made in it is removed. Prints TAP, as
# test/cli/run.sh does, and exits with 1 when something was not ok.
set -u
# shellcheck source=test/cli/tap.sh
. "$(dirname "$0")/../cli/tap.sh"
uvdio=$(dirname "$program")/uvdio

make_file file 10000
mkdir e
ring_absent=$("$uvdio" probe d 2>"$err" | sed -n 's/^  ring  *not available  *//p')
[ -n "$ring_absent" ] && echo "SKIP: ring: $ring_absent"

# refuses SUBCOMMAND OPTIONS...: each of these words is wrong usage, which names its first option.
refuses() {
  subcommand=$1
  shift
  for wrong; do
    # shellcheck disable=SC2086 # several words
    run 2 "$subcommand $wrong" "$subcommand" $wrong d
    warns "... is named" "^uvdio-bench $subcommand: ${wrong%% *} "
  done
}

# --------------------------------------------------------------------------------------------
# general

run 2 "no arguments are wrong usage"
warns "... which shows the usage" '^usage: uvdio-bench'
run 0 "--help" --help
says "... tells the subcommands" '^  compare \[DIRECTORY\] '
run 0 "--version" --version
says "... with both versions" '^uvdio-bench [0-9]*\.[0-9]*\.[0-9]* (libuv [0-9]'
run 2 "an unknown subcommand" frobnicate
warns "... is named" "^uvdio-bench: there is no subcommand 'frobnicate'"
warns "... and so is the help" "Try .uvdio-bench --help"
run 2 "compare with an unknown option" compare --frobnicate
warns "... names the help" "Try .uvdio-bench compare --help"

# ------------------------------------------------------------------------------------------ compare

run 0 "compare --help" compare --help
says "... begins with the usage" '^usage: uvdio-bench compare '
for target in ring ring-plain aio pool limit uv-4 uv-32 fio-uring fio-libaio qemu-img; do
  says "... tells of the target $target" "^  \* $target "
done
refuses compare "--operation frobnicate" "--operation write" "--target frobnicate" \
  "--target ring," "--depth 0" "--depth 4097" "--depth 1,x" "--block 1000" "--block 0" \
  "--block 4K,513" "--block 128M" "--size 0" "--size 1M --block 4K,2M" "--files 0" "--files x" \
  "--loops 0" "--loops 65" "--rounds 0" "--rounds 101" "--seconds 0" "--seed x" \
  "--size 4K --files 2"
run 2 "compare with an unknown option" compare --frobnicate d
run 2 "compare with an option of uvdio bench" compare --backend ring d
run 2 "compare with two directories" compare d e
run 2 "compare in a file" compare file
warns "... is refused" "takes a directory, which 'file' is not"
run 1 "compare in a directory that is not there" compare missing
warns "... says what, why and what to do" \
  '^uvdio-bench compare: cannot use missing: .*(ENOENT)\. Check the path\.$'
run 2 "target without its parameters" target
run 2 "target with wrong ones" target '{"target":"pool"}'
compare="compare --size 1M --seconds 0.02 --rounds 2"
# shellcheck disable=SC2086 # several words, here and below
run 0 "compare" $compare --depth 1,4 --target pool,uv-4 d
says "... says where" '^.*, 1 file of 1 MiB, 1 loop, '
says "... has a table for each depth" '^random-read, 4 KiB, depth 4$'
says "... with headings" '^target  *ops/s  *spread  *x limit  *x uv-4  *x fio  *p50 '
check "... and a row for each target" lines_with "$out" '^uv-4  *[0-9]' 2
says "... and a table of ratios" '^ratios  *depth  *target  *x limit  *x best  *x uv-4 '
check "... with a line for each depth" \
  lines_with "$out" '^random-read  4 KiB  [14]  *pool  *-  *-  *[0-9.]* ' 2
check "... and nothing is left behind" directory_empty d
for operation in random-read sequential-read random-write sequential-write durable-write mixed; do
  run 0 "compare of $operation, with files and loops" \
    $compare --no-calls --json --files 3 --loops 2 --target pool,uv-4 \
    --operation $operation d
  check "... has a row for each target and depth" \
    lines_with "$out" "\"operation\": \"$operation\"" 6
  check "... with operations in each" lines_with "$out" '"median": 0\.0,' 0
done
check "... and nothing is left behind" directory_empty d
if [ -n "$ring_absent" ]; then
  skip "compare with the limit" "$ring_absent"
else
  run 0 "compare with the limit" $compare --no-calls --json --depth 8 \
    --target ring,ring-plain,ring-heap,limit --operation mixed d
  check "... has all rows" lines_with "$out" '"target":' 4
  check "... two of them without registered memory, or all" \
    test "$(grep -c '"fixed": 0,' "$out")" -ge 2
  run 0 "compare with both limits" $compare --no-calls --depth 8 --target ring,limit,limit-prompt d
  says "... tells of the faster one" \
    '^random-read  4 KiB  8  *ring  *[0-9.]*  *[0-9.]*  *-  *-  *-  *[0-9.]*  *[0-9.]*  *-$'
fi
run 0 "compare with several block sizes" \
  $compare --no-calls --depth 1,4 --block 4K,64K --target pool,uv-4 --plot blocks d
says "... has a table for each block size and depth" '^random-read, 64 KiB, depth 4$'
check "... which makes four" lines_with "$out" '^pool  *[0-9]' 4
for name in random-read-4096 random-read-65536 random-read-depth-1 random-read-depth-4; do
  check "... writes the data and the script of $name" \
    test -s blocks/$name.dat -a -s blocks/$name.gnuplot
done
check "... over the block size, with a point for each" \
  lines_with blocks/random-read-depth-4.dat '^65536 .* "64 KiB"$' 2
check "... and over the depth" lines_with blocks/random-read-65536.dat '^4 .* "4"$' 2
check "... and nothing is left behind" directory_empty d
"$uvdio" probe d >"$out" 2>"$err"
if grep -q 'alignment the system requires .* 512 bytes, offset and length 512' "$out"; then
  run 0 "compare of blocks of 512 bytes" \
    $compare --no-calls --json --depth 2 --block 512,8704 --target ring,ring-heap,pool,uv-4 \
    --operation mixed d
  rows=4
  [ -n "$ring_absent" ] && rows=2
  check "... has a row for each size" lines_with "$out" '"block_size": 512,' $rows
  check "... with operations in each" lines_with "$out" '"median": 0\.0,' 0
else
  skip "compare of blocks of 512 bytes" "the filesystem does not say that it takes them"
fi
run 0 "compare at depth 1024 with 4 loops" \
  $compare --no-calls --json --depth 1024 --loops 4 --target pool,uv-4 d
check "... has both rows" lines_with "$out" '"depth": 1024,' 2
run_with_few_files() {
  (
    ulimit -n 100
    $limit "$program" $compare --rounds 1 --no-calls --json --depth 1 --target pool "$@" d \
      >"$out" 2>"$err" </dev/null
  )
}
if run_with_few_files --files 200; then
  skip "compare of more files than may be open" "the hard limit can be raised here"
else
  few='^uvdio-bench compare: --files 200 and --loops 1 take [0-9]* open files, and 100 are allowed'
  warns "compare of more files than may be open says what to do" "$few. Raise the limit"
  check "... and leaves nothing behind" directory_empty d
fi
run_with_few_files --files 2
check "compare of few files needs no more than 100" test $? -eq 0
if command -v fio >/dev/null 2>&1; then
  mkdir d/uvdio-loop-0
  (
    cd d && $limit "$program" $compare --no-calls --json --depth 4 --loops 2 --files 2 \
      --target uv-4,fio-libaio --operation mixed,durable-write
  ) >"$out" 2>"$err"
  check "compare with fio" test $? -eq 0
  check "... has its rows" lines_with "$out" '"target": "fio-libaio"' 2
  rmdir d/uvdio-loop-0
  run 0 "compare with fio, as a table" \
    $compare --no-calls --depth 4 --operation sequential-read --target uv-4,fio-libaio d
  says "... has the quotient" '^target .* x fio '
  check "... which is 1 for fio itself" \
    lines_with "$out" '^fio-libaio  *[0-9.]* k*  *-[0-9]* +[0-9]* %  *-  *[0-9.]*  *1\.00 ' 1
else
  skip "compare with fio" "fio is not installed"
fi
run 0 "compare --plot" $compare --no-calls --depth 1,4 --target pool --plot plots d
check "... writes the data" test -s plots/random-read.dat
check "... and the script" test -s plots/random-read.gnuplot
check "... and the results" test -s plots/results.json
if command -v gnuplot >/dev/null 2>&1; then
  check "... and pictures" test -s plots/random-read-throughput.png \
    -a -s plots/random-read-latency.png -a -s plots/random-read-cpu.png
else
  warns "... and says that there are no pictures" 'gnuplot is not installed'
fi
if [ "$(id -u)" -ne 0 ]; then
  run 1 "compare --loop-device, not as root" $compare --target pool --loop-device d
  warns "... says why" '^uvdio-bench compare: --loop-device needs'
else
  skip "compare --loop-device, not as root" "root may"
fi
run_until $interrupt 'find d -type f -size +1023k | grep -q .' \
  compare --size 4M --seconds 30 --target pool d
check "compare at SIG$interrupt ends with $ended" test $got -eq $ended
warns "... says so" 'interrupted by signal'
check "... and leaves nothing behind" directory_empty d

# --------------------------------------------------------------------------------------------- copy

run 0 "copy --help" copy --help
says "... begins with the usage" '^usage: uvdio-bench copy '
run 1 "copy with a --uvdio that is not there" copy --uvdio missing d
warns "... says so, and what to do" \
  '^uvdio-bench copy: cannot run missing: .* Name the command by --uvdio\.$'
refuses copy "--block 1000" "--block 0" "--block 4K," "--block 128M" "--size 0" "--size 1000" \
  "--size 96K --block 64K" "--rounds 0" "--rounds 101" "--seed x" \
  "--block 4K,4K,4K,4K,4K,4K,4K,4K,4K"
run 2 "copy with an unknown option" copy --frobnicate d
run 2 "copy with two directories" copy d e
run 2 "copy in a file" copy file
run 1 "copy in a directory that is not there" copy missing
warns "... says what, why and what to do" \
  '^uvdio-bench copy: cannot use missing: .*(ENOENT)\. Check the path\.$'
check "... and nothing is left behind" directory_empty d
targets=1
[ -z "$ring_absent" ] && targets=$((targets + 1))
for tool in dd cp; do
  if $tool --version >/dev/null 2>&1; then
    targets=$((targets + 1))
  else
    skip "copy with $tool" "$tool is not GNU's"
  fi
done
run 0 "copy as a table" copy --size 1M --rounds 2 --block 4K,64K --plot copies d
says "... has a table for each block size" '^copy in blocks of 64 KiB$'
says "... with headings" '^target  *throughput  *spread  *x dd  *x cp  *CPU s/GiB$'
check "... and a row for each target" \
  lines_with "$out" '^[a-z][a-z]*  *[0-9.]* .B/s ' $((2 * targets))
check "... and nothing is left behind" directory_empty d
check "... writes the data" test -s copies/copy.dat
check "... the script" test -s copies/copy.gnuplot
check "... and the results" test -s copies/results.json
if command -v gnuplot >/dev/null 2>&1; then
  check "... and a picture" test -s copies/copy.png
else
  warns "... and says that there is no picture" 'gnuplot is not installed'
fi
run 0 "copy --json" copy --uvdio "$uvdio" --json --size 1M --rounds 2 --block 64K d
for key in environment filesystem file_size block_size bytes_per_s by_dd by_cp cpu_s_per_gib \
  notes; do
  says "... has the key $key" "\"$key\":"
done
check "... has a row for each target" lines_with "$out" '"target":' $targets
check "... with its rounds" lines_with "$out" '"rounds": 2' $targets
# Not one of these writes what was there: the row is missing, and the notes say why.
mkdir liars
for tool in dd cp; do
  printf '#!/bin/sh\n[ "$1" = --version ] || head -c 1048576 /dev/zero >"%s"\n' \
    '$(ls -d d/.uvdio-copy-*)/destination' >liars/$tool
  chmod +x liars/$tool
done
(
  PATH=$work/liars:$PATH
  $limit "$program" copy --json --size 1M --rounds 2 --block 64K d
) >"$out" 2>"$err"
check "copy with programs that copy wrongly" test $? -eq 0
check "... leaves them out" lines_with "$out" '"target": "[dc][dp]"' 0
check "... and says so" lines_with "$out" '"[dc][dp] did not copy what was there' 2
check "... and nothing is left behind" directory_empty d
run_until $interrupt 'ls d/.uvdio-copy-*/destination' copy --size 64M --rounds 100 d
check "copy at SIG$interrupt ends with $ended" test $got -eq $ended
warns "... says so" 'interrupted by signal'
check "... and leaves nothing behind" directory_empty d

# ------------------------------------------------------------------------------------------ appends

run 0 "appends --help" appends --help
says "... begins with the usage" '^usage: uvdio-bench appends '
refuses appends "--block 1000" "--depth 0" "--depth 1025" "--appends 0" "--rounds 0" \
  "--backend frobnicate" "--backend memory"
run 2 "appends with an unknown option" appends --frobnicate d
run 2 "appends with two directories" appends d e
run 1 "appends in a directory that is not there" appends missing
for durable in "" --durable; do
  # shellcheck disable=SC2086 # perhaps none
  run 0 "appends $durable" appends $durable --appends 100 --rounds 2 --depth 4 --backend pool d
  for method in written extending single growing gathered; do
    says "... has a row for $method" "^$method  *[1-9][0-9]*  "
  done
  check "... and nothing is left behind" directory_empty d
done

# ------------------------------------------------------------------------------------------ streams

run 0 "streams --help" streams --help
says "... begins with the usage" '^usage: uvdio-bench streams '
refuses streams "--block 1000" "--block 2M" "--size 0" "--size 1500K" "--rounds 0" \
  "--backend frobnicate" "--backend memory"
run 2 "streams with an unknown option" streams --frobnicate d
run 2 "streams with two directories" streams d e
run 1 "streams in a directory that is not there" streams missing
for beside in "" --beside; do
  # shellcheck disable=SC2086 # perhaps none
  run 0 "streams $beside" streams $beside --size 4M --rounds 2 --backend pool d
  for method in 1 128 reader "full window"; do
    says "... has a row for $method" "^$method  *[1-9][0-9]*  "
  done
  check "... and nothing is left behind" directory_empty d
done

# ------------------------------------------------------------------------------------------ classes

run 0 "classes --help" classes --help
says "... begins with the usage" '^usage: uvdio-bench classes '
refuses classes "--block 1000" "--depth 0" "--depth 1025" "--rounds 0" "--seconds 0" "--size 1M" \
  "--backend frobnicate" "--backend memory"
run 2 "classes with an unknown option" classes --frobnicate d
run 2 "classes with two directories" classes d e
run 1 "classes in a directory that is not there" classes missing
run 1 "classes with a model that is not there" classes --model missing d
check "... leaves nothing behind" directory_empty d
printf '%s\n' 'depth 8' 'bytes_in_flight 1048576' 'read_operations 50000' \
  'write_operations 50000' 'read_bytes 1000000000' 'write_bytes 1000000000' >model
run 0 "classes" classes --model model --size 32M --seconds 0.05 --rounds 2 --plot picture d
for row in "reads alone" "log alone" "copy alone" together "in classes"; do
  says "... has a row for $row" "^$row  "
done
check "... nothing is left behind" directory_empty d
check "... there is a picture's data" test -s picture/classes.dat
check "... and results" test -s picture/results.json
rm -rf picture model

# ---------------------------------------------------------------------------------------------- log

run 0 "log --help" log --help
says "... begins with the usage" '^usage: uvdio-bench log '
refuses log "--clients 0" "--clients 4097" "--clients 1," "--clients x" \
  "--clients 1,2,3,4,5,6,7,8,9" "--record 0" "--record 2M" "--record 1,2,3,4,5,6,7,8,9" \
  "--method frobnicate" "--method log," "--segment 1000" "--segment 32K" "--rounds 0" \
  "--rounds 101" "--seconds 0" "--backend frobnicate" "--backend memory"
run 2 "log with an unknown option" log --frobnicate d
run 2 "log with two directories" log d e
run 1 "log in a directory that is not there" log missing
run 0 "log" log --clients 1,16 --record 200 --seconds 0.02 --rounds 1 --plot commits d
says "... has a table for each number of clients" '^records of 200 bytes, clients: 16$'
check "... nothing is left behind" directory_empty d
methods="log packed rolling threads device"
for method in segments sqlite; do
  reason=$(sed -n "s/^No row $method: //p" "$out")
  if [ -n "$reason" ]; then skip "log by $method" "$reason"; else methods="$methods $method"; fi
done
for method in $methods; do
  check "... has rows for $method" lines_with "$out" "^$method  *[1-9].* %  .* [0-9]*\$" 2
done
says "... and quotients" '^packed  *200  *16  *[0-9.]* '
for name in .dat .gnuplot; do
  check "... writes log-200$name" test -s commits/log-200$name
done
check "... and the results" test -s commits/results.json
if command -v gnuplot >/dev/null 2>&1; then
  check "... and pictures" test -s commits/log-200-rate.png -a -s commits/log-200-cpu.png
else
  warns "... and says that there are no pictures" 'gnuplot is not installed'
fi
run 0 "log --json" log --json --clients 64 --record 16K --method rolling,threads --segment 256K \
  --seconds 0.02 --rounds 2 --backend pool d
for key in environment seconds segment_size rows method record_size clients rounds commits_per_s \
  p50_us p99_us p999_us cpu_us_per_commit commits_per_write rolls_per_s by_threads by_device \
  cpu_by_threads notes; do
  says "... has the key $key" "\"$key\":"
done
check "... has a row for each method that was asked for" lines_with "$out" '"method":' 2
check "... with commits in each" lines_with "$out" '"median": 0\.0,' 1
# Three records fill a segment. What warms the log up, before the clock starts, does not count.
run 0 "log of segments that are full soon" log --json --clients 1 --record 16K --method rolling \
  --segment 64K --seconds 0.05 --rounds 1 d
awk '
  /"(commits|rolls)_per_s"/ { key = $1 }
  /"median"/ && key ~ /commits/ { commits = $2 + 0; key = "" }
  /"median"/ && key ~ /rolls/ { rolls = $2 + 0; key = "" }
  END { if (commits > 0 && rolls <= commits / 3 + 1 / 0.05) print rolls }' "$out" >rolls
check "... tells only of those that were begun meanwhile" test -s rolls
run_until $interrupt 'find d -type f -size +1023k | grep -q .' \
  log --method device --rounds 100 d
check "log at SIG$interrupt ends with $ended" test $got -eq $ended
warns "... says so" 'interrupted by signal'
check "... and leaves nothing behind" directory_empty d
rm -rf commits rolls

# ------------------------------------------------------------------------------------------ scaling

run 0 "scaling --help" scaling --help
says "... begins with the usage" '^usage: uvdio-bench scaling '
refuses scaling "--series frobnicate" "--series files," "--rounds 0" "--rounds 101" "--reads 0" \
  "--reads x"
run 2 "scaling with an unknown option" scaling --frobnicate d
run 2 "scaling with two directories" scaling d e
run 2 "scaling-run without its parameters" scaling-run
run 2 "scaling-run with wrong ones" scaling-run d frobnicate 1 1
if [ -n "$ring_absent" ]; then
  run 1 "scaling without a ring" scaling d
  warns "... says why" '^uvdio-bench scaling: this is about the ring: '
else
  run 1 "scaling in a directory that is not there" scaling --series queued missing
  run 0 "scaling" scaling --series queued --rounds 1 --reads 1000 d
  says "... has the series" '^requests at a time$'
  check "... and no other" lines_with "$out" '^open files$' 0
  check "... a line for each size" lines_with "$out" '^1\(00*\)\{0,1\} .* µs ' 4
  says "... and quotients by what is not queued" '^64  *[0-9.]* [^ ]*s  *-0 +0 %  *1\.00 '
  check "... and nothing is left behind" directory_empty d
  run 0 "scaling --json" scaling --json --series queued --rounds 2 --reads 1000 d
  check "... has its rounds" lines_with "$out" '"rounds": 2' 5
  check "... and no instructions, which were not asked for" \
    lines_with "$out" '"instructions_per_op": null' 5
fi

# ------------------------------------------------------------------------------------------- server

run 0 "server --help" server --help
says "... begins with the usage" '^usage: uvdio-bench server '
refuses server "--connections 0" "--connections 513" "--messages 0" "--messages x" "--rate 0" \
  "--rate x" "--operation frobnicate" "--depth 0" "--depth 4097" "--block 1000" "--block 128M" \
  "--size 0" "--callbacks 0" "--busy-poll 1001" "--threads 0" "--threads 1025" "--work frobnicate" \
  "--work none" "--work-ms 0" "--rounds 0" "--rounds 101" "--seconds 0" "--seconds 0.001" \
  "--seed x" "--size 4K --block 8K"
run 2 "server with an unknown option" server --frobnicate d
run 2 "server with an option of uvdio bench" server --backend ring d
run 2 "server with two directories" server d e
run 2 "server in a file" server file
warns "... is refused" "takes a directory, which 'file' is not"
run 1 "server in a directory that is not there" server missing
warns "... says what, why and what to do" \
  '^uvdio-bench server: cannot use missing: .*(ENOENT)\. Check the path\.$'
for child in echo-server clients; do
  run 2 "$child without its parameters" $child
  run 2 "$child with wrong ones" $child '{"port":1}'
done
server="server --size 1M --seconds 0.05 --connections 4 --messages 400 --depth 8 --work-ms 2"
if [ -n "$ring_absent" ]; then
  rows=7
  skip "server on the ring" "$ring_absent"
else
  rows=10
fi
run 0 "server" $server --rounds 2 d
says "... says where" '^.*, file of 1 MiB, '
says "... has a table for the echo" '^background  *msgs/s  *p50  *p99 '
says "... with a row without I/O" '^none  *[0-9]'
says "... and one by libuv's calls" '^uv  *[0-9]'
says "... says that the rate was found" '80 % of what the pool reached'
says "... has a table for occupied threads" '^by  *free  *spread  *occupied '
says "... and what it means" '^While the threads are occupied, pool does '
if [ -z "$ring_absent" ]; then
  says "... for both questions" "^With the ring's I/O next to it, the echo's p99 is "
fi
check "... and nothing is left behind" directory_empty d
run 0 "server --json" $server --rounds 1 --rate 500 --callbacks 16 --busy-poll 20 --work cpu \
  --operation mixed --json --plot server-plots d
check "... has all rows" lines_with "$out" '"variant":' $rows
for key in environment filesystem connections messages_per_s rate operation depth block_size \
  file_size callbacks_max busy_poll_us threads works work work_ms rounds seconds rows variant part \
  executed_by echo_p50_us echo_p99_us echo_p999_us late_p99_us iops io_p50_us io_p99_us processors \
  echo_p99_by_none echo_p99_by_pool iops_by_free io_p99_by_free verdict notes; do
  says "... has the key $key" "\"$key\":"
done
says "... took the options of the library" '"busy_poll_us": 20'
says "... took the rate that was given" '"rate": 500'
says "... and tells what work for the processors means" \
  '"Work that computes takes processors from the loop'
if [ -z "$ring_absent" ]; then
  for key in echo_p99_ring_by_pool echo_bound echo_within_bound ring_iops_by_free ring_slowed; do
    says "... has the key $key" "\"$key\":"
  done
fi
for name in echo occupied; do
  check "... writes the data of $name" test -s server-plots/$name.dat
  check "... and its script" test -s server-plots/$name.gnuplot
  if command -v gnuplot >/dev/null 2>&1; then
    check "... and the picture" test -s server-plots/$name.png
  else
    warns "... and says that there is no picture" 'gnuplot is not installed'
  fi
done
check "... and the results" test -s server-plots/results.json
run 0 "server at any rate" $server --rounds 1 --rate max d
says "... says so" 'depth 8, as many as go$'
# What the clients send depends on the seed alone, and all of it has to come back, whatever the loop
# is busy with.
run 0 "server --json of several rounds" $server --rounds 3 --json d
sed -n '/"messages_per_s": {/,/}/s/.*: \([0-9.]*\),\{0,1\}$/\1/p' "$out" >messages
check "... echoes the same messages in all rounds" lines_with messages . $((3 * (rows + 2) / 3))
check "... and variants" test "$(sort -u messages | wc -l)" -eq 1
# At a low rate there is less than without one, which is the free threads' part of the same run.
run 0 "server --json at a low rate" $server --rounds 1 --rate 100 --seconds 0.3 --json d
awk '
  /"part"/ { part = $2 }
  /"iops": [{]/ { getline; if (part ~ /echo/ && $2 !~ /null/) print $2 + 0 }' "$out" >rates
check "... tells the background's operations of each variant" \
  lines_with rates . $(((rows + 2) / 3 - 1))
awk '/"part"/ { part = $2 } /"iops": [{]/ { getline; if (part ~ /free/) print $2 + 0 }' "$out" >free
check "... which are fewer than as many as go" \
  test -z "$(sort -n rates free | head -n "$(wc -l <rates)" | grep -vxFf rates)"
# With one thread, the pool has to wait for two works before each of its turns.
run 0 "server with one thread" \
  $server --rounds 1 --rate 100 --seconds 0.3 --threads 1 --work-ms 50 d
says "... shows that works hold up the pool" \
  '^While the threads are occupied, pool does 0\.[0-4].*: slowed\.$'
says "... and uv_fs_read" '^While the threads are occupied, uv does 0\.[0-4].*: slowed\.$'
run_until $interrupt 'find d -type f -size +1023k | grep -q .' \
  server --size 4M --seconds 30 --rate 100 d
check "server at SIG$interrupt ends with $ended" test $got -eq $ended
warns "... says so" 'interrupted by signal'
check "... and leaves nothing behind" directory_empty d

# ------------------------------------------------------------------------------- what takes long

hard=$(ulimit -Hn)
if [ "$hard" = unlimited ] || [ "$hard" -ge 10100 ]; then
  (
    ulimit -Sn 100
    $limit "$program" $compare --rounds 1 --no-calls --json --depth 32 --size 40M --files 10000 \
      --target pool,uv-4 d
  ) >"$out" 2>"$err"
  check "compare of 10000 files raises the limit of open files" test $? -eq 0
  check "... has both rows" lines_with "$out" '"files": 10000,' 2
else
  skip "compare of 10000 files raises the limit of open files" "ulimit -Hn is $hard"
fi

echo "1..$count"
[ $failures -eq 0 ]
