# A scan by hash in which nothing differs, warm: against xxhsum over the same files of the store, and what it takes from a program that works
# on the mount meanwhile.
# shellcheck shell=bash
# shellcheck disable=SC2154 # programs, fast, round: common.sh

scan_rate=100M
scan_seconds=0.1  # less than a scan takes

# scan_files DIR: a few large files, many of a middle size, and directories for the load and for the slow scan.
scan_files() {
  local i
  mkdir -p "$1"/{large,middle,small,slow,load}
  for ((i = 0; i < 3; i++)); do cp "$fast/scan.data" "$1/large/$i"; done
  split -b 1M "$fast/scan.data" "$1/middle/"
  split -b 64K -a 3 "$fast/scan.data" "$1/small/"
  cp "$1"/middle/a* "$1/slow"
  rm "$1"/slow/a[q-z]  # 16 MiB
}

xxhsum_of() {
  find "$1" -type f -print0 | xargs -0 -s 1000000 xxhsum -H2
}

# From its start to its end, and to the mirror's word, which comes through descriptor 5.
scan_until_exact() {
  local said=
  "$TFS_BIN/tfs_scan" "$1" || return
  until [[ $said = *'exact at'* ]]; do read -r -t 60 -u 5 said || return; done
}

scan_drain() {
  while read -r -t 0 -u 5; do read -r -u 5; done
}

scan_speed() {
  local where=$1 base=$fast/scan.$1 how=("$TFS_BIN/tfs_scan")
  [[ $where != mirror ]] || how=(scan_until_exact)
  scan_drain
  clocked "scan.$where" xxhsum scan_placed "$where" xxhsum_of "$base.store"
  clocked "scan.$where" tfs scan_placed "$where" "${how[@]}" "$base"
}

# As placed, but for shell functions, too.
scan_placed() {
  [[ $1 != pinned ]] || taskset -pc 0 "$BASHPID" >/dev/null
  shift
  "$@"
}

# scan_load WHERE TEST KEY WHO [ARGUMENT...]: what a program gets done, with the arguments while such a scan runs.
scan_load() {
  local where=$1 test=$2 key=$3 who=$4 base=$fast/scan.$1 scan=
  shift 4
  if [[ $# -gt 0 ]]; then
    spawn "$TFS_BIN/tfs_scan" "$@"
    scan=$spawned_pid
  fi
  run scan_placed "$where" "$programs/fsbench" --seconds "$scan_seconds" "$base/load" "$test" >"$fast/out" 2>&1 ||
    { failed "$key" "$who" "$base" && return; }
  record "$key" "$who" "$(cat "$fast/out")"
  [[ -n $scan ]] || return 0
  wait "$scan"
  forget "$scan"
}

scan_loads() {
  local where=$1 base=$fast/scan.$1 test key
  for test in write-4k create; do
    key=scan.$test.$where
    scan_load "$where" "$test" "$key" 'no scan'
    scan_load "$where" "$test" "$key" tfs "$base"
    scan_load "$where" "$test" "$key.slow" tfs --rate "$scan_rate" "$base" slow
    [[ $where != mirror ]] || scan_drain
  done
}

bench_scan() {
  local where base place label test mounts=() rounds=$((2 * rounds - 1))
  command -v xxhsum >/dev/null || { left_out scan 'xxhsum is missing' && return; }
  head -c 64M /dev/urandom >"$fast/scan.data"
  mkfifo "$fast/scan.said"
  exec 5<>"$fast/scan.said"
  for where in pinned free mirror; do
    base=$fast/scan.$where
    scan_files "$base.store"
    if [[ $where = mirror ]]; then
      cp -a "$base.store" "$base.mirror"
      # shellcheck disable=SC2016 # for the shell that is started
      mount_tfs free "$base.store" "$base" '"$TFS_BIN/tfs_mirror" --assume-equal '"$base.mirror 2>$fast/scan.said"
    else
      mount_tfs "$where" "$base.store" "$base"
    fi
    mounts+=("$base $spawned_pid")
  done
  rm "$fast/scan.data"
  rounds_of 30
  while more_rounds; do
    for where in pinned free mirror; do
      scan_speed "$where"
      scan_loads "$where"
    done
  done
  for base in "${mounts[@]}"; do unmount "${base% *}" "${base##* }"; done
  exec 5>&-
  remove "$fast"/scan.* "$fast"/.scan.*
  for where in pinned free; do row "scan.$where" 'scan by hash, 336 MiB, warm' "$where" s x xxhsum 0.8; done
  row scan.mirror '  until the mirror says exact' free s x xxhsum 0.8
  for test in write-4k create; do
    for where in pinned free mirror; do
      place=$where label='4 KiB writes during a scan'
      [[ $test != create ]] || label='create, write, close during a scan'
      [[ $where != mirror ]] || place=free label='  with a mirror'
      row "scan.$test.$where" "$label" "$place" ops x 'no scan' 0.9
      [[ $where != mirror ]] || label='  with a mirror,'
      row "scan.$test.$where.slow" "$([[ $where = mirror ]] && echo "$label" || echo ' ') at --rate $scan_rate" "$place" ops x 'no scan' 0.9 \
        "scan.$test.$where"
    done
  done
}
