#!/bin/sh
# SPDX-License-Identifier: MIT
# Measures uvdio-httpd beside nginx (by direct I/O with threads, and by sendfile from the page
# cache) and beside a plain server of uv_fs_read() (with libuv's 4 threads and with 32): requests
# per second, latency, and processor time and bytes from the disk per request. In one run and in
# turn, since only ratios within a run mean something.
#
#   test/bench/httpd.sh BUILD DIRECTORY [SECONDS [ROUNDS]]
#
# BUILD is a build with optimisation (cmake --preset release), DIRECTORY on the disk to be measured;
# 1.1 GiB of files are made there, and removed. Needs root, cgroups (v1, or v2 with the controllers
# cpu and memory), nginx and wrk: without one of these it says so, and exits with 77. Each server
# has processor 0, a cgroup of its own with the same share of it, and the same limit of memory,
# which leaves the page cache a part of the files; the client has processor 1. Takes about 7 minutes
# with 2 rounds of 1 second, three times that for 1 MiB, which is the default.
#
# All servers keep files open, and have opened all of them before. nginx reads a file that is
# smaller than its output_buffers through the page cache, in spite of directio
# (ngx_output_chain.c), so that these are no larger than the files here.
set -u
export LC_ALL=C

[ $# -ge 2 ] || { sed -n 's/^#   //p' "$0" | head -n 1 >&2; exit 2; }
build=$(cd "$1" && pwd) || exit 2
directory=$(mkdir -p "$2" && cd "$2" && pwd) || exit 2
seconds=${3-1} rounds=${4-2} # whole seconds: wrk knows no others
servers="uvdio nginx-direct nginx-sendfile uv-fs-4 uv-fs-32"
group=uvdio-httpd.$$
work=$directory/$group
pids=

left_out() { echo "SKIP: $*"; exit 77; }
for tool in nginx wrk taskset awk; do
  PATH=$PATH:/usr/sbin command -v $tool >/dev/null 2>&1 || left_out "$tool is not installed"
done
PATH=$PATH:/usr/sbin
for program in uvdio-httpd uvdio-bench-plain; do
  [ -x "$build/$program" ] || left_out "$build has no $program"
done
[ "$(id -u)" -eq 0 ] || left_out "cgroups need root"
# shellcheck disable=SC3045 # dash and busybox have it
[ "$(ulimit -n)" = unlimited ] || [ "$(ulimit -n)" -ge 18000 ] || ulimit -n 18000 2>/dev/null ||
  left_out "18000 files can't be open"
[ "$(nproc)" -ge 2 ] || left_out "server and client need a processor each"

# cgroups: v1 has a tree for each controller, v2 one tree.
tree=/sys/fs/cgroup
if [ -f $tree/cgroup.controllers ]; then
  version=2 controllers=.
  echo "+cpu +memory" >$tree/cgroup.subtree_control || left_out "cgroups v2 lack cpu or memory"
elif [ -d $tree/memory ] && [ -d $tree/cpu ] && [ -d $tree/cpuacct ]; then
  version=1 controllers="cpu cpuacct memory"
else
  left_out "there are no cgroups with cpu and memory"
fi

end() {
  # shellcheck disable=SC2086
  [ -z "$pids" ] || kill $pids 2>/dev/null
  wait
  for name in $servers client; do
    for controller in $controllers; do
      rmdir "$tree/$controller/$group.$name" 2>/dev/null
    done
  done
  rm -rf "$work"
}
trap end EXIT
trap 'exit 1' INT TERM HUP

make_groups() {
  for name in $servers client; do
    for controller in $controllers; do
      mkdir "$tree/$controller/$group.$name" || left_out "no cgroup could be made"
    done
    if [ $version = 2 ]; then
      echo 1000 >"$tree/$group.$name/cpu.weight"
    else
      echo 16384 >"$tree/cpu/$group.$name/cpu.shares"
    fi
  done
}

# limit_memory BYTES
limit_memory() {
  for name in $servers; do
    if [ $version = 2 ]; then
      echo "$1" >"$tree/$group.$name/memory.max"
    else
      echo "$1" >"$tree/memory/$group.$name/memory.limit_in_bytes"
    fi
  done
}

# within NAME PROCESSOR COMMAND...: replaces the shell.
within() {
  name=$1 processor=$2
  shift 2
  for controller in $controllers; do
    # shellcheck disable=SC2016
    sh -c 'echo $PPID' >"$tree/$controller/$group.$name/cgroup.procs"
  done
  exec taskset -c "$processor" "$@"
}

# Microseconds of processor time of a server so far.
cpu_us() {
  if [ $version = 2 ]; then
    sed -n 's/^usage_usec //p' "$tree/$group.$1/cpu.stat"
  else
    echo $(($(cat "$tree/cpuacct/$group.$1/cpuacct.usage") / 1000))
  fi
}

# Bytes that a server's processes have had from the disk so far.
disk_bytes() {
  procs=$tree/$group.$1/cgroup.procs
  [ $version = 2 ] || procs=$tree/cpu/$group.$1/cgroup.procs
  while read -r pid; do
    cat "/proc/$pid/io"
  done <"$procs" | awk '/^read_bytes/ { sum += $2 } END { printf "%.0f", sum }'
}

# nginx_conf PORT WHAT...
nginx_conf() {
  port=$1
  shift
  cat <<END
daemon off; worker_processes 1; pid $work/nginx.$port; error_log stderr emerg;
events { worker_connections 2048; }
http {
  access_log off; types { } default_type application/octet-stream;
  keepalive_requests 1000000000; client_body_temp_path $work/t1; proxy_temp_path $work/t2;
  fastcgi_temp_path $work/t3; uwsgi_temp_path $work/t4; scgi_temp_path $work/t5;
  open_file_cache max=100000 inactive=1h; open_file_cache_valid 1h; $*
  server {
    listen 127.0.0.1:$port; root $work/files;
    location /4/ { output_buffers 2 4k; }
    location /64/ { output_buffers 2 64k; }
    location /1024/ { output_buffers 2 128k; }
  }
}
END
}

# The ports are in the order of $servers. nginx has 32 threads as well.
start() {
  within uvdio 0 "$build/uvdio-httpd" --port 18180 --fresh 86400000 --files 100000 \
    --idle 3600000 --connections 1000 "$work/files" >/dev/null 2>"$work/uvdio.log" &
  pids="$pids $!"
  within nginx-direct 0 nginx -c "$work/direct.conf" 2>"$work/direct.log" &
  pids="$pids $!"
  within nginx-sendfile 0 nginx -c "$work/sendfile.conf" 2>"$work/sendfile.log" &
  pids="$pids $!"
  port=18183
  for threads in 4 32; do
    UV_THREADPOOL_SIZE=$threads within uv-fs-$threads 0 "$build/uvdio-bench-plain" $port \
      "$work/files" 2>"$work/plain-$threads.log" &
    pids="$pids $!"
    port=$((port + 1))
  done
  sleep 1
}

stop() {
  # shellcheck disable=SC2086
  kill $pids || cat "$work"/*.log >&2 # one has ended by itself
  wait
  pids=
}

# load SERVER_NUMBER SIZE FILES CONNECTIONS SECONDS HOW: prints "requests microseconds p99 errors".
load() {
  within client 1 wrk -t1 -c"$4" -d"$5" -s "$work/client.lua" \
    "http://127.0.0.1:$((18180 + $1))" -- "$2" "$3" "$6" | sed -n 's/^RESULT //p'
}

# one SERVER_NUMBER SERVER SIZE FILES CONNECTIONS: a line of figures.
one() {
  cpu=$(cpu_us "$2") disk=$(disk_bytes "$2")
  # 512 files of 1 MiB take longer than others.
  result=$(load "$1" "$3" "$4" "$5" $(($3 < 1024 ? seconds : 3 * seconds)) random)
  cpu=$(($(cpu_us "$2") - cpu)) disk=$(($(disk_bytes "$2") - disk))
  # shellcheck disable=SC2086
  set -- "$2" "$3" "$5" ${result:-0 1 0 0} # a server that has ended has no figures
  echo "$1 $2 $3 $4 $5 $6 $7 $cpu $disk"
}

# Medians over rounds, and ratios to the first server of each block. Columns as one() prints them.
report() {
  awk -v servers="$servers" '
    function median(list, n,   i, j, t, v) {
      split(list, v, " "); n = 0; for (i in v) n++
      for (i = 1; i <= n; i++) for (j = i + 1; j <= n; j++) if (v[j] + 0 < v[i] + 0) {
        t = v[i]; v[i] = v[j]; v[j] = t }
      return n % 2 ? v[(n + 1) / 2] : (v[n / 2] + v[n / 2 + 1]) / 2
    }
    $4 > 0 {
      key = $2 " " $3
      if (!(key in seen)) { seen[key] = 1; order[++keys] = key }
      rate[key, $1] = rate[key, $1] " " $4 * 1e6 / $5
      late[key, $1] = late[key, $1] " " $6 / 1000
      cpu[key, $1] = cpu[key, $1] " " $8 / $4
      disk[key, $1] = disk[key, $1] " " $9 / $4 / ($2 * 1024)
      errors[key, $1] += $7
    }
    END {
      n = split(servers, name, " ")
      for (k = 1; k <= keys; k++) {
        split(order[k], part, " ")
        printf "\n%d KiB, %d connections\n", part[1], part[2]
        printf "%-16s %9s %9s %9s %7s %7s %9s %9s\n", "server", "req/s", "p99 ms", "CPU us",
          "disk", "errors", "uvdio x", "per CPU x"
        for (i = 1; i <= n; i++) {
          r = median(rate[order[k], name[i]]); c = median(cpu[order[k], name[i]])
          if (i == 1) { r1 = r; c1 = c }
          if (r == 0 || c == 0) { printf "%-16s no figures\n", name[i]; continue }
          printf "%-16s %9.0f %9.1f %9.1f %7.2f %7d %9.2f %9.2f\n", name[i], r,
            median(late[order[k], name[i]]), c, median(disk[order[k], name[i]]),
            errors[order[k], name[i]], r1 / r, c / c1
        }
      }
    }' "$1"
}

# measure SIZE_KIB FILES LIMIT_MIB
measure() {
  mkdir "$work/files/$1"
  "$build/uvdio-bench-plain" make "$work/files/$1" "$2" $(($1 * 1024)) || exit 1
  limit_memory $(($3 * 1024 * 1024))
  start
  for connections in 1 64 512; do
    for round in $(seq "$rounds"); do
      number=0
      for name in $servers; do
        if [ "$connections" = 1 ] && [ "$round" = 1 ]; then
          load $number "$1" "$2" 64 4 sequence >/dev/null # opens the files
        fi
        one $number "$name" "$1" "$2" "$connections" >>"$work/figures"
        number=$((number + 1))
      done
    done
  done
  stop
  rm -rf "$work/files/$1"
}

mkdir -p "$work/files" || exit 1
chmod 755 "$work" "$work/files" # nginx drops root
nginx_conf 18181 "aio threads; directio 512;" >"$work/direct.conf"
nginx_conf 18182 "sendfile on; tcp_nopush on;" >"$work/sendfile.conf"
cat >"$work/client.lua" <<'END'
local next_file, size, files, how = 0
function init(words)
  size, files, how = words[1], tonumber(words[2]), words[3]
  math.randomseed(os.time())
end
function request()
  next_file = how == "sequence" and (next_file + 1) % files or math.random(0, files - 1)
  return wrk.format("GET", string.format("/%s/%05d", size, next_file))
end
function done(summary, latency)
  local errors = summary.errors
  io.write(string.format("RESULT %d %d %.0f %d\n", summary.requests, summary.duration,
    latency:percentile(99), errors.connect + errors.read + errors.write + errors.status +
    errors.timeout))
end
END
make_groups
measure 4 16384 80
measure 64 4096 160
measure 1024 768 160
echo "Each server: processor 0, 80 MiB of memory (4 KiB) or 160 MiB. Medians of $rounds rounds of"
echo "$seconds s (1 MiB: $((3 * seconds)) s)."
echo "disk: bytes from the disk, by those of the answers. uvdio x: requests per second of uvdio by"
echo "the server's; per CPU x: the same per second of processor time."
report "$work/figures"
