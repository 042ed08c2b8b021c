# Operations on the mount, one at a time: tfs_journal with its stream read, the plainest FUSE filesystem, and none.
# shellcheck shell=bash
# shellcheck disable=SC2154 # programs, fast, round: common.sh

# Many short rounds: a neighbour on the machine then spoils one or two of them, and not the median.
micro_seconds=0.1

micro_goal() {
  case $1 in
  write-128k | write-1m) echo 1.0 ;;
  write-*) echo 1.5 ;;
  read-*) echo 1.2 ;;
  stat-again) echo - ;;  # no filesystem is asked
  *) echo 2.0 ;;
  esac
}

micro_one() {
  local test=$1 place=$2 who=$3 base=$fast/micro.$2.$3 value
  run placed "$place" "$programs/fsbench" --seconds "$micro_seconds" --store "$base.store" "$base" "$test" >"$fast/out" 2>&1 ||
    { failed "$test" "$who" "$base" && return; }
  value=$(cat "$fast/out")
  record "micro.$test.$place" "$who" "$value"
}

bench_micro() {
  local place test who base mounts=() label with_uring= rounds=$((2 * rounds - 1))
  for place in pinned free; do
    base=$fast/micro.$place
    mkdir -p "$base.native"
    ln -sfn "$base.native" "$base.native.store"
    mount_passthrough "$place" "$base.passthrough.store" "$base.passthrough"
    mounts+=("$base.passthrough $spawned_pid")
    mount_tfs "$place" "$base.tfs.store" "$base.tfs"
    mounts+=("$base.tfs $spawned_pid")
  done
  if has_uring; then
    mount_uring free "$fast/micro.uring.tfs.store" "$fast/micro.uring.tfs"
    mounts+=("$fast/micro.uring.tfs $spawned_pid")
    with_uring=uring
  else
    left_out 'all with io_uring' 'it is not to be had here'
  fi
  rounds_of 150
  while more_rounds; do
    for place in pinned free $with_uring; do
      for test; do
        for who in native passthrough tfs; do
          [[ $place = uring && $who != tfs ]] || micro_one "$test" "$place" "$who"
        done
      done
    done
  done
  for place in "${mounts[@]}"; do unmount "${place% *}" "${place##* }"; done
  remove "$fast"/micro.*
  for test; do
    label=$("$programs/fsbench" --list | awk -F '\t' -v t="$test" '$1 == t { print $2 }')
    for place in pinned free; do
      row "micro.$test.$place" "$label" "$place" ops x passthrough "$(micro_goal "$test")"
    done
    [[ -z $with_uring ]] ||
      row "micro.$test.uring" "$label" uring ops x passthrough "$(micro_goal "$test")" "micro.$test.free"
  done
}
