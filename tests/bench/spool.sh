#!/bin/bash
# A stream through the disk: tfs_buffer against mbuffer with a file as its buffer, from a pipe to a pipe, in the same run; and a spool
# read by many at once, against one cat for each.
#
#   spool.sh [RUNS [MEGABYTES]]      5 runs of 1000 MB for each line
#
# The stream lies in memory; spool and buffer lie on the disk under build/. Rates are from the first byte to the end of the last
# process, of all readers together; "frames of 150" have about that many bytes, "128K" so much data each. Processor time is
# that of all processes, the two cats at both ends among them. tfs_buffer checks each frame when it comes in and when it goes out,
# numbers as well as checksums, and syncs each segment; mbuffer and cat look at nothing.

set -eu

top=$(cd "$(dirname "$0")/../.." && pwd -P)
bin=${TFS_BIN:-$top/bin}
tests=${TFS_TESTS:-$top/build/release/tests}
runs=${1:-5}
megabytes=${2:-1000}
command -v mbuffer >/dev/null || { echo "spool.sh: unable to compare: mbuffer is missing (apt-get install mbuffer)" >&2; exit 1; }
memory=$(mktemp -d /dev/shm/tfs-bench.XXXXXX)
mkdir -p "$top/build"
folder=$(mktemp -d "$top/build/bench-spool.XXXXXX")
trap 'rm -rf "$folder" "$memory"' EXIT
cd "$folder"
stream=$memory/stream

# measure READERS COMMAND...: GB/s, and processor seconds for a GB.
measure() {
  local readers=$1 start end TIMEFORMAT='%U %S'
  shift
  start=$EPOCHREALTIME
  { time "$@" 2>&3; } 3>&2 2>cpu
  end=$EPOCHREALTIME
  awk -v a="$start" -v b="$end" -v n="$readers" -v size="$(stat -c %s "$stream")" \
    '{ printf "%.4f %.4f\n", n * size / 1e9 / (b - a), ($1 + $2) / (n * size / 1e9) }' cpu
}

through_tfs() {
  # shellcheck disable=SC2002 # the pipe is what is measured
  cat "$stream" | "$bin/tfs_buffer" "$@" spool | cat >/dev/null
  rm -rf spool
}

through_mbuffer() {
  # shellcheck disable=SC2002
  cat "$stream" | mbuffer -q "$@" 2>/dev/null | cat >/dev/null
  rm -f buffer
}

readers_of() {
  local i n=$1
  shift
  for ((i = 1; i < n; i++)); do { "$@" | cat >/dev/null; } & done
  "$@" | cat >/dev/null
  wait
}

# against OURS THEIRS: medians, and the ratio of the runs with its spread.
against() {
  paste -d ' ' "$1" "$2" | awk '
    function sort(list, n,    i, j, t) {
      for (i = 2; i <= n; i++) for (j = i; j > 1 && list[j - 1] > list[j]; j--) { t = list[j]; list[j] = list[j - 1]; list[j - 1] = t }
    }
    function median(list, n) {
      sort(list, n)
      return n % 2 ? list[(n + 1) / 2] : (list[n / 2] + list[n / 2 + 1]) / 2
    }
    { a[NR] = $1; c[NR] = $2; b[NR] = $3; d[NR] = $4; r[NR] = $1 / $3; q[NR] = $4 / $2 }
    END {
      middle = median(r, NR)
      printf "%5.2f GB/s %5.2f GB/s %5.2fx  %-10s %6.3f %6.3f %5.2fx\n", median(a, NR), median(b, NR), middle,
        sprintf("%.2f-%.2f", r[1], r[NR]), median(c, NR), median(d, NR), median(q, NR)
    }'
}

printf '%-46s %10s %10s %6s  %-10s %s\n' 'spool, pipe to disk to pipe' tfs peer ratio least-most 'processor s/GB'
for frames in 128K 150; do
  case $frames in
  128K) "$tests/make_stream" --frames $((megabytes * 1000000 / 131200)) --data 131072 >"$stream" ;;
  150) "$tests/make_stream" --frames $((megabytes * 1000000 / 160)) --data 75 >"$stream" ;;
  esac
  rm -f ./*.rates
  for ((run = 0; run < runs; run++)); do
    measure 1 through_tfs >>tfs.rates
    measure 1 through_mbuffer -T buffer -m 2G >>file.rates
    measure 1 through_tfs --sync none >>none.rates
    measure 1 through_mbuffer -m 64M >>memory.rates
  done
  printf '%-46s ' "frames of $frames; mbuffer -T FILE"
  against tfs.rates file.rates
  printf '%-46s ' "frames of $frames, --sync none; mbuffer -T FILE"
  against none.rates file.rates
  printf '%-46s ' "frames of $frames; mbuffer in memory, no disk"
  against tfs.rates memory.rates
  "$bin/tfs_buffer" --no-output spool <"$stream"
  for n in 1 4 16; do
    rm -f ./*.rates
    for ((run = 0; run < runs; run++)); do
      measure "$n" readers_of "$n" "$bin/tfs_buffer" --read spool >>tfs.rates
      measure "$n" readers_of "$n" cat "$stream" >>cat.rates
    done
    printf '%-46s ' "frames of $frames, $n reader(s) at once; cat"
    against tfs.rates cat.rates
  done
  rm -rf spool
done
