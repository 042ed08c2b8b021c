#!/bin/bash
# One stream to many clients: tfs_broadcast against one socat for each client, in the same run and with the same clients.
#
#   broadcast.sh [RUNS [MEGABYTES]]      5 runs of 2000 MB in all for each line
#
# The stream (WRITEs of 4 KiB) lies in memory. Each client reads 64 KiB at a time and looks at nothing. Rates are all clients'
# together, from the moment in which they connect until the last has its end. socat is measured with its own block size (8 KiB;
# the goal is 1.5 times that) and with 64 KiB, which a user has to know of. Processor time (servers and clients) is beside it: on
# a machine that has other work it says more than a rate.

set -eu

top=$(cd "$(dirname "$0")/../.." && pwd -P)
bin=${TFS_BIN:-$top/bin}
tests=${TFS_TESTS:-$top/build/release/tests}
runs=${1:-5}
megabytes=${2:-2000}
command -v socat >/dev/null || { echo "broadcast.sh: unable to compare: socat is missing (apt-get install socat)" >&2; exit 1; }
folder=$(mktemp -d /dev/shm/tfs-bench.XXXXXX)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

# clients N [OPTION]... SOCKET: GB/s, of all of them, from now until the last has ended.
clients() {
  local start=$EPOCHREALTIME
  "$tests/stream_client" --no-check --quiet --count "$@"
  awk -v a="$start" -v b="$EPOCHREALTIME" -v n="$1" -v size="$(stat -c %s stream)" \
    'BEGIN { printf "%.4f ", n * size / 1e9 / (b - a) }'
}

# measure FUNCTION N [ARGUMENT]...: the rate, and the processor time of servers and clients in seconds for a GB.
measure() {
  local TIMEFORMAT='%U %S'
  { time "$@" 2>&3; } 3>&2 2>cpu
  awk -v n="$2" -v size="$(stat -c %s stream)" '{ printf "%.4f\n", ($1 + $2) / (n * size / 1e9) }' cpu
}

from_file() {
  rm -f ready
  "$bin/tfs_broadcast" --wait "$1" --ready-fd 3 socket 3>ready <stream &
  until [ -s ready ]; do sleep 0.01; done
  clients "$1" socket
  wait
}

from_pipe() {
  rm -f ready
  # shellcheck disable=SC2002 # the pipe is what is measured
  cat stream | "$bin/tfs_broadcast" --wait "$1" --ready-fd 3 socket 3>ready &
  until [ -s ready ]; do sleep 0.01; done
  clients "$1" socket
  wait
}

socats() {
  local i
  for ((i = 1; i <= $1; i++)); do socat -u -b "$2" FILE:stream "UNIX-LISTEN:each.$i" & done
  for ((i = 1; i <= $1; i++)); do until [ -S "each.$i" ]; do sleep 0.01; done; done
  clients "$1" --each each
  wait
  rm -f each.*
}

# against OURS THEIRS: medians, and the ratio of the runs with its spread.
against() {
  paste -d ' ' "$1" "$2" | awk '
    function median(list, n,    i, j, t) {
      for (i = 2; i <= n; i++) for (j = i; j > 1 && list[j - 1] > list[j]; j--) { t = list[j]; list[j] = list[j - 1]; list[j - 1] = t }
      return n % 2 ? list[(n + 1) / 2] : (list[n / 2] + list[n / 2 + 1]) / 2
    }
    { a[NR] = $1; c[NR] = $2; b[NR] = $3; d[NR] = $4; r[NR] = $1 / $3; q[NR] = $4 / $2 }
    END {
      middle = median(r, NR)
      printf "%5.2f GB/s %5.2f GB/s %5.2fx  %-10s %6.3f %6.3f %5.2fx\n", median(a, NR), median(b, NR), middle,
        sprintf("%.2f-%.2f", r[1], r[NR]), median(c, NR), median(d, NR), median(q, NR)
    }'
}

printf '%-46s %10s %10s %6s  %-10s %s\n' 'broadcast, all clients together' tfs peer ratio least-most 'processor s/GB'
for n in 1 8 64; do
  "$tests/make_stream" --frames $((megabytes * 1000000 / n / 4200)) --data 4096 >stream
  rm -f ./*.rates
  for ((run = 0; run < runs; run++)); do
    measure from_file "$n" >>file.rates
    measure socats "$n" 8192 >>socat.rates
    measure from_pipe "$n" >>pipe.rates
    measure socats "$n" 65536 >>socat64.rates
  done
  for way in file pipe; do
    for peer in socat socat64; do
      block=
      [ $peer = socat ] || block=' -b65536'
      printf '%-46s ' "$n client(s), from a $way; socat$block"
      against $way.rates $peer.rates
    done
  done
done
