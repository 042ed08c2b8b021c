# The journal of a tree into an empty mirror, against tar and rsync with the same tree, on tmpfs and on ext4.
# shellcheck shell=bash
# shellcheck disable=SC2154 # programs, fast, tree, round: common.sh

make_journal() {
  local base=$fast/replay pid
  mount_tfs free "$base.store" "$base" "cat >$base.journal"
  pid=$spawned_pid
  run tar -xf "$tree" -C "$base"
  unmount "$base" "$pid"
}

replay_mirror() { "$TFS_BIN/tfs_mirror" "$1" <"$fast/replay.journal"; }
# tfs_mirror ends with everything on disk, so the others have to, too.
replay_tar() { tar -xf "$tree" -C "$1" && sync -f "$1"; }
replay_rsync() { rsync -a "$fast/replay.store/" "$1/" && sync -f "$1"; }

# A new ext4 in memory: what it costs shows, what this machine's disk is doing does not.
mount_ext4() {
  rm -f "$fast/replay.image"
  truncate -s 3G "$fast/replay.image" && mkfs.ext4 -q -F "$fast/replay.image" && mkdir -p "$1" &&
    mount -o loop "$fast/replay.image" "$1"
}

# replay_one WHERE WHO FUNCTION: into an empty filesystem, or in memory that the one before has given back: who came second was up
# to a quarter slower for that alone.
replay_one() {
  local where=$1 who=$2 function=$3 target=$fast/replay.target
  [[ $where = tmpfs ]] || mount_ext4 "$target" || return
  mkdir -p "$target/tree"
  clocked "replay.$where" "$who" "$function" "$target/tree"
  [[ $who != tfs || $round -gt 1 ]] || diff -r "$fast/replay.store" "$target/tree" >/dev/null ||
    echo "bench.sh: warning: the mirror differs from the store" >&2
  [[ $where = tmpfs ]] || umount "$target"
  remove "$target"
}

replay_round() {
  replay_one "$1" tar replay_tar && replay_one "$1" tfs replay_mirror || return
  ! command -v rsync >/dev/null || replay_one "$1" rsync replay_rsync
}

replay_rows() {
  row "replay.$1" "replay of $names_in_tree names, $1" free s of tar 1.2
  row "replay.$1.cpu" '  processor time' free s of tar 1.0
  row "replay.$1" '  and rsync' free s of rsync -
  row "replay.$1.cpu" '  processor time' free s of rsync -
}

bench_replay() {
  local has_ext4=1
  make_trees
  make_journal
  rounds_of 75
  while more_rounds; do
    replay_round tmpfs
    [[ -z $has_ext4 ]] || replay_round ext4 || has_ext4=
  done
  remove "$fast"/replay.*
  replay_rows tmpfs
  if [[ -n $has_ext4 ]]; then replay_rows ext4; else left_out 'replay on ext4' 'there is no loop device'; fi
}
