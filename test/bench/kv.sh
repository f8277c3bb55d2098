#!/bin/sh
# SPDX-License-Identifier: MIT
# How many SETs per second the example uvdio-kv makes durable, beside Redis with `appendfsync
# always`, on the same disk: both servers run, and redis-benchmark asks one after the other, in
# rounds, each round beginning with another one.
#
#   test/bench/kv.sh PATH/TO/uvdio-kv [DIRECTORY [ROUNDS [PART]]]
#
# DIRECTORY (the current one) is on the disk that is measured; what is made in it is removed.
# ROUNDS: 15. PART: requests per cell are divided by it (1). Needs redis-server and redis-benchmark.
# A ratio is that of one round; the table has medians. Exit status: 0 measured, 1 failed, 77 a tool
# is missing.
set -eu
export LC_ALL=C

[ $# -ge 1 ] || { sed -n '3,13s/^# \{0,1\}//p' "$0" >&2; exit 1; }
kv=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
directory=$(cd "${2-.}" && pwd)
rounds=${3-15}
part=${4-1}
# requests, connections, requests that a connection sends before it waits
cells="300,1,1 4000,1,16 12000,1,64 4000,50,1 40000,50,16 120000,50,64"

for tool in redis-server redis-benchmark redis-cli; do
  command -v $tool >/dev/null || { echo "SKIP: $tool is missing"; exit 77; }
done

work=$directory/uvdio-kv-bench.$$
mkdir "$work" "$work/redis"
kv_process='' redis_process=''
tidy() {
  [ -z "$kv_process" ] || kill "$kv_process" 2>/dev/null || :
  [ -z "$redis_process" ] || kill "$redis_process" 2>/dev/null || :
  wait
  rm -rf "$work"
}
trap tidy EXIT
trap 'exit 1' INT TERM HUP

# wait_for COMMAND...: up to half a minute.
wait_for() {
  tries=0
  until "$@" >/dev/null 2>&1; do
    tries=$((tries + 1))
    if [ $tries -ge 300 ]; then
      echo "kv.sh: this did not come: $*" >&2
      cat "$work"/*.log >&2
      exit 1
    fi
    sleep 0.1
  done
}

"$kv" --port 0 "$work/kv" >"$work/kv.log" 2>&1 &
kv_process=$!
wait_for grep -q ready "$work/kv.log"
kv_port=$(sed -n 's/.*ready on port \([0-9]*\),.*/\1/p' "$work/kv.log")

# The file is not written anew while it is measured.
start_redis() {
  redis_port=$((redis_port - 1))
  redis-server --port $redis_port --bind 127.0.0.1 --save "" --dir "$work/redis" \
    --appendonly yes --appendfsync always --auto-aof-rewrite-percentage 0 >"$work/redis.log" 2>&1 &
  redis_process=$!
}

# A port may be somebody else's: then the server has ended, and the next one is tried.
is_redis_ready() {
  kill -0 $redis_process || start_redis
  redis-cli -p $redis_port info server | grep -q "process_id:$redis_process"
}
redis_port=$kv_port
start_redis
wait_for is_redis_ready

# measure PORT REQUESTS CONNECTIONS PIPELINE: prints requests per second, and the median of their
# latencies in milliseconds.
measure() {
  redis-benchmark -p "$1" -n "$2" -c "$3" -P "$4" -d 100 -r 100000 -t set --csv 2>/dev/null |
    awk -F'","' '/^"SET"/ { gsub(/"/, "", $5); print $2, $5 }'
}

round=0
while [ $round -lt "$rounds" ]; do
  for cell in $cells; do
    requests=${cell%%,*} rest=${cell#*,}
    connections=${rest%,*} pipeline=${rest#*,}
    requests=$((requests / part))
    if [ $((round % 2)) -eq 0 ]; then
      of_kv=$(measure "$kv_port" $requests "$connections" "$pipeline")
      of_redis=$(measure $redis_port $requests "$connections" "$pipeline")
    else
      of_redis=$(measure $redis_port $requests "$connections" "$pipeline")
      of_kv=$(measure "$kv_port" $requests "$connections" "$pipeline")
    fi
    echo "$connections $pipeline $of_kv $of_redis" >>"$work/figures"
  done
  round=$((round + 1))
done

echo "SETs of 100 bytes per second, all of them durable; medians of $rounds rounds"
echo "connections  pipeline  uvdio-kv     redis   ratio (from - to)      p50 ms  redis"
for cell in $cells; do
  rest=${cell#*,}
  awk -v c="${rest%,*}" -v p="${rest#*,}" '$1 == c && $2 == p { print $3, $5, $3 / $5, $4, $6 }' \
    "$work/figures" >"$work/cell"
  column() { cut -d' ' -f"$1" "$work/cell" | sort -g; }
  middle() { column "$1" | awk '{ a[NR] = $1 } END { print a[int((NR + 1) / 2)] }'; }
  printf '%11s  %8s  %8.0f  %8.0f   %5.2f (%.2f - %.2f)  %8.2f  %8.2f\n' "${rest%,*}" \
    "${rest#*,}" "$(middle 1)" "$(middle 2)" "$(middle 3)" "$(column 3 | head -n 1)" \
    "$(column 3 | tail -n 1)" "$(middle 4)" "$(middle 5)"
done
