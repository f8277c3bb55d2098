#!/bin/sh
# SPDX-License-Identifier: MIT
# The whole comparison by one command: every dimension of `uvdio-bench`, its tables as they come,
# and at the end all ratios once more, one below the other. Pictures, their data, results.json and
# the tables stay in OUT, a folder for each part.
#
#   test/bench/all.sh PATH/TO/uvdio-bench OUT [ROUNDS [SECONDS]]
# The command `uvdio` has to be beside it.
#
# ROUNDS (5) and SECONDS (0.3) are those of each measurement; with these it takes some half an hour.
# The files are made in OUT, which has to be on the disk that is to be measured. Parts that this
# machine can't do (a loop device takes root) are named, and left out. Exits with 0, 1 when a part
# failed, 2 on wrong usage, 130 when interrupted.
set -u
export LC_ALL=C

if [ $# -lt 2 ] || [ $# -gt 4 ]; then
  echo "usage: $0 PATH/TO/uvdio-bench OUT [ROUNDS [SECONDS]]" >&2
  exit 2
fi
bench=$1
rounds=${3:-5}
seconds=${4:-0.3}
mkdir -p "$2" || exit 2
out=$(cd "$2" && pwd)
failed=""
left_out=""
parts=""
trap 'exit 130' INT TERM HUP

# part NAME OPTION...: one run of `uvdio-bench`.
part() {
  name=$1
  shift
  mkdir -p "$out/$name"
  parts="$parts $name"
  printf '\n======== %s: uvdio-bench %s\n\n' "$name" "$*"
  "$bench" "$@" >"$out/$name/table.txt" || failed="$failed $name"
  cat "$out/$name/table.txt"
}

# compare NAME DIRECTORY OPTION...
compare() {
  name=$1
  directory=$2
  shift 2
  part "$name" compare --rounds "$rounds" --seconds "$seconds" --plot "$out/$name" "$@" "$directory"
}

every_depth=1,2,4,8,16,32,64,128,256,512,1024
every_block=4K,16K,64K,256K,1M
"$(dirname "$bench")/uvdio" probe "$out" | grep -q 'asks for .* offset and length 512$' &&
  every_block=512,$every_block
every_operation=random-read,sequential-read,random-write,sequential-write,durable-write,mixed

compare disk "$out" --pin --instructions
compare disk-depths "$out" --pin --depth $every_depth
compare disk-operations "$out" --operation $every_operation --depth 1,32
compare disk-blocks "$out" --operation random-read,sequential-read,sequential-write \
  --block $every_block --depth 4,32
for files in 1 100 10000; do
  compare disk-files-$files "$out" --files $files --size 400M --depth 32 --no-calls
done
for loops in 1 2 4; do
  compare disk-loops-$loops "$out" --loops $loops --depth 32 --no-calls
done
if [ "$(id -u)" -eq 0 ] && [ "$(uname -s)" = Linux ]; then
  compare loop-device "$out" --loop-device --pin --instructions
  compare loop-device-depths "$out" --loop-device --pin --depth $every_depth
  compare loop-device-operations "$out" --loop-device --operation $every_operation --depth 1,32
else
  left_out="$left_out loop-device (needs Linux and root)"
fi
if [ -d /dev/shm ]; then
  compare tmpfs /dev/shm --size 64M --target ring,pool,limit,uv-4,uv-32
else
  left_out="$left_out tmpfs (no /dev/shm)"
fi
part copy copy --rounds "$rounds" --plot "$out/copy" "$out"
part log log --rounds "$rounds" --seconds "$seconds" --plot "$out/log" "$out"
part server server --rounds "$rounds" --plot "$out/server" "$out"
part scaling scaling --rounds "$rounds" --instructions "$out"

printf '\n======== All ratios\n'
for name in $parts; do
  if grep -q '^ratios' "$out/$name/table.txt"; then
    printf '\n%s\n' "$name"
    sed -n '/^ratios/,/^$/p' "$out/$name/table.txt" | sed '/^$/d'
  fi
done
printf '\nPictures, their data, results.json and the tables are in %s\n' "$out"
[ -z "$left_out" ] || echo "Left out:$left_out"
[ -z "$failed" ] || echo "Failed:$failed"
[ -z "$failed" ]
