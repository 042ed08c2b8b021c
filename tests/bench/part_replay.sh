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

# A new ext4 in memory: what it costs shows, what this machine's disk is doing does not. Nothing is removed from it, for ext4
# looks long for an inode where many were freed in the last seconds.
mount_ext4() {
  rm -f "$fast/replay.image"
  truncate -s 3G "$fast/replay.image" && mkfs.ext4 -q -F "$fast/replay.image" && mkdir -p "$1" &&
    mount -o loop "$fast/replay.image" "$1"
}

replay_one() {
  local where=$1 folder=$2/$3 who=$3 function=$4
  mkdir -p "$folder"
  clocked "replay.$where" "$who" "$function" "$folder"
  [[ $who != tfs || $round -gt 1 ]] || diff -r "$fast/replay.store" "$folder" >/dev/null ||
    echo "bench.sh: warning: the mirror differs from the store" >&2
}

replay_round() {
  local who
  replay_one "$1" "$2" tar replay_tar
  replay_one "$1" "$2" tfs replay_mirror
  ! command -v rsync >/dev/null || replay_one "$1" "$2" rsync replay_rsync
}

replay_rows() {
  row "replay.$1" "replay of $names_in_tree names, $1" free s of tar 1.2
  row "replay.$1.cpu" '  processor time' free s of tar 1.0
  row "replay.$1" '  and rsync' free s of rsync -
  row "replay.$1.cpu" '  processor time' free s of rsync -
}

bench_replay() {
  local target=$fast/replay.target has_ext4=1
  make_trees
  make_journal
  rounds_of 60
  while more_rounds; do
    replay_round tmpfs "$target"
    remove "$target"
    if [[ $has_ext4 = 1 ]] && mount_ext4 "$target"; then
      replay_round ext4 "$target"
      umount "$target"
    else
      has_ext4=
    fi
  done
  remove "$fast"/replay.*
  replay_rows tmpfs
  if [[ $has_ext4 = 1 ]]; then replay_rows ext4; else left_out 'replay on ext4' 'there is no loop device'; fi
}
